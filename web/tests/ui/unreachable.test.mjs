// What the page says when no media passes. Run by `node --test web/tests/ui/*.test.mjs`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { Checks } = await load("checks.js");
const { MOST_CANDIDATES, MOST_LISTED, Unreachable, explain, mediaAddresses } = await load("unreachable.js");
const { shownState, veilText } = await load("tile.js");

/** A description with these candidates, `UDP 203.0.113.7 30228` each, in two sections. */
function sdp(...candidates) {
  const line = (candidate, index) => {
    const [protocol, host, port] = candidate.split(" ");
    return `a=candidate:${index + 1} 1 ${protocol.toLowerCase()} 1076302079 ${host} ${port} typ host${protocol === "TCP" ? " tcptype passive" : ""}`;
  };
  const section = ["a=mid:0", ...candidates.map(line), "a=end-of-candidates"];
  return ["v=0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", ...section, "m=video 9 UDP/TLS/RTP/SAVPF 96", ...section, ""].join("\r\n");
}

/** Both protocols at these hosts. */
function both(port, ...hosts) {
  return sdp(...hosts.map((host) => `UDP ${host} ${port}`), ...hosts.map((host) => `TCP ${host} ${port}`));
}

/** Statistics as browsers give them: `[protocol, host, port, pair]` each, and the browser's own candidates. */
function report(pairs, own = [{ candidateType: "host", address: "b2d0a0c3-7a3f-4c8e-9c6b-2f1f5f3c1a11.local" }]) {
  const entries = own.map((candidate, index) => ({ id: `L${index}`, type: "local-candidate", ...candidate }));
  for (const [index, [protocol, address, port, pair]] of pairs.entries()) {
    entries.push({ id: `R${index}`, type: "remote-candidate", protocol, address, port });
    entries.push({ id: `P${index}`, type: "candidate-pair", localCandidateId: "L0", remoteCandidateId: `R${index}`, ...pair });
  }
  return new Map(entries.map((entry) => [entry.id, entry]));
}

const SILENT = { state: "in-progress", requestsSent: 9, responsesReceived: 0 };

/** What is told after these looks. */
function told(description, looks, pageHost = "sfu.example.net", isFirefox = false) {
  const checks = new Checks();
  for (const look of looks) checks.add(look);
  const { what, why, addresses } = explain(new Unreachable("live-1", description, checks), pageHost, isFirefox);
  assert.ok(what.startsWith("This browser cannot reach the media addresses of live-1: "), what);
  for (const sentence of `${what} ${why}`.split(/[.;] /)) assert.ok(sentence.split(" ").length <= 25, sentence);
  return { what, why, list: addresses.map(({ text }) => text) };
}

test("the candidates of a description are read once, with their protocols", () => {
  assert.deepEqual(mediaAddresses(both(20000, "10.1.0.5", "fd00::5")), [
    { host: "10.1.0.5", port: 20000, protocols: ["UDP", "TCP"] },
    { host: "fd00::5", port: 20000, protocols: ["UDP", "TCP"] },
  ]);
  for (const line of ["a=candidate:1 1 sctp 1 10.1.0.5 9 typ host", "a=candidate:", "b=candidate:1 1 udp 1 10.1.0.5 9 typ host"]) {
    assert.deepEqual(mediaAddresses(`${line}\r\n`), [], line);
  }
  assert.deepEqual(mediaAddresses(sdp(`UDP ${"x".repeat(254)} 9`)), [], "no name is that long");
});

test("a list of candidates is cut, and what is left out is counted", () => {
  const hosts = Array.from({ length: 10_000 }, (_, index) => `203.0.${index >> 8}.${index & 255}`);
  const description = sdp(...hosts.map((host) => `UDP ${host} 20000`));
  assert.equal(mediaAddresses(description).length, MOST_CANDIDATES);
  const { what, list } = told(description, []);
  assert.equal(list.length, MOST_LISTED + 1);
  assert.equal(list.at(-1), `and ${MOST_CANDIDATES - MOST_LISTED} more`);
  assert.match(what, /203\.0\.0\.0:20000, 203\.0\.0\.1:20000 and 30 more/);
});

test("statistics of any length fill no memory", () => {
  const checks = new Checks();
  checks.add(report(Array.from({ length: 10_000 }, (_, index) => ["udp", "203.0.113.7", index, SILENT])));
  assert.ok(checks.checked.size <= 64);
});

