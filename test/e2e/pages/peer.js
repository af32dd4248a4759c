"use strict";

// The test's own WHIP (RFC 9725) and WHEP client. It never trickles, and retries a WHEP 409 or 503 as players do. With `ask` it
// takes an offer of the server, by an empty POST.
const sessions = new Map();
let lastId = 0;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function newSession(kind, pc = new RTCPeerConnection()) {
  const session = { id: ++lastId, kind, pc, url: null, events: [], streams: [], tracks: [] };
  const note = (what, state) => session.events.push({ what, state, at: Date.now() });
  pc.addEventListener("connectionstatechange", () => note("connection", pc.connectionState));
  pc.addEventListener("iceconnectionstatechange", () => note("ice", pc.iceConnectionState));
  session.note = note;
  sessions.set(session.id, session);
  return session;
}

function watchDtls(session) {
  const seen = new Set();
  for (const transceiver of session.pc.getTransceivers()) {
    for (const end of [transceiver.sender, transceiver.receiver]) {
      const dtls = end?.transport;
      if (dtls && !seen.has(dtls)) {
        seen.add(dtls);
        dtls.addEventListener("statechange", () => session.note("dtls", dtls.state));
      }
    }
  }
}

async function negotiate(session, url, retryMs, { ask = false, received = (answer) => answer } = {}) {
  const { pc } = session;
  if (!ask) await pc.setLocalDescription(await pc.createOffer());
  session.offer = ask ? "" : pc.localDescription.sdp;
  const started = Date.now();
  for (;;) {
    const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: session.offer });
    const body = await response.text();
    if (response.status === 201) {
      const location = response.headers.get("Location");
      if (!location) throw new Error("201 without a Location that a page may read");
      session.url = new URL(location, response.url).href;
      session.answer = body;
      session.links = response.headers.get("Link") ?? "";
      session.answeredAt = Date.now();
      if (ask) {
        await pc.setRemoteDescription({ type: "offer", sdp: body });
        await pc.setLocalDescription(await pc.createAnswer());
        session.answer = pc.localDescription.sdp;
        await patch(session, "application/sdp", session.answer, response.headers.get("ETag"));
        watchDtls(session);
        return;
      }
      await pc.setRemoteDescription({ type: "answer", sdp: received(body) });
      watchDtls(session);
      return;
    }
    const again = response.status === 409 || response.status === 503;
    if (!again || Date.now() - started > retryMs) throw new Error(`POST ${url}: ${response.status} ${body}`);
    await sleep(200);
  }
}

async function patch(session, type, body, tag) {
  const response = await fetch(session.url, { method: "PATCH", headers: { "Content-Type": type, "If-Match": tag }, body });
  const text = await response.text();
  if (!response.ok) throw new Error(`PATCH ${session.url}: ${response.status} ${text}`);
  return text;
}

// ICE restart (RFC 9725 section 4.3): our new credentials go out as a fragment, the server's come back as one. The rest of
// its answer still holds.
async function restart(id) {
  const session = sessions.get(id);
  const { pc } = session;
  await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
  const value = (text, name) => text.match(new RegExp(`^a=${name}:(.*?)\\r?$`, "m"))[1];
  const offer = pc.localDescription.sdp;
  const body = [
    offer.match(/^m=.*$/m)[0].trim(),
    `a=mid:${value(offer, "mid")}`,
    `a=ice-ufrag:${value(offer, "ice-ufrag")}`,
    `a=ice-pwd:${value(offer, "ice-pwd")}`,
    "",
  ].join("\r\n");
  const fragment = await patch(session, "application/trickle-ice-sdpfrag", body, "*");
  session.answer = session.answer
    .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${value(fragment, "ice-ufrag")}`)
    .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${value(fragment, "ice-pwd")}`);
  await pc.setRemoteDescription({ type: "answer", sdp: session.answer });
}

function preferVideo(transceiver, codec) {
  const all = RTCRtpReceiver.getCapabilities("video").codecs;
  const wanted = all.filter((c) => c.mimeType.toLowerCase() === `video/${codec.toLowerCase()}`);
  if (!wanted.length) throw new Error(`this browser has no ${codec}`);
  transceiver.setCodecPreferences([...wanted, ...all.filter((c) => /rtx$/i.test(c.mimeType))]);
}

// What Chromium takes the path to carry before it has measured it: layers above that would come only after many seconds.
const startingAt = (kbps) => (answer) => answer.replace(/(a=rtpmap:(\d+) VP8\/90000\r\n)/, `$1a=fmtp:$2 x-google-start-bitrate=${kbps}\r\n`);

// `layers` are simulcast encodings as addTransceiver takes them, for example { rid: "q", scaleResolutionDownBy: 4 }.
async function publish(
  url,
  { codec = "VP8", width = 320, height = 240, frameRate = 15, layers = null, kinds = ["audio", "video"] } = {},
) {
  const session = newSession("publish");
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width, height, frameRate } });
  session.streams.push(media);
  for (const track of media.getTracks().filter(({ kind }) => kinds.includes(kind))) {
    const sendEncodings = layers && track.kind === "video" ? layers : undefined;
    const transceiver = session.pc.addTransceiver(track, { direction: "sendonly", streams: [media], ...(sendEncodings && { sendEncodings }) });
    if (track.kind === "video") preferVideo(transceiver, codec);
  }
  await negotiate(session, url, 0, { received: layers ? startingAt(3000) : undefined });
  return { id: session.id, url: session.url, answer: session.answer };
}

