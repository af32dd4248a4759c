// When no media passes between this browser and a node: which addresses were tried, why that may be, and what to do.

/** No candidate of the node answered this browser's checks. */
export class Unreachable extends Error {
  constructor(node, sdp) {
    super(`no media connection to ${node ?? "the node"}`);
    this.name = "Unreachable";
    this.node = node;
    this.addresses = mediaAddresses(sdp);
  }
}

/** The node's candidates in its offer or answer: `[{ host, port, protocols: ["UDP", "TCP"] }]`, in their order. */
export function mediaAddresses(sdp) {
  const found = new Map();
  for (const [, protocol, host, port] of sdp.matchAll(/^a=candidate:\S+ \d+ (\S+) \d+ (\S+) (\d+) /gm)) {
    const key = `${host} ${port}`;
    const address = found.get(key) ?? { host, port, protocols: [] };
    const name = protocol.toUpperCase();
    if (!address.protocols.includes(name)) address.protocols.push(name);
    found.set(key, address);
  }
  return [...found.values()];
}

/** What a person is told: `{ what, addresses, why }`, all text. `pageHost` is the host of the page's own URL. */
export function explain({ node, addresses }, pageHost) {
  const name = node ?? "the node";
  const forwarded = isLoopback(pageHost) && !addresses.some(({ host }) => isLoopback(host));
  return {
    what: `This browser cannot reach the media addresses of ${name}:`,
    addresses: addresses.map(({ host, port, protocols }) => `${host}, port ${port} (${protocols.join(" and ")})`),
    why: forwarded
      ? "A port-forward, as this page seems to come through, shows the page but transports no media, since it has no UDP. Open the page from a " +
        "network that reaches these addresses, or have the nodes reached from outside: `spec.media.exposure` of the SfuCluster."
      : "Open the page from a network that reaches these addresses, and let firewalls pass UDP to them. On Kubernetes, `spec.media.exposure` of " +
        "the SfuCluster says which addresses clients are told.",
  };
}

function isLoopback(host) {
  return host === "localhost" || host.endsWith(".localhost") || host.startsWith("127.") || ["::1", "[::1]"].includes(host);
}
