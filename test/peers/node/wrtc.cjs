"use strict";

// libwebrtc of 2022 (M106) by @roamhq/wrtc: a stand-in for Safari and for programs that carry an old libwebrtc.
//   node wrtc.cjs publish URL
//   node wrtc.cjs watch URL [--video-first]
// It keeps the header extension ids of its own offer, whatever the answer says, as newer ones do not.

const wrtc = require("@roamhq/wrtc");
const { offerTo, answerTo, deleted, report, run } = require("./session.cjs");

const { RTCVideoSource, RTCAudioSource, RTCVideoSink } = wrtc.nonstandard;
const WIDTH = 320;
const HEIGHT = 240;
const FRAME_MS = 1000 / 15;
const SAMPLE_RATE = 48_000;
const SAMPLES_IN_10_MS = SAMPLE_RATE / 100;
const WATCH_PATIENCE_MS = 15_000;
const STATS_MS = 200;

const counts = { video: 0, audio: 0 };

/** A grey picture with a bright bar that moves, in I420. */
function picture(index) {
  const data = new Uint8ClampedArray((WIDTH * HEIGHT * 3) / 2).fill(0x80);
  const left = (index * 4) % (WIDTH - 32);
  for (let row = 0; row < HEIGHT; row++) data.fill(0xe0, row * WIDTH + left, row * WIDTH + left + 32);
  return { width: WIDTH, height: HEIGHT, data };
}

/** 10 ms of a square wave of 480 Hz. */
function tone() {
  const half = SAMPLE_RATE / 480 / 2;
  const samples = Int16Array.from({ length: SAMPLES_IN_10_MS }, (_, n) => (Math.floor(n / half) % 2 ? -800 : 800));
  return { samples, sampleRate: SAMPLE_RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: SAMPLES_IN_10_MS };
}

/** Calls `work` with 0, 1, 2, ... at a steady pace; late calls are made up for. */
function paced(everyMs, work) {
  const start = performance.now();
  let done = 0;
  setInterval(() => {
    for (; start + done * everyMs <= performance.now(); done++) work(done);
  }, everyMs / 2);
}

function send(pc) {
  const video = new RTCVideoSource();
  const audio = new RTCAudioSource();
  const media = new wrtc.MediaStream([audio.createTrack(), video.createTrack()]);
  for (const track of media.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [media] });
  paced(FRAME_MS, (index) => {
    video.onFrame(picture(index));
    counts.video++;
  });
  const sound = tone();
  paced(10, () => {
    audio.onData(sound);
    counts.audio++;
  });
}

function receive(pc, kinds) {
  for (const kind of kinds) {
    count(pc.addTransceiver(kind, { direction: "recvonly" }).receiver.track);
  }
}

function count(track) {
  if (track.kind === "video") {
    const sink = new RTCVideoSink(track);
    sink.onframe = () => counts.video++;
  }
}

/** Keeps `counts.audio` at the packets that came: a sink of sound is fed with silence where nothing does. */
function countSound(pc) {
  setInterval(async () => {
    for (const entry of (await pc.getStats()).values()) {
      if (entry.type === "inbound-rtp" && entry.kind === "audio") counts.audio = entry.packetsReceived;
    }
  }, STATS_MS);
}

function gathered(pc) {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve();
  });
}

/** A connection that takes the server's offer in the place of its own. */
async function takeOffer(session, offer) {
  const pc = new wrtc.RTCPeerConnection({ iceServers: [] });
  pc.ontrack = ({ track }) => count(track);
  await pc.setRemoteDescription({ type: "offer", sdp: offer });
  await pc.setLocalDescription(await pc.createAnswer());
  await gathered(pc);
  await answerTo(session, pc.localDescription.sdp);
  return pc;
}

run(async () => {
  const [role, url, order] = process.argv.slice(2);
  let pc = new wrtc.RTCPeerConnection({ iceServers: [] });
  if (role === "publish") send(pc);
  else receive(pc, order === "--video-first" ? ["video", "audio"] : ["audio", "video"]);
  await pc.setLocalDescription(await pc.createOffer());
  await gathered(pc);
  const patience = role === "publish" ? 0 : WATCH_PATIENCE_MS;
  const { session, answer, counter } = await offerTo(url, pc.localDescription.sdp, { patience });
  if (counter) {
    pc.close();
    pc = await takeOffer(session, answer);
  } else {
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
  }
  if (role === "watch") countSound(pc);
  report(
    () => ({ ...counts, state: pc.connectionState, session, counter }),
    async () => {
      const status = await deleted(session);
      pc.close();
      return { deleted: status, state: "closed" };
    },
  );
});
