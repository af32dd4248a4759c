// Why no candidate of a node answers, and what to change, in a sentence or two each. Pure.

import { familyOf, kindOf, sameHost, withPort } from "./addresses.js";

/** Most addresses that a sentence names. */
const MOST_NAMED = 2;

/** What is said of addresses that not everybody reaches: in a sentence, and beside one in a list. */
export const KINDS = {
  loopback: { inside: "on the node's own machine", short: "the node's own machine" },
  private: { inside: "inside a private network", short: "private network" },
  shared: { inside: "inside the network of a provider", short: "provider's network" },
  link: { inside: "which only its own network segment reaches", short: "network segment" },
  local: { inside: "a name that only its own network knows", short: "name of a local network" },
};

const ANNOUNCE = "spec.media.announce of the SfuCluster";
const EXPOSE =
  "an administrator sets spec.media.exposure (HostPort, NodePort or another) or " +
  `${ANNOUNCE}; docs/kubernetes.md says how.`;

/**
 * `{ what, why }`: what goes on after "cannot reach the media addresses of NODE: ", and what to do. `addresses` and `own` are those
 * of an `Unreachable`, `pageHost` is the host of the page's own URL.
 */
export function reason({ addresses, own, pageHost, isFirefox }) {
  const seen = {
    addresses,
    own,
    pageHost,
    isFirefox,
    isTried: addresses.some(({ tries }) => tries.some(({ tried }) => tried)),
    pageIsHere: kindOf(pageHost) === "loopback",
    beyond: addresses.filter(({ host }) => kindOf(host) !== "loopback"),
  };
  for (const situation of SITUATIONS) {
    const found = situation(seen);
    if (found) return found;
  }
  return silent(seen);
}

/** The first that answers is told. */
const SITUATIONS = [noneGiven, halfReached, forwarded, withoutNetwork, relayed, onLoopback, otherFamily, unknownNames, inside];

function noneGiven({ addresses }) {
  if (addresses.length > 0) return null;
  return { what: "the server gave none", why: "Ask an administrator to read the log of this media node." };
}

function halfReached({ addresses }) {
  const reached = addresses.filter(({ tries }) => tries.some((it) => it.reached));
  if (reached.length === 0) return null;
  return {
    what: `${names(reached)} answered, but no connection was made`,
    why: "Packets are lost on the way, or a firewall lets only some of them pass: try another network.",
  };
}

function forwarded({ addresses, beyond, pageIsHere }) {
  if (!pageIsHere || beyond.length < addresses.length) return null;
  return {
    what: silence(addresses),
    why:
      "A port-forward, as this page seems to come through, has no UDP and transports no media. " +
      `Open the page from a network that reaches these addresses. Or ${EXPOSE}`,
  };
}

function withoutNetwork({ own, isTried }) {
  if (own?.types.size !== 0 || isTried) return null;
  return {
    what: "it gave WebRTC no network address of its own, so nothing was tried",
    why: "A setting, a policy or an extension keeps WebRTC from the network: allow it, or use another browser.",
  };
}

function relayed({ addresses, own }) {
  if (own?.types.size !== 1 || !own.types.has("relay")) return null;
  return {
    what: `its relay (TURN) brought ${silence(addresses)}`,
    why: "This browser uses relays only: allow it direct connections, or let the relay reach these addresses.",
  };
}

function onLoopback({ addresses, beyond, pageIsHere, isFirefox }) {
  if (pageIsHere && beyond.length < addresses.length) {
    return {
      what: silence(addresses),
      why:
        (isFirefox
          ? "Firefox uses such an address only if the page may use the camera: allow that once. "
          : "Nothing of the media node answers on this machine: see whether it still runs here. ") +
        "If the page comes through a tunnel, that transports no media.",
    };
  }
  if (beyond.length > 0) return null;
  return {
    what: given(addresses),
    why: "Open the page on that machine. Or start local mode with --media-ip and that machine's address in this network.",
  };
}

/** Browsers pair addresses of one family only: where none of its own is shown, that nothing was tried says it. */
function otherFamily({ addresses, own, isTried }) {
  const families = new Set(addresses.map(({ host }) => familyOf(host)));
  const [family] = families;
  if (!own || isTried || families.size > 1 || !family || own.families.has(family)) return null;
  const [has, lacks] = family === 4 ? ["IPv4", "IPv6"] : ["IPv6", "IPv4"];
  return {
    what: `the server gave only ${has} addresses (${names(addresses)}), and this browser has none`,
    why: `Use a network with ${has}. Or an administrator names an ${lacks} address as well: ${ANNOUNCE}.`,
  };
}

function unknownNames({ addresses, isTried }) {
  if (isTried || !addresses.every(({ host }) => kindOf(host) === "name")) return null;
  return {
    what: `it found no address for ${names(addresses)}`,
    why: `Check the DNS record. Or an administrator names IP addresses, which need no DNS: ${ANNOUNCE}.`,
  };
}

function inside({ beyond, pageHost }) {
  if (!beyond.every(({ host }) => kindOf(host) in KINDS && !sameHost(host, pageHost))) return null;
  return {
    what: given(beyond),
    why: `Open the page from within that network; there, let firewalls pass these ports. Or ${EXPOSE}`,
  };
}

function silent({ beyond, pageHost }) {
  const asked = beyond.filter(({ host }) => !(kindOf(host) in KINDS) || sameHost(host, pageHost));
  const ports = asked.length === 1 ? "this port" : "these ports";
  const begin = `A firewall between here and there drops ${ports}, or nothing listens there: let`;
  const withTcp = `${begin} UDP and TCP pass.`;
  const withoutTcp = `${begin} UDP pass. Where networks block UDP, an administrator sets spec.media.tcp of the SfuCluster.`;
  return { what: silence(asked), why: protocols(asked).includes("TCP") ? withTcp : withoutTcp };
}

function given(addresses) {
  const { inside: where } = KINDS[kindOf(addresses[0].host)];
  return `the server gave only ${names(addresses)} (${protocols(addresses).join(" and ")}), ${where}`;
}

function silence(addresses) {
  return `no answer by ${protocols(addresses).join(" or ")} from ${names(addresses)}`;
}

function names(addresses) {
  const named = addresses.slice(0, MOST_NAMED).map(({ host, port }) => withPort(host, port));
  const more = addresses.length - named.length;
  return more > 0 ? `${named.join(", ")} and ${more} more` : named.join(" and ");
}

function protocols(addresses) {
  const told = addresses.flatMap(({ tries }) => tries.map(({ protocol }) => protocol));
  return ["UDP", "TCP"].filter((protocol) => told.includes(protocol));
}
