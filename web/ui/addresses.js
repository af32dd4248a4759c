// What kind of address a host is, and so from where it can be reached at all. Pure.

/** How IPv4 addresses begin that are written as IPv6 (RFC 4291 section 2.5.5.2), in bits. */
const MAPPED = "0".repeat(80) + "1".repeat(16);
/** Networks by the bits that their addresses begin with. */
const NETWORKS = [
  ["loopback", "127.0.0.0", 8],
  ["loopback", "::1", 128],
  // RFC 3927, RFC 4291 section 2.5.6
  ["link", "169.254.0.0", 16],
  ["link", "fe80::", 10],
  // RFC 1918, RFC 4193
  ["private", "10.0.0.0", 8],
  ["private", "172.16.0.0", 12],
  ["private", "192.168.0.0", 16],
  ["private", "fc00::", 7],
  // RFC 6598
  ["shared", "100.64.0.0", 10],
].map(([kind, address, length]) => ({ kind, bits: bitsOf(address).slice(0, length), all: bitsOf(address).length }));

/**
 * Kind of a host as a candidate or a URL writes it: `loopback`, `link` (its own network segment), `private`, `shared` (behind
 * the address translation of a provider), `public`; of names, `local` (multicast DNS, RFC 6762) or `name`.
 */
export function kindOf(host) {
  const bits = bitsOf(host);
  if (!bits) return kindOfName(host.toLowerCase().replace(/\.$/, ""));
  const network = NETWORKS.find((each) => each.all === bits.length && bits.startsWith(each.bits));
  return network?.kind ?? "public";
}

/** 4 or 6; null for a name. */
export function familyOf(host) {
  const bits = bitsOf(host);
  return bits && (bits.length === 32 ? 4 : 6);
}

/** Whether two texts are one host: IPv6 addresses have many. */
export function sameHost(one, other) {
  return (bitsOf(one) ?? one.toLowerCase()) === (bitsOf(other) ?? other.toLowerCase());
}

/** `203.0.113.7:20000`, `[2001:db8::7]:20000`. */
export function withPort(host, port) {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
}

function kindOfName(name) {
  if (name === "localhost" || name.endsWith(".localhost")) return "loopback";
  return name.endsWith(".local") ? "local" : "name";
}

/** An address as a text of its bits; null for anything else. */
function bitsOf(host) {
  const text = host.replace(/^\[(.*)\]$/, "$1").split("%")[0];
  if (!text.includes(":")) return v4(text);
  const six = v6(text);
  return six?.startsWith(MAPPED) ? six.slice(96) : six;
}

function v4(text) {
  const numbers = text.match(/^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/)?.slice(1).map(Number);
  return numbers?.every((number) => number < 256) ? numbers.map((number) => binary(number, 8)).join("") : null;
}

function v6(text) {
  // The last 32 bits may be written as IPv4.
  const tail = v4(text.slice(text.lastIndexOf(":") + 1));
  const plain = tail ? text.replace(/[^:]*$/, `${hex(tail.slice(0, 16))}:${hex(tail.slice(16))}`) : text;
  const halves = plain.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const [front, back = []] = halves;
  const left = 8 - front.length - back.length;
  if (halves.length > 2 || (halves.length === 2 ? left < 1 : left !== 0)) return null;
  const groups = [...front, ...Array(left).fill("0"), ...back];
  const isRight = groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group));
  return isRight ? groups.map((group) => binary(Number.parseInt(group, 16), 16)).join("") : null;
}

function binary(number, length) {
  return number.toString(2).padStart(length, "0");
}

function hex(bits) {
  return Number.parseInt(bits, 2).toString(16);
}
