"use strict";

// Cuts frames into RTP packets: Opus (RFC 7587), VP8 (RFC 7741) and H264 (RFC 6184, packetization-mode 1).

/** Payload bytes of a packet, as OBS Studio cuts them. */
const LARGEST_PAYLOAD = 1200;
const FU_A = 28;
const SECONDS_1900_TO_1970 = 2_208_988_800;

function opusPayloads(packet) {
  return [packet];
}

function vp8Payloads(frame) {
  const payloads = [];
  for (let at = 0; at < frame.length; at += LARGEST_PAYLOAD) {
    // The start of the first partition has S set; nothing else of the descriptor is needed.
    payloads.push(Buffer.concat([Buffer.of(at === 0 ? 0x10 : 0x00), frame.subarray(at, at + LARGEST_PAYLOAD)]));
  }
  return payloads;
}

function h264Payloads(units) {
  return units.flatMap((unit) => {
    if (unit.length <= LARGEST_PAYLOAD) return [unit];
    const payloads = [];
    const indicator = (unit[0] & 0xe0) | FU_A;
    for (let at = 1; at < unit.length; at += LARGEST_PAYLOAD) {
      const start = at === 1 ? 0x80 : 0;
      const end = at + LARGEST_PAYLOAD >= unit.length ? 0x40 : 0;
      payloads.push(Buffer.concat([Buffer.of(indicator, start | end | (unit[0] & 0x1f)), unit.subarray(at, at + LARGEST_PAYLOAD)]));
    }
    return payloads;
  });
}

/** One-byte header extensions (RFC 8285) of { id: text }, or nothing. */
function extensions(values) {
  const entries = Object.entries(values).map(([id, text]) => {
    const value = Buffer.from(text, "latin1");
    return Buffer.concat([Buffer.of((Number(id) << 4) | (value.length - 1)), value]);
  });
  if (entries.length === 0) return null;
  const body = Buffer.concat(entries);
  const words = Math.ceil(body.length / 4);
  const block = Buffer.alloc(4 + words * 4);
  block.writeUInt16BE(0xbede, 0);
  block.writeUInt16BE(words, 2);
  body.copy(block, 4);
  return block;
}

/** A stream of RTP packets with one SSRC. */
class RtpStream {
  constructor({ ssrc, payloadType, headerExtensions = {} }) {
    this.ssrc = ssrc;
    this.payloadType = payloadType;
    this.extensions = extensions(headerExtensions);
    this.sequence = Math.floor(Math.random() * 0x8000);
    this.packetCount = 0;
    this.octetCount = 0;
  }

  /** The packets of one frame; the last carries the marker where `marked`. */
  packets(payloads, timestamp, marked) {
    return payloads.map((payload, i) => {
      const header = Buffer.alloc(12);
      header[0] = 0x80 | (this.extensions ? 0x10 : 0);
      header[1] = this.payloadType | (marked && i === payloads.length - 1 ? 0x80 : 0);
      header.writeUInt16BE(this.sequence, 2);
      header.writeUInt32BE(timestamp >>> 0, 4);
      header.writeUInt32BE(this.ssrc, 8);
      this.sequence = (this.sequence + 1) & 0xffff;
      this.packetCount++;
      this.octetCount += payload.length;
      return Buffer.concat(this.extensions ? [header, this.extensions, payload] : [header, payload]);
    });
  }

  /** A sender report (RFC 3550 section 6.4.1) that ties `timestamp` to `now`, in ms since 1970. */
  senderReport(timestamp, now) {
    const report = Buffer.alloc(28);
    report.writeUInt16BE(0x80c8, 0);
    report.writeUInt16BE(6, 2);
    report.writeUInt32BE(this.ssrc, 4);
    report.writeUInt32BE(Math.floor(now / 1000) + SECONDS_1900_TO_1970, 8);
    report.writeUInt32BE(Math.floor(((now % 1000) / 1000) * 2 ** 32), 12);
    report.writeUInt32BE(timestamp >>> 0, 16);
    report.writeUInt32BE(this.packetCount >>> 0, 20);
    report.writeUInt32BE(this.octetCount >>> 0, 24);
    return report;
  }
}

module.exports = { RtpStream, opusPayloads, vp8Payloads, h264Payloads };
