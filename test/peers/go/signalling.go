package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	requestDeadline = 20 * time.Second
	retryEvery      = 200 * time.Millisecond
)

// negotiate gathers, offers until the offer is taken or patience is over, and takes the answer; it returns the session's URL.
func negotiate(pc *webrtc.PeerConnection, url string, patience time.Duration) (string, error) {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return "", err
	}
	<-gathered
	deadline := time.Now().Add(patience)
	for {
		status, session, body, err := post(url, pc.LocalDescription().SDP)
		if err != nil {
			return "", err
		}
		if status == http.StatusCreated {
			return session, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body})
		}
		again := status == http.StatusConflict || status == http.StatusServiceUnavailable
		if !again || time.Now().After(deadline) {
			return "", fmt.Errorf("POST %s: %d %s", url, status, body)
		}
		time.Sleep(retryEvery)
	}
}

func post(url, sdp string) (status int, session, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestDeadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(sdp))
	if err != nil {
		return 0, "", "", err
	}
	request.Header.Set("Content-Type", "application/sdp")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", "", err
	}
	if response.StatusCode == http.StatusCreated {
		location, err := response.Location()
		if err != nil {
			return 0, "", "", err
		}
		session = location.String()
	}
	return response.StatusCode, session, string(text), nil
}

// remove ends a session and returns the status.
func remove(session string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestDeadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, session, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
