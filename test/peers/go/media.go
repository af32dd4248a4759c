package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
)

const (
	videoFrame = time.Second / 15
	audioFrame = 20 * time.Millisecond
)

// send publishes the files of a folder over and over, from the moment that the connection stands.
func send(pc *webrtc.PeerConnection, directory, video string, counted *counts, connected <-chan struct{}) error {
	mime, frames := webrtc.MimeTypeVP8, ivfFrames
	file := "video.ivf"
	if video == "h264" {
		mime, frames, file = webrtc.MimeTypeH264, h264Pictures, "video.h264"
	}
	pictures, err := frames(filepath.Join(directory, file))
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	sounds, err := opusPackets(filepath.Join(directory, "opus.ogg"))
	if err != nil {
		return fmt.Errorf("reading opus.ogg: %w", err)
	}
	audioTrack, err := addTrack(pc, webrtc.MimeTypeOpus, 111, "audio")
	if err != nil {
		return err
	}
	videoTrack, err := addTrack(pc, mime, payloadTypes[mime], "video")
	if err != nil {
		return err
	}
	go repeat(audioTrack, sounds, audioFrame, connected, func() { counted.audio.Add(1) })
	go repeat(videoTrack, pictures, videoFrame, connected, func() { counted.video.Add(1) })
	return nil
}

// payloadTypes are pion's own for the codecs that are sent here; of H264 it is constrained baseline with packetization-mode 1.
var payloadTypes = map[string]webrtc.PayloadType{webrtc.MimeTypeVP8: 96, webrtc.MimeTypeH264: 106}

func addTrack(pc *webrtc.PeerConnection, mime string, pt webrtc.PayloadType, id string) (*webrtc.TrackLocalStaticSample, error) {
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, id, "sfumato")
	if err != nil {
		return nil, err
	}
	init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	transceiver, err := pc.AddTransceiverFromTrack(track, init)
	if err != nil {
		return nil, err
	}
	// Without this pion offers every codec that it knows, VP8 first, and a server that takes the first answers with one that is not sent.
	var offered []webrtc.RTPCodecParameters
	for _, codec := range transceiver.Sender().GetParameters().Codecs {
		if codec.PayloadType == pt {
			offered = append(offered, codec)
		}
	}
	if len(offered) == 0 {
		return nil, fmt.Errorf("pion knows no %s with payload type %d", mime, pt)
	}
	if err := transceiver.SetCodecPreferences(offered); err != nil {
		return nil, err
	}
	sender := transceiver.Sender()
	// The interceptors, and with them the resending of lost packets, run only while somebody reads RTCP.
	go func() {
		buffer := make([]byte, 1500)
		for {
			if _, _, err := sender.Read(buffer); err != nil {
				return
			}
		}
	}()
	return track, nil
}

func repeat(track *webrtc.TrackLocalStaticSample, frames [][]byte, every time.Duration, connected <-chan struct{}, count func()) {
	<-connected
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for index := 0; ; index++ {
		sample := media.Sample{Data: frames[index%len(frames)], Duration: every}
		if err := track.WriteSample(sample); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		count()
		<-ticks.C
	}
}

// receive asks for sound and video and counts what comes.
func receive(pc *webrtc.PeerConnection, counted *counts) error {
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := pc.AddTransceiverFromKind(kind, init); err != nil {
			return err
		}
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			if track.Kind() == webrtc.RTPCodecTypeAudio {
				counted.audio.Add(1)
			} else if packet.Marker {
				counted.video.Add(1)
			}
		}
	})
	return nil
}

func ivfFrames(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, _, err := ivfreader.NewWith(file)
	if err != nil {
		return nil, err
	}
	return all(func() ([]byte, error) {
		frame, _, err := reader.ParseNextFrame()
		return frame, err
	})
}

// h264Pictures are access units in Annex B: every unit up to and with a slice. The files have one slice a picture.
func h264Pictures(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, err := h264reader.NewReader(file)
	if err != nil {
		return nil, err
	}
	return all(func() ([]byte, error) {
		var picture []byte
		for {
			unit, err := reader.NextNAL()
			if err != nil {
				return nil, err
			}
			picture = append(append(picture, 0, 0, 0, 1), unit.Data...)
			if unit.UnitType == h264reader.NalUnitTypeCodedSliceIdr || unit.UnitType == h264reader.NalUnitTypeCodedSliceNonIdr {
				return picture, nil
			}
		}
	})
}

// opusPackets reads a file whose pages hold one packet each. The first two pages are headers (RFC 7845); the reader takes the first.
func opusPackets(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, _, err := oggreader.NewWith(file)
	if err != nil {
		return nil, err
	}
	if _, _, err := reader.ParseNextPage(); err != nil {
		return nil, err
	}
	return all(func() ([]byte, error) {
		page, _, err := reader.ParseNextPage()
		return page, err
	})
}

func all(next func() ([]byte, error)) ([][]byte, error) {
	var found [][]byte
	for {
		one, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	if len(found) == 0 {
		return nil, errors.New("there is nothing in it")
	}
	return found, nil
}
