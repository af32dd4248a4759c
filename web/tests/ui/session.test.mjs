// The page's sessions, with a server and a connection that do what a test says. Run by `node --test web/tests/ui/*.test.mjs`.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { load } from "./modules.mjs";

/** A connection that is up at once, until it is told to fail. */
class Connection extends EventTarget {
  connectionState = "connected";
  localDescription = { type: "offer", sdp: "v=0" };
  createOffer() {
    return this.localDescription;
  }
  setLocalDescription() {}
  setRemoteDescription() {}
  getTransceivers() {
    return [];
  }
  close() {
    this.connectionState = "closed";
  }
  fail() {
    this.connectionState = "failed";
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}

const realTimeout = globalThis.setTimeout;
Object.assign(globalThis, {
  location: { href: "http://door.test/" },
  RTCPeerConnection: Connection,
  fetch: async (url, { method }) => {
    const headers = { "content-type": "application/sdp", location: "/nodes/sfu-1/whip/demo/1" };
    const response = new Response(method === "POST" ? "v=0" : null, { status: method === "POST" ? 201 : 204, headers });
    return Object.defineProperty(response, "url", { value: String(url) });
  },
});

const { Session } = await load("session.js");
const { Unreachable } = await load("unreachable.js");

function publish() {
  return new Session({ role: "publish", stream: "demo", source: { stream: { getTracks: () => [] }, stop() {} } });
}

/** Resolves at the first change of the session that satisfies the condition. */
function until(session, condition) {
  return new Promise((resolve) => {
    const look = () => condition(session) && resolve();
    session.addEventListener("change", look);
    look();
  });
}

test("a session that is lost and opened again many times leaves no listeners behind", { timeout: 10_000 }, async () => {
  globalThis.setTimeout = (work) => realTimeout(work, 0);
  const session = publish();
  session.addEventListener("change", () => {
    const connection = session.current?.pc;
    if (session.state === "live") setImmediate(() => connection.fail());
  });
  try {
    await until(session, ({ connections, state }) => connections === 20 && state === "live");
    const listeners = getEventListeners(session.stopping.signal, "abort").length;
    assert.ok(listeners <= 2, `${listeners} listeners wait for the end of one session`);
  } finally {
    session.stop();
    globalThis.setTimeout = realTimeout;
  }
});

test("a session that is stopped between two attempts ends at once", { timeout: 10_000 }, async () => {
  const session = publish();
  await until(session, ({ state }) => state === "live");
  const retrying = until(session, ({ state }) => state === "retrying");
  session.current.pc.fail();
  await retrying;
  session.stop();
  await session.done;
  assert.equal(session.state, "stopped");
  assert.equal(getEventListeners(session.stopping.signal, "abort").length, 0);
});

/** A connection that tries the node's address in vain, forgets that once it is closed, and fails. */
class Deaf extends Connection {
  connectionState = "connecting";
  iceConnectionState = "checking";
  constructor() {
    super();
    setImmediate(() => this.fail());
  }
  async getStats() {
    const remote = { id: "R", type: "remote-candidate", protocol: "udp", address: "203.0.113.7", port: 30228 };
    const pair = { id: "P", type: "candidate-pair", remoteCandidateId: "R", state: "failed", requestsSent: 9 };
    return new Map(this.connectionState === "closed" ? [] : [remote, pair].map((entry) => [entry.id, entry]));
  }
}

test("a session that cannot connect says which addresses it tried, and goes on saying so while it tries again", { timeout: 10_000 }, async () => {
  const { fetch } = globalThis;
  const answer = "v=0\r\na=candidate:1 1 udp 1076302079 203.0.113.7 30228 typ host\r\n";
  globalThis.fetch = async (url, { method }) => {
    const headers = { "content-type": "application/sdp", location: "/nodes/sfu-1/whip/demo/1" };
    const response = new Response(method === "POST" ? answer : null, { status: method === "POST" ? 201 : 204, headers });
    return Object.defineProperty(response, "url", { value: String(url) });
  };
  globalThis.RTCPeerConnection = Deaf;
  const session = publish();
  const seen = [];
  session.addEventListener("change", () => seen.push([session.state, session.error instanceof Unreachable]));
  try {
    await until(session, ({ state, error }) => state === "connecting" && error);
    assert.deepEqual(seen, [
      ["retrying", true],
      ["connecting", true],
    ]);
    const { node, addresses } = session.error;
    assert.equal(node, "sfu-1");
    const tries = [{ protocol: "UDP", tried: true, reached: false, words: "no answer to 9 checks" }];
    assert.deepEqual(addresses, [{ host: "203.0.113.7", port: 30228, tries }]);
  } finally {
    session.stop();
    Object.assign(globalThis, { fetch, RTCPeerConnection: Connection });
  }
});