test("addresses inside a private network are named, with what an administrator changes", () => {
  const { what, why, list } = told(both(20000, "10.1.0.5"), [report([["udp", "10.1.0.5", 20000, SILENT]])]);
  assert.match(what, /the server gave only 10\.1\.0\.5:20000 \(UDP and TCP\), inside a private network\.$/);
  assert.match(why, /spec\.media\.exposure .* or spec\.media\.announce .* docs\/kubernetes\.md/);
  assert.deepEqual(list, ["10.1.0.5:20000 (private network) · UDP: no answer to 9 checks · TCP: refused, or not tried"]);
  for (const [host, words] of [
    ["fd00::5", "inside a private network"],
    ["100.64.3.4", "inside the network of a provider"],
    ["169.254.1.2", "which only its own network segment reaches"],
    ["sfu-0.local", "a name that only its own network knows"],
  ]) {
    assert.ok(told(sdp(`UDP ${host} 20000`), []).what.endsWith(`(UDP), ${words}.`), host);
  }
});

test("a public address that does not answer is put down to a firewall", () => {
  const pairs = [
    ["udp", "203.0.113.7", 30228, SILENT],
    ["tcp", "203.0.113.7", 30228, { ...SILENT, requestsSent: 1 }],
  ];
  const { what, why, list } = told(both(30228, "203.0.113.7"), [report(pairs)]);
  assert.match(what, /no answer by UDP or TCP from 203\.0\.113\.7:30228\.$/);
  assert.match(why, /^A firewall between here and there drops this port.* UDP and TCP pass\.$/);
  assert.deepEqual(list, ["203.0.113.7:30228 · UDP: no answer to 9 checks · TCP: no answer to 1 check"]);
  const beside = told(both(30228, "10.1.0.5", "203.0.113.7"), [report(pairs)]);
  assert.match(beside.what, /from 203\.0\.113\.7:30228\.$/, "that nobody outside reaches the other one needs no firewall");
  assert.match(told(sdp("UDP 203.0.113.7 30228"), [report(pairs)]).why, /spec\.media\.tcp/);
});

test("a private address that the page itself comes from is not called out of reach", () => {
  const { what, why } = told(both(20000, "127.0.0.1", "192.168.1.5"), [report([["udp", "192.168.1.5", 20000, SILENT]])], "192.168.1.5");
  assert.match(what, /no answer by UDP or TCP from 192\.168\.1\.5:20000\.$/);
  assert.match(why, /firewall/);
});

test("a page on loopback with media elsewhere comes through a port-forward", () => {
  for (const host of ["localhost", "127.0.0.1", "[::1]"]) {
    const { what, why, list } = told(both(20000, "10.1.0.5", "fd00::5"), [report([])], host);
    assert.match(what, /from 10\.1\.0\.5:20000 and \[fd00::5\]:20000\.$/);
    assert.match(why, /port-forward.* has no UDP/);
    assert.equal(list[1], "[fd00::5]:20000 (private network) · UDP: not tried · TCP: not tried");
  }
});

