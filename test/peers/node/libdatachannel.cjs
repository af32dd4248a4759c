"use strict";

// libdatachannel by node-datachannel.
//   node libdatachannel.cjs publish URL --media DIR [--video h264|vp8] [--simulcast]
//   node libdatachannel.cjs watch URL [--video h264|vp8]
// As publisher it behaves as OBS Studio does, which is built on the same library: one POST whose offer has no candidates, Opus as 111
// and video as 96, MID in the packets of video alone, no answer to requests for key frames, and an end that closes DTLS before the
// DELETE. Simulcast layers are called 0, 1, 2 from the highest down, and only the first one's SSRC is in the offer.
// It ends when the answer takes fewer layers, without a DELETE, as OBS does.

const path = require("node:path");
const { parseArgs } = require("node:util");
const { randomInt } = require("node:crypto");
const rtc = require("node-datachannel");
const { ivfFrames, h264AccessUnits, oggOpusPackets } = require("./frames.cjs");
const { RtpStream, opusPayloads, vp8Payloads, h264Payloads } = require("./packets.cjs");
const { offerTo, deleted, report, run } = require("./session.cjs");

const USER_AGENT = "Mozilla/5.0 (OBS-Studio/32.1.0; Linux x86_64; en-US)";
const AUDIO = { mid: "0", payloadType: 111, clock: 48_000, frameMs: 20, marked: false };
const VIDEO = { mid: "1", payloadType: 96, clock: 90_000, frameMs: 1000 / 15, marked: true };
const MID = 1;
const RID = 2;
const LAYERS = ["0", "1", "2"];
const WATCH_PATIENCE_MS = 15_000;
const TICK_MS = 10;
const REPORT_MS = 1000;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { media: { type: "string" }, video: { type: "string", default: "h264" }, simulcast: { type: "boolean", default: false } },
});
const [role, url] = positionals;
const counts = { video: 0, audio: 0 };

function addVideoCodec(media) {
  if (options.video === "h264") media.addH264Codec(VIDEO.payloadType);
  else media.addVP8Codec(VIDEO.payloadType);
}

function videoFrames(name) {
  return options.video === "h264"
    ? h264AccessUnits(path.join(options.media, `${name}.h264`)).map(h264Payloads)
    : ivfFrames(path.join(options.media, `${name}.ivf`)).map(vp8Payloads);
}

/** Sends each stream's frames over and over at the track's pace, from the moment that it is open; the frames' last packets are marked
 * where `marked`. A second's sender report is of one stream only, as with OBS, whose layers share one reporter. */
function play(track, { clock, frameMs, marked }, streams, count) {
  let started = null;
  let done = 0;
  let reports = 0;
  setInterval(() => {
    if (!track.isOpen()) return;
    started ??= performance.now();
    for (; started + done * frameMs <= performance.now(); done++) {
      const timestamp = Math.round((done * frameMs * clock) / 1000);
      for (const [stream, layer] of streams) {
        for (const packet of stream.packets(layer[done % layer.length], timestamp, marked)) track.sendMessageBinary(packet);
      }
      if (done * frameMs >= reports * REPORT_MS) {
        const [stream] = streams[reports % streams.length];
        track.sendMessageBinary(stream.senderReport(timestamp, Date.now()));
        reports++;
      }
      count();
    }
  }, TICK_MS);
}

function publishAudio(pc, ssrc) {
  const media = new rtc.Audio(AUDIO.mid, "SendOnly");
  media.addOpusCodec(AUDIO.payloadType);
  media.addSSRC(ssrc, "sfumato", "sfumato", "sfumato-audio");
  const track = pc.addTrack(media);
  track.setMediaHandler(new rtc.RtcpNackResponder());
  const frames = oggOpusPackets(path.join(options.media, "opus.ogg")).map(opusPayloads);
  const stream = new RtpStream({ ssrc, payloadType: AUDIO.payloadType });
  play(track, AUDIO, [[stream, frames]], () => counts.audio++);
}

