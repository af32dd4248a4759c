import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { MISSING_AFTER_MS, Missing, withoutWords } = await load("missing.js");

const look = (seconds, framesDecoded, audioBytesReceived, connections = 1) => ({
  kinds: ["audio", "video"],
  framesDecoded,
  audioBytesReceived,
  connections,
  timestamp: seconds * 1_000,
});

test("a kind that brings nothing new for three seconds is missing, and the other is not", () => {
  assert.equal(MISSING_AFTER_MS, 3_000);
  const missing = new Missing();
  assert.deepEqual(missing.look(look(0, 0, 0)), []);
  assert.deepEqual(missing.look(look(2, 0, 900)), []);
  assert.deepEqual(missing.look(look(3, 0, 1_200)), ["video"]);
  assert.deepEqual(missing.look(look(4, 25, 1_500)), [], "it comes");
  assert.deepEqual(missing.look(look(6, 25, 1_500)), []);
  assert.deepEqual(missing.look(look(7, 25, 1_500)), ["audio", "video"], "both have stopped");
  assert.deepEqual(missing.look(look(8, 25, 1_500, 2)), [], "another connection");
});

test("what was not asked for is not missing", () => {
  const missing = new Missing();
  const sound = (seconds) => ({ ...look(seconds, 0, 0), kinds: ["audio"] });
  missing.look(sound(0));
  assert.deepEqual(missing.look(sound(9)), ["audio"]);
});

test("it is said after the state", () => {
  assert.equal(withoutWords([]), "");
  assert.equal(withoutWords(["video"]), ", no picture");
  assert.equal(withoutWords(["audio", "video"]), ", no sound, no picture");
});
