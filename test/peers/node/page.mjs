// WHIP and WHEP clients for web pages, each behind the same two calls. `scripts/tools.sh peers` makes one script of this file and its packages;
// test/e2e/harness/foreign.py puts it into a page as `others`.

import { WebRTCPlayer } from "@eyevinn/webrtc-player";
import { WHIPClient as EyevinnPublisher } from "@eyevinn/whip-web-client";
import { WHEPClient } from "whip-whep/whep.js";
import { WHIPClient } from "whip-whep/whip.js";

const CONNECT_DEADLINE_MS = 20_000;

function connected(pc) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (pc.connectionState === "connected") resolve();
      if (["failed", "closed"].includes(pc.connectionState)) reject(new Error(`the connection is ${pc.connectionState}`));
    };
    pc.addEventListener("connectionstatechange", look);
    setTimeout(() => reject(new Error("no connection in time")), CONNECT_DEADLINE_MS);
    look();
  });
}

// What shows that media arrives. In the page, since engines do not decode for an element outside of it.
function videoElement() {
  const element = document.createElement("video");
  element.autoplay = true;
  element.muted = true;
  document.body.append(element);
  return element;
}

const publishers = {
  async eyevinn(url, media) {
    let pc;
    const client = new EyevinnPublisher({
      endpoint: url,
      opts: { iceServers: [] },
      peerConnectionFactory: (configuration) => (pc = new RTCPeerConnection(configuration)),
    });
    await client.ingest(media);
    return { pc, session: await client.getResourceUrl(), stop: () => client.destroy() };
  },
  async medooze(url, media) {
    const pc = new RTCPeerConnection();
    for (const track of media.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [media] });
    const client = new WHIPClient();
    await client.publish(pc, url);
    return { pc, session: client.resourceURL.href, stop: () => client.stop() };
  },
};

const players = {
  async eyevinn(url) {
    const player = new WebRTCPlayer({ video: videoElement(), type: "whep", iceServers: [] });
    await player.load(new URL(url));
    return {
      pc: player.peer,
      // Known once the answer is here.
      get session() {
        return player.adapter.resource;
      },
      stop: () => player.unload(),
    };
  },
  async medooze(url) {
    const pc = new RTCPeerConnection();
    const element = videoElement();
    element.srcObject = new MediaStream();
    pc.addEventListener("track", ({ track }) => element.srcObject.addTrack(track));
    for (const kind of ["audio", "video"]) pc.addTransceiver(kind, { direction: "recvonly" });
    const client = new WHEPClient();
    await client.view(pc, url);
    return { pc, session: client.resourceURL.href, stop: () => client.stop() };
  },
};

export async function publish(name, url) {
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240, frameRate: 15 } });
  const opened = await publishers[name](url, media);
  await connected(opened.pc);
  return Object.assign(opened, { streams: [media] });
}

export async function watch(name, url) {
  const opened = await players[name](url);
  await connected(opened.pc);
  return Object.assign(opened, { streams: [] });
}