function publishVideo(pc, ssrc) {
  const media = new rtc.Video(VIDEO.mid, "SendOnly");
  media.addSSRC(ssrc, "sfumato", "sfumato", "sfumato-video");
  media.parseSdpLine(`a=extmap:${MID} urn:ietf:params:rtp-hdrext:sdes:mid`);
  media.parseSdpLine(`a=extmap:${RID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`);
  if (options.simulcast) {
    for (const rid of LAYERS) media.parseSdpLine(`a=rid:${rid} send`);
    media.parseSdpLine(`a=simulcast:send ${LAYERS.join(";")}`);
  }
  addVideoCodec(media);
  const track = pc.addTrack(media);
  track.setMediaHandler(new rtc.RtcpNackResponder());
  const rids = options.simulcast ? LAYERS : [null];
  const streams = rids.map((rid, i) => {
    const headerExtensions = rid === null ? { [MID]: VIDEO.mid } : { [MID]: VIDEO.mid, [RID]: rid };
    const stream = new RtpStream({ ssrc: ssrc + i, payloadType: VIDEO.payloadType, headerExtensions });
    return [stream, videoFrames(rid === null ? "video" : `layer${rid}`)];
  });
  play(track, VIDEO, streams, () => counts.video++);
}

function watch(pc) {
  const audio = new rtc.Audio(AUDIO.mid, "RecvOnly");
  audio.addOpusCodec(AUDIO.payloadType);
  const video = new rtc.Video(VIDEO.mid, "RecvOnly");
  addVideoCodec(video);
  const isRtp = (packet) => packet.length >= 12 && (packet[1] < 192 || packet[1] > 223);
  const tracks = [audio, video].map((media) => {
    const track = pc.addTrack(media);
    track.setMediaHandler(new rtc.RtcpReceivingSession());
    return track;
  });
  tracks[0].onMessage((packet) => {
    if (isRtp(packet)) counts.audio++;
  });
  // A frame ends with the marker.
  tracks[1].onMessage((packet) => {
    if (isRtp(packet) && packet[1] & 0x80) counts.video++;
  });
  return tracks; // Tracks that nobody holds are collected, and with them their callbacks.
}

/** The offer as it is before anything was gathered: OBS gathers once it has the answer. */
function withoutCandidates(sdp) {
  return sdp
    .split("\r\n")
    .filter((line) => !/^a=(candidate:|end-of-candidates)/.test(line))
    .map((line) => line.replace(/^(m=\w+) \d+/, "$1 9").replace(/^c=.*/, "c=IN IP4 0.0.0.0"))
    .join("\r\n");
}

function layersIn(sdp) {
  const line = sdp.split("\r\n").find((l) => l.startsWith("a=simulcast:recv "));
  return line ? line.slice("a=simulcast:recv ".length).split(";").length : 1;
}

run(async () => {
  const pc = new rtc.PeerConnection("sfumato", { iceServers: [], disableAutoNegotiation: true });
  let state = "new";
  pc.onStateChange((now) => {
    state = now;
  });
  let tracks = null;
  if (role === "publish") {
    const ssrc = randomInt(1, 0x7fff_0000);
    publishAudio(pc, ssrc);
    publishVideo(pc, ssrc + 1);
  } else {
    tracks = watch(pc);
  }
  pc.setLocalDescription("Offer");
  const patience = role === "publish" ? 0 : WATCH_PATIENCE_MS;
  const offer = withoutCandidates(pc.localDescription().sdp);
  const { session, answer } = await offerTo(url, offer, { patience, headers: { "User-Agent": USER_AGENT } });
  if (options.simulcast && layersIn(answer) < LAYERS.length) {
    throw new Error(`the answer takes ${layersIn(answer)} of ${LAYERS.length} layers:\n${answer}`);
  }
  pc.setRemoteDescription(answer, "Answer");
  report(
    () => ({ ...counts, state: tracks && state === "connected" && tracks.some((t) => !t.isOpen()) ? "connecting" : state, session }),
    async () => {
      pc.close();
      return { deleted: await deleted(session), state: "closed" };
    },
  );
});
