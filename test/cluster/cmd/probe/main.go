// A program for test pods: it answers over UDP and HTTP, and asks others.
//
//	probe serve                      answers every UDP packet on port 7007 and every HTTP request on port 8080 with "HOSTNAME PEER_ADDRESS";
//	                                 it prints "serving" when it does
//	probe udp ADDRESS [COUNT]        sends COUNT packets (default 20), one each 20 ms, and prints how many were answered, and by whom
//	probe http URL [COUNT]           prints the body; of COUNT requests, each over a connection of its own
//	probe resolve NAME               prints the addresses, one a line, sorted
//	probe kill                       kills the container's first process
//
// It ends with 1 and a sentence on stderr where nothing answers within 5 s.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	udpPort  = ":7007"
	httpPort = ":8080"
	// How long a question may take as a whole.
	deadline = 5 * time.Second
	// Between two packets of `probe udp`.
	interval = 20 * time.Millisecond
	// How long `probe udp` listens after its last packet.
	linger = 500 * time.Millisecond
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "serve":
		return serve()
	case len(arguments) == 2 && arguments[0] == "udp":
		return askUDP(arguments[1], 20)
	case len(arguments) == 3 && arguments[0] == "udp":
		count, err := strconv.Atoi(arguments[2])
		if err != nil {
			return fmt.Errorf("COUNT is a number: %w", err)
		}
		return askUDP(arguments[1], count)
	case len(arguments) == 2 && arguments[0] == "http":
		return askHTTP(arguments[1], 1)
	case len(arguments) == 3 && arguments[0] == "http":
		count, err := strconv.Atoi(arguments[2])
		if err != nil {
			return fmt.Errorf("COUNT is a number: %w", err)
		}
		return askHTTP(arguments[1], count)
	case len(arguments) == 2 && arguments[0] == "resolve":
		return resolve(arguments[1])
	case len(arguments) == 1 && arguments[0] == "kill":
		// SIGTERM, for which it has a handler: the kernel keeps SIGKILL from the first process of a namespace.
		return syscall.Kill(1, syscall.SIGTERM)
	}
	return errors.New("usage: probe serve | udp ADDRESS [COUNT] | http URL [COUNT] | resolve NAME | kill")
}

func serve() error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	socket, err := net.ListenPacket("udp", udpPort)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", httpPort)
	if err != nil {
		return err
	}
	go echo(socket, host)
	server := &http.Server{ReadHeaderTimeout: deadline, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, host, r.RemoteAddr)
	})}
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		os.Exit(0)
	}()
	fmt.Println("serving")
	return server.Serve(listener)
}

func echo(socket net.PacketConn, host string) {
	buffer := make([]byte, 1500)
	for {
		_, peer, err := socket.ReadFrom(buffer)
		if err != nil {
			fmt.Fprintln(os.Stderr, "probe: UDP:", err)
			os.Exit(1)
		}
		// An answer that cannot be sent is a packet lost; the asker counts.
		_, _ = socket.WriteTo([]byte(host+" "+peer.String()), peer)
	}
}

func askUDP(address string, count int) error {
	socket, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer socket.Close()
	answers := make(chan string, count)
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, err := socket.Read(buffer)
			if errors.Is(err, net.ErrClosed) {
				close(answers)
				return
			}
			if err == nil {
				answers <- string(buffer[:n])
			}
		}
	}()
	for range count {
		// Refused (ICMP) is an answer that did not come.
		_, _ = socket.Write([]byte("ping"))
		time.Sleep(interval)
	}
	time.Sleep(linger)
	socket.Close()
	got, by := 0, map[string]bool{}
	for answer := range answers {
		got++
		by[strings.Fields(answer)[0]] = true
	}
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Printf("%d of %d answered by %s\n", got, count, strings.Join(names, ","))
	if got == 0 {
		return fmt.Errorf("%s answered none of %d packets", address, count)
	}
	return nil
}

func askHTTP(url string, count int) error {
	client := http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	for range count {
		response, err := client.Get(url)
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func resolve(name string) error {
	limit, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(limit, name)
	if err != nil {
		return err
	}
	sort.Strings(addresses)
	fmt.Println(strings.Join(addresses, "\n"))
	return nil
}
