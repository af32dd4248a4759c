// What the page makes of addresses. Run by `node --test web/tests/ui/*.test.mjs`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { familyOf, kindOf, sameHost, withPort } = await load("addresses.js");

test("each network is known up to its edges", () => {
  const hosts = {
    loopback: ["127.0.0.1", "127.255.255.255", "::1", "[::1]", "0:0:0:0:0:0:0:1", "localhost", "LOCALHOST", "a.localhost", "::ffff:127.0.0.1"],
    link: ["169.254.0.1", "169.254.255.255", "fe80::1", "febf:ffff::1", "fe80::1%eth0"],
    private: ["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::", "fdff:ffff::1", "::ffff:10.1.0.5"],
    shared: ["100.64.0.0", "100.127.255.255"],
    public: [
      "9.255.255.255",
      "11.0.0.0",
      "100.63.255.255",
      "100.128.0.0",
      "126.255.255.255",
      "128.0.0.0",
      "169.253.255.255",
      "172.15.255.255",
      "172.32.0.0",
      "192.167.255.255",
      "192.169.0.0",
      "203.0.113.7",
      "2001:db8::7",
      "fbff:ffff::1",
      "fe00::1",
      "fec0::1",
      "::2",
      "::ffff:203.0.113.7",
    ],
    local: ["sfu-0.local", "3a9c4f0e-1d2b-4c5d-8e6f-7a8b9c0d1e2f.local."],
    name: ["sfu-0.example.net", "local", "10.example.net"],
  };
  for (const [kind, all] of Object.entries(hosts)) {
    for (const host of all) assert.equal(kindOf(host), kind, host);
  }
});

test("what is no address is a name, and nothing makes it throw", () => {
  for (const host of ["", "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.02.03.0004", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::g", "::1.2.3.256"]) {
    assert.equal(familyOf(host), null, host);
    assert.ok(["name", "local"].includes(kindOf(host)), host);
  }
});

test("families are told, and an IPv4 address in IPv6 is IPv4", () => {
  for (const host of ["203.0.113.7", "::ffff:203.0.113.7", "::ffff:cb00:7107"]) assert.equal(familyOf(host), 4, host);
  for (const host of ["2001:db8::7", "::", "1:2:3:4:5:6:7:8", "64:ff9b::192.0.2.7"]) assert.equal(familyOf(host), 6, host);
});

test("an address is the same however it is written", () => {
  assert.ok(sameHost("2001:DB8:0:0::7", "[2001:db8::7]"));
  assert.ok(sameHost("SFU.example.net", "sfu.example.net"));
  assert.ok(!sameHost("2001:db8::7", "2001:db8::8"));
  for (const [host, text] of [
    ["203.0.113.7", "203.0.113.7:1"],
    ["2001:db8::7", "[2001:db8::7]:1"],
    ["[::1]", "[::1]:1"],
  ]) {
    assert.equal(withPort(host, 1), text);
  }
});
