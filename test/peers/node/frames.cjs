"use strict";

// Reads encoded media from files, frame by frame: VP8 from IVF, H264 from Annex B, Opus from Ogg (RFC 7845).

const fs = require("node:fs");

/** VP8 frames. */
function ivfFrames(path) {
  const file = fs.readFileSync(path);
  const frames = [];
  for (let at = file.readUInt16LE(6); at + 12 <= file.length; ) {
    const size = file.readUInt32LE(at);
    frames.push(file.subarray(at + 12, at + 12 + size));
    at += 12 + size;
  }
  return frames;
}

/** NAL units of an Annex B stream, without their start codes. */
function nalUnits(file) {
  const starts = [];
  for (let at = file.indexOf("\0\0\x01", 0, "latin1"); at >= 0; at = file.indexOf("\0\0\x01", at + 3, "latin1")) starts.push(at);
  return starts.map((start, i) => {
    let end = starts[i + 1] ?? file.length;
    // The zero of a four-byte start code, and any padding, is no part of the unit before it.
    while (end > start + 3 && file[end - 1] === 0) end--;
    return file.subarray(start + 3, end);
  });
}

/** H264 access units, each a list of NAL units; a new one begins at the first slice of a picture or at what comes before it. */
function h264AccessUnits(path) {
  const isSlice = (unit) => [1, 5].includes(unit[0] & 0x1f);
  const units = [];
  let current = [];
  let sliced = false;
  for (const unit of nalUnits(fs.readFileSync(path))) {
    // first_mb_in_slice is 0, so its Exp-Golomb code is a single set bit.
    const beginsPicture = isSlice(unit) && (unit[1] & 0x80) !== 0;
    if (sliced && (beginsPicture || !isSlice(unit))) {
      units.push(current);
      current = [];
      sliced = false;
    }
    current.push(unit);
    sliced ||= isSlice(unit);
  }
  if (sliced) units.push(current);
  return units;
}

/** Opus packets of 20 ms; the two header packets are left out. */
function oggOpusPackets(path) {
  const file = fs.readFileSync(path);
  const packets = [];
  let parts = [];
  for (let at = 0; at + 27 <= file.length && file.toString("latin1", at, at + 4) === "OggS"; ) {
    const segments = file[at + 26];
    let data = at + 27 + segments;
    for (let i = 0; i < segments; i++) {
      const size = file[at + 27 + i];
      parts.push(file.subarray(data, data + size));
      data += size;
      if (size < 255) {
        packets.push(Buffer.concat(parts));
        parts = [];
      }
    }
    at = data;
  }
  return packets.slice(2);
}

module.exports = { ivfFrames, h264AccessUnits, oggOpusPackets };
