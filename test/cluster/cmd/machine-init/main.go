// The first process of each machine of the test cluster, and of each pod's sandbox (as its pause container). It reaps orphans, and
// holds the namespaces: when it is killed, the kernel ends every other process in its process namespace and drops every mount.
//
//	machine-init STATE_DIRECTORY MACHINE
//
// It reads no argument. They are there for who looks for the machines of a cluster in /proc.
package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for {
		reap()
		if received := <-signals; received != syscall.SIGCHLD {
			os.Exit(0)
		}
	}
}

func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}
