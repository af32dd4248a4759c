// What the page makes of the servers that an answer names. Run by `node --test web/tests/ui/*.test.mjs`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { iceServers, use } = await load("ice-servers.js");

const TURN =
  '<turn:turn.example.net:3478?transport=tcp>; rel="ice-server"; username="1796119356:vFxuKT4v"; credential="0+a/b="; credential-type="password"';

test("stun and turn servers of several headers are found, and links of other kinds are not", () => {
  const header = `<stun:stun.example.net>; rel="ice-server", ${TURN}, </whep/a/b/layer>; rel="urn:ietf:params:whep:ext:core:layer"`;
  assert.deepEqual(iceServers(header), [
    { urls: "stun:stun.example.net" },
    { urls: "turn:turn.example.net:3478?transport=tcp", username: "1796119356:vFxuKT4v", credential: "0+a/b=" },
  ]);
});

test("what a browser would refuse is left out", () => {
  for (const header of [
    null,
    "",
    "nonsense",
    '<turn:a>; rel="ice-server"',
    '<turn:a>; rel="ice-server"; username="u"',
    '<https://a>; rel="ice-server"',
    '<stun:a>; rel="other"',
    '<stun:a>',
  ]) {
    assert.deepEqual(iceServers(header), [], header);
  }
  assert.equal(iceServers(Array(100).fill(TURN).join(", ")).length, 8);
});

test("a connection keeps its other settings, and goes on where it takes none", () => {
  const seen = [];
  const pc = { getConfiguration: () => ({ bundlePolicy: "max-bundle" }), setConfiguration: (to) => seen.push(to) };
  use(pc, []);
  use(pc, [{ urls: "stun:a" }]);
  assert.deepEqual(seen, [{ bundlePolicy: "max-bundle", iceServers: [{ urls: "stun:a" }] }]);
  const refusing = {
    getConfiguration: () => ({}),
    setConfiguration: () => {
      throw new Error("no");
    },
  };
  use(refusing, [{ urls: "stun:a" }]);
});
