// When no media passes between this browser and a node: which addresses it was given, and what became of each. Pure.

import { kindOf, withPort } from "./addresses.js";
import { Checks, outcome } from "./checks.js";
import { KINDS, reason } from "./reasons.js";

/** Most candidates that are read of a description; a node announces at most 8 addresses, each for UDP and TCP. */
export const MOST_CANDIDATES = 32;
/** Most addresses that a tile lists. */
export const MOST_LISTED = 8;
/** Longest host that is shown: no name is longer (RFC 1035 section 2.3.4). */
const LONGEST_HOST = 253;

/** No candidate of the node answered this browser's checks. */
export class Unreachable extends Error {
  constructor(node, sdp, checks = new Checks()) {
    super(`no media connection to ${node ?? "the node"}`);
    this.name = "Unreachable";
    this.node = node;
    /** `[{ host, port, tries: [{ protocol, tried, reached, words }] }]`, in the node's order. */
    this.addresses = withTries(mediaAddresses(sdp), checks);
    /** Types and families of this browser's own candidates, see checks.js; null where it did not tell. */
    this.own = checks.own;
  }
}

/** The node's candidates in its offer or answer: `[{ host, port, protocols: ["UDP", "TCP"] }]`, in their order. */
export function mediaAddresses(sdp) {
  const found = new Map();
  let candidates = 0;
  for (const [, transport, host, port] of sdp.matchAll(/^a=candidate:\S+ \d+ (\S+) \d+ (\S+) (\d{1,5}) /gm)) {
    const protocol = transport.toUpperCase();
    if (host.length > LONGEST_HOST || !["UDP", "TCP"].includes(protocol)) continue;
    const key = `${host} ${port}`;
    const address = found.get(key) ?? { host, port: Number(port), protocols: [] };
    // Each section of a description repeats them.
    if (address.protocols.includes(protocol)) continue;
    candidates += 1;
    if (candidates > MOST_CANDIDATES) break;
    address.protocols.push(protocol);
    found.set(key, address);
  }
  return [...found.values()];
}

function withTries(addresses, checks) {
  return addresses.map(({ host, port, protocols }) => {
    const others = addresses.filter((it) => it.host !== host && it.port === port).map((it) => it.host);
    const found = protocols.map((protocol) => ({ protocol, check: checks.of(protocol, host, port, others) }));
    const isTried = found.some(({ check }) => check?.tried);
    // A connection that is refused may be gone before the first look.
    const unseen = (protocol) => (isTried && protocol === "TCP" ? "refused, or not tried" : "not tried");
    const tries = found.map(({ protocol, check }) => ({
      protocol,
      tried: check?.tried ?? false,
      reached: check?.reached ?? false,
      words: check ? outcome(check) : checks.own ? unseen(protocol) : "not known",
    }));
    return { host, port, tries };
  });
}

/**
 * What a person is told, all text: `what` and `why`, a sentence or two each, and `addresses`, `[{ key, text }]`, for those who
 * look closer. `pageHost` is the host of the page's own URL.
 */
export function explain({ node, addresses, own }, pageHost, isFirefox = false) {
  const { what, why } = reason({ addresses, own, pageHost, isFirefox });
  const listed = addresses.slice(0, MOST_LISTED).map(described);
  const more = addresses.length - listed.length;
  if (more > 0) listed.push({ key: "more", text: `and ${more} more` });
  return { what: `This browser cannot reach the media addresses of ${node ?? "the node"}: ${what}.`, why, addresses: listed };
}

function described({ host, port, tries }) {
  const key = withPort(host, port);
  const kind = KINDS[kindOf(host)]?.short;
  const attempts = tries.map(({ protocol, words }) => `${protocol}: ${words}`);
  return { key, text: [kind ? `${key} (${kind})` : key, ...attempts].join(" · ") };
}