async function watch(url, { retryMs = 5000, ask = false } = {}) {
  const session = newSession("watch");
  if (!ask) {
    session.pc.addTransceiver("audio", { direction: "recvonly" });
    session.pc.addTransceiver("video", { direction: "recvonly" });
  }
  session.pc.addEventListener("track", ({ track }) => {
    session.tracks.push(track);
    const element = document.createElement(track.kind);
    element.autoplay = true;
    element.muted = true;
    element.srcObject = new MediaStream([track]);
    document.body.append(element);
    element.play?.().catch(() => {});
    session.streams.push(element.srcObject);
  });
  await negotiate(session, url, retryMs, { ask });
  return { id: session.id, url: session.url, answer: session.answer, links: session.links };
}

// A session that somebody else's client makes and ends; `open` is what it is called by.
async function adopt(open, client, url) {
  const opened = await open(client, url);
  const session = Object.assign(newSession(client, opened.pc), { url: opened.session, streams: opened.streams, stop: opened.stop });
  return { id: session.id, url: session.url, answer: session.pc.remoteDescription.sdp };
}

async function stats(id) {
  const session = sessions.get(id);
  const result = {
    connectionState: session.pc.connectionState,
    iceConnectionState: session.pc.iceConnectionState,
    framesDecoded: 0,
    framesSent: 0,
    audioPackets: 0,
    videoPackets: 0,
    packetsLost: 0,
    frameHeight: 0,
    layersSent: {},
    codec: null,
    localUfrag: null,
    localPort: 0,
    rtx: false,
    events: session.events,
  };
  const report = await session.pc.getStats();
  for (const s of report.values()) {
    if (s.type === "inbound-rtp" && s.kind === "video") {
      result.framesDecoded += s.framesDecoded ?? 0;
      result.videoPackets += s.packetsReceived ?? 0;
      result.packetsLost += s.packetsLost ?? 0;
      result.frameHeight = s.frameHeight ?? 0;
      result.codec = report.get(s.codecId)?.mimeType ?? result.codec;
      result.rtx ||= s.rtxSsrc !== undefined;
    } else if (s.type === "transport") {
      result.localUfrag = s.iceLocalUsernameFragment ?? null;
      result.localPort = report.get(report.get(s.selectedCandidatePairId)?.localCandidateId)?.port ?? 0;
    } else if (s.type === "inbound-rtp" && s.kind === "audio") {
      result.audioPackets += s.packetsReceived ?? 0;
      result.packetsLost += s.packetsLost ?? 0;
    } else if (s.type === "outbound-rtp" && s.kind === "video") {
      result.framesSent += s.framesSent ?? s.framesEncoded ?? 0;
      if (s.rid) result.layersSent[s.rid] = { height: s.frameHeight ?? 0, frames: s.framesSent ?? 0 };
      result.codec = report.get(s.codecId)?.mimeType ?? result.codec;
    }
  }
  return result;
}

// Sends nothing at all on a connection that stays, and goes on later.
async function send(id, on) {
  const session = sessions.get(id);
  session.paused ??= session.pc.getSenders().map((sender) => [sender, sender.track]);
  await Promise.all(session.paused.map(([sender, track]) => sender.replaceTrack(on ? track : null)));
}

// Follows the events of a session as any player does: POST, then EventSource. `heard` has what came.
async function listen(id, path, events) {
  const session = sessions.get(id);
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(new URL(path, session.url), { method: "POST", headers, body: JSON.stringify(events) });
  if (response.status !== 201) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
  const url = new URL(response.headers.get("Location"), response.url).href;
  const source = new EventSource(url);
  session.heard = [];
  for (const name of events) source.addEventListener(name, ({ data }) => session.heard.push([name, JSON.parse(data)]));
  return url;
}

const heard = (id) => sessions.get(id).heard;

async function close(id) {
  const session = sessions.get(id);
  if (!session) return null;
  sessions.delete(id);
  const response = session.stop ? await session.stop() : session.url ? await fetch(session.url, { method: "DELETE" }) : null;
  for (const stream of session.streams) for (const track of stream.getTracks()) track.stop();
  session.pc.close();
  return response?.status ?? null;
}

async function closeAll() {
  await Promise.allSettled([...sessions.keys()].map(close));
}

// The browser alone, without any server: proves that this machine can encode, send over loopback and decode.
async function loopback() {
  const sender = newSession("loopback-send");
  const receiver = newSession("loopback-receive");
  sender.pc.onicecandidate = ({ candidate }) => candidate && receiver.pc.addIceCandidate(candidate);
  receiver.pc.onicecandidate = ({ candidate }) => candidate && sender.pc.addIceCandidate(candidate);
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240, frameRate: 15 } });
  sender.streams.push(media);
  for (const track of media.getTracks()) sender.pc.addTrack(track, media);
  await sender.pc.setLocalDescription();
  await receiver.pc.setRemoteDescription(sender.pc.localDescription);
  await receiver.pc.setLocalDescription();
  await sender.pc.setRemoteDescription(receiver.pc.localDescription);
  return { id: receiver.id };
}

window.peer = { publish, watch, adopt, restart, stats, send, listen, heard, close, closeAll, loopback };
