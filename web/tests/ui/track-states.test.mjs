import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { trouble, troubles } = await load("track-states.js");

const track = (kind, codec, state) => ({ kind, codec, state });

test("a track of which nothing can be shown is told with what to change, and others are not", () => {
  for (const state of ["waiting", "flowing", undefined, "of a later release"]) assert.equal(trouble(track("video", "VP8", state)), null);
  const h264 = trouble(track("video", "H264", "noKeyFrame"));
  assert.equal(h264.word, "no key frame");
  assert.match(h264.why, /config-interval=-1.*dump_extra/);
  assert.doesNotMatch(trouble(track("video", "VP8", "noKeyFrame")).why, /SPS/);
});

test("of a stream each kind is told in a sentence of its own", () => {
  const tracks = [track("audio", "opus", "nothing"), track("video", "VP8", "strangeSsrc")];
  assert.match(troubles({ tracks }), /^No sound: .+\. No picture: .+SSRC.+\.$/);
  assert.equal(troubles({ tracks: [track("audio", "opus", "flowing")] }), "");
  assert.equal(troubles(undefined), "");
});