test("loopback addresses mean another thing on that machine and off it", () => {
  const pairs = [report([["udp", "127.0.0.1", 20000, SILENT]])];
  assert.match(told(both(20000, "127.0.0.1"), pairs, "localhost", true).why, /Firefox .* camera/);
  assert.match(told(both(20000, "127.0.0.1", "192.168.1.5"), pairs, "localhost", true).why, /Firefox/);
  assert.match(told(both(20000, "127.0.0.1"), pairs, "localhost").why, /^Nothing of the media node answers .* tunnel/);
  const { what, why } = told(both(20000, "127.0.0.1"), pairs, "192.168.1.5");
  assert.match(what, /gave only 127\.0\.0\.1:20000 \(UDP and TCP\), on the node's own machine\.$/);
  assert.match(why, /--media-ip/);
});

test("addresses of a family that this machine lacks are told by what was not tried", () => {
  const own = [{ candidateType: "host", address: "192.168.1.9" }];
  const six = told(both(30100, "2001:db8::7"), [report([], own)]);
  assert.match(six.what, /gave only IPv6 addresses \(\[2001:db8::7\]:30100\), and this browser has none\.$/);
  assert.match(six.why, /an IPv4 address as well: spec\.media\.announce/);
  assert.match(told(both(30100, "203.0.113.7"), [report([], [{ candidateType: "host", address: "2001:db8::9" }])]).what, /only IPv4 addresses/);
  assert.match(told(both(30100, "2001:db8::7"), [report([])]).what, /only IPv6 addresses/, "its own addresses are hidden by mDNS");
  assert.match(told(both(30100, "203.0.113.7"), [report([], own)]).what, /no answer by/, "it has such an address");
  const silent = told(both(30100, "2001:db8::7"), []);
  assert.match(silent.what, /no answer by/, "of a browser that shows no statistics nothing is claimed");
  assert.match(silent.list[0], /UDP: not known · TCP: not known$/);
});

test("a browser without a network of its own, and one that may only use relays, are told so", () => {
  assert.match(told(both(30100, "203.0.113.7"), [report([], [])]).what, /no network address of its own, so nothing was tried\.$/);
  const relay = [{ candidateType: "relay", address: "198.51.100.9" }];
  const pairs = [["udp", "203.0.113.7", 30100, SILENT]];
  assert.match(told(both(30100, "203.0.113.7"), [report(pairs, relay)]).what, /its relay \(TURN\) brought no answer/);
});

test("a name without an address is put down to DNS, and checks to its address count as its own", () => {
  const unknown = told(both(30100, "sfu-0.example.net"), [report([])]);
  assert.match(unknown.what, /found no address for sfu-0\.example\.net:30100\.$/);
  assert.match(unknown.why, /DNS/);
  const pairs = [
    ["udp", "203.0.113.7", 30100, SILENT],
    ["udp", "198.51.100.9", 30100, { ...SILENT, requestsSent: 4 }],
  ];
  const { list } = told(sdp("UDP 203.0.113.7 30100", "UDP sfu-0.example.net 30100"), [report(pairs)]);
  assert.deepEqual(list, ["203.0.113.7:30100 · UDP: no answer to 9 checks", "sfu-0.example.net:30100 · UDP: no answer to 4 checks"]);
});

test("an address that answers is not called silent", () => {
  const pairs = [["udp", "203.0.113.7", 30228, { state: "in-progress", requestsSent: 12, responsesReceived: 1 }]];
  const { what, list } = told(both(30228, "203.0.113.7"), [report(pairs)]);
  assert.match(what, /203\.0\.113\.7:30228 answered, but no connection was made\.$/);
  assert.equal(list[0], "203.0.113.7:30228 · UDP: 1 answer to 12 checks · TCP: refused, or not tried");
});

test("what a browser has dropped from its statistics is remembered", () => {
  const first = report([
    ["udp", "203.0.113.7", 30228, { ...SILENT, requestsSent: 3 }],
    ["tcp", "203.0.113.7", 30228, { ...SILENT, requestsSent: 1 }],
  ]);
  const { list } = told(both(30228, "203.0.113.7"), [first, report([["udp", "203.0.113.7", 30228, SILENT]])]);
  assert.deepEqual(list, ["203.0.113.7:30228 · UDP: no answer to 9 checks · TCP: connection refused or closed"]);
});

test("pairs of several interfaces are summed up, and a browser that counts no checks is understood", () => {
  const pairs = [
    ["udp", "203.0.113.7", 30228, SILENT],
    ["udp", "203.0.113.7", 30228, { ...SILENT, requestsSent: 2 }],
  ];
  assert.match(told(sdp("UDP 203.0.113.7 30228"), [report(pairs)]).list[0], /no answer to 11 checks/);
  const firefox = [["udp", "203.0.113.7", 30228, { state: "inprogress" }]];
  assert.match(told(sdp("UDP 203.0.113.7 30228"), [report(firefox)]).list[0], /UDP: no answer$/);
});

test("a node without any candidate, and one without a name, are told as well", () => {
  assert.match(told("v=0\r\n", []).what, /the server gave none\.$/);
  assert.match(explain(new Unreachable(null, sdp("UDP 203.0.113.7 1")), "a.example").what, /media addresses of the node:/);
});

test("a connection that has no statistics keeps nobody waiting", { timeout: 5_000 }, async () => {
  const checks = new Checks();
  await checks.look({});
  await checks.look({ getStats: () => Promise.reject(new Error("closed")) });
  await checks.look({ getStats: () => new Promise(() => {}) });
  assert.equal(checks.own, null);
});

test("a tile shows the same while a session waits and while it tries again", () => {
  const error = new Unreachable("live-1", sdp("UDP 203.0.113.7 1"));
  const [waiting, trying] = ["retrying", "connecting"].map((state) => ({ state, role: "watch", error, layers: null }));
  assert.deepEqual([shownState(trying), veilText(trying)], [shownState(waiting), veilText(waiting)]);
  assert.equal(shownState({ ...trying, error: null }), "connecting");
});
