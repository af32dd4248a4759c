// What a link to the page may start by itself. Run by `node --test web/tests/ui/*.test.mjs`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { wishes } = await load("parameters.js");

/** The only wish of a link. */
function only(search) {
  const all = wishes(search);
  assert.equal(all.length, 1, search);
  return all[0];
}

test("a camera never starts by a link, and the page says that a click is needed", () => {
  for (const search of [
    "?publish=demo&source=camera&autostart=1",
    "?publish=demo&source=camera&autostart=1&node=sfu-1&simulcast=1",
    "?autostart=1&source=camera&publish=demo&source=test",
  ]) {
    const { starts, waits, source } = only(search);
    assert.equal(starts, false, search);
    assert.equal(source, "camera", search);
    assert.match(waits, /press Publish/);
  }
});

test("the test picture and a player start by a link that asks for it, and by no other", () => {
  assert.equal(only("?publish=demo&autostart=1").starts, true);
  assert.equal(only("?publish=demo&source=screen&autostart=1").source, "test");
  assert.equal(only("?watch=demo&source=camera&autostart=1").starts, true);
  for (const search of ["?publish=demo", "?watch=demo", "?watch=demo&autostart=true", "?publish=demo&source=camera"]) {
    assert.deepEqual([only(search).starts, only(search).waits], [false, null], search);
  }
});

test("a link to watch never turns the sound on", () => {
  assert.equal("sound" in only("?watch=demo&sound=1&autostart=1"), false);
});

test("a link fills in names, node, size and simulcast", () => {
  assert.deepEqual(wishes(""), []);
  const [publish, watch] = wishes("?publish=a&watch=b&node=sfu-2&size=640x360&simulcast=1");
  assert.deepEqual([publish.stream, publish.node, publish.width, publish.height, publish.simulcast], ["a", "sfu-2", 640, 360, true]);
  assert.deepEqual([watch.stream, watch.node, watch.simulcast], ["b", "sfu-2", false]);
  assert.deepEqual([only("?publish=a&size=big").width, only("?publish=a&size=640").height], [undefined, undefined]);
});
