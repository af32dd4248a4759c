import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { withStereo } = await load("whip-whep.js");

test("Opus is asked for with two channels, once, and nothing else is touched", () => {
  const sdp = (fmtp) => `m=audio 9 X 111 63\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:63 111/111\r\n${fmtp}\r\nm=video`;
  assert.equal(withStereo(sdp("a=fmtp:111 minptime=10;useinbandfec=1")), sdp("a=fmtp:111 minptime=10;useinbandfec=1;stereo=1"));
  assert.equal(withStereo(sdp("a=fmtp:111 sprop-stereo=1")), sdp("a=fmtp:111 sprop-stereo=1;stereo=1"));
  for (const untouched of [sdp("a=fmtp:111 minptime=10;stereo=0"), sdp("a=fmtp:111 stereo=1;useinbandfec=1"), "v=0", "m=video 9 X 96\r\na=rtpmap:96 VP8/90000"]) {
    assert.equal(withStereo(untouched), untouched);
  }
});
