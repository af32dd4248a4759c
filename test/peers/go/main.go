// Command pion-peer is a WHIP publisher or WHEP viewer on pion, as its users write them: default codecs and interceptors.
//
//	pion-peer publish URL --media DIR [--video vp8|h264]
//	pion-peer watch URL
//
// It prints a JSON line each 200 ms, {"video": frames, "audio": packets, "state": ..., "session": URL}, and ends its session and itself
// on SIGTERM.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	lineEvery     = 200 * time.Millisecond
	watchPatience = 15 * time.Second
)

// counts are frames of video and packets of sound, sent or received.
type counts struct{ video, audio atomic.Int64 }

type line struct {
	Video   int64  `json:"video"`
	Audio   int64  `json:"audio"`
	State   string `json:"state"`
	Session string `json:"session"`
	Deleted int    `json:"deleted,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 3 || (os.Args[1] != "publish" && os.Args[1] != "watch") {
		return fmt.Errorf("usage: %s publish|watch URL [--media DIR] [--video vp8|h264]", os.Args[0])
	}
	role, url := os.Args[1], os.Args[2]
	flags := flag.NewFlagSet(role, flag.ExitOnError)
	media := flags.String("media", ".", "folder of video.ivf, video.h264 and opus.ogg")
	video := flags.String("video", "vp8", "vp8 or h264")
	if err := flags.Parse(os.Args[3:]); err != nil {
		return err
	}

	// pion leaves loopback out unless it is asked; everything here runs on one machine.
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return err
	}
	defer pc.Close()

	over := make(chan os.Signal, 1)
	signal.Notify(over, syscall.SIGTERM, syscall.SIGINT)
	connected := make(chan struct{})
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})

	counted := &counts{}
	patience := time.Duration(0)
	if role == "publish" {
		err = send(pc, *media, *video, counted, connected)
	} else {
		patience = watchPatience
		err = receive(pc, counted)
	}
	if err != nil {
		return err
	}
	session, err := negotiate(pc, url, patience)
	if err != nil {
		return err
	}

	out := json.NewEncoder(os.Stdout)
	tell := func(state string, deleted int) error {
		return out.Encode(line{counted.video.Load(), counted.audio.Load(), state, session, deleted})
	}
	ticks := time.NewTicker(lineEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if err := tell(pc.ConnectionState().String(), 0); err != nil {
				return err
			}
		case <-over:
			status, err := remove(session)
			if err != nil {
				return err
			}
			return tell("closed", status)
		}
	}
}
