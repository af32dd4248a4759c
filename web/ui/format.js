// Numbers for people.

/** A round trip time: `0.31 ms`, `12 ms`. */
export function roundTrip(microseconds) {
  if (microseconds == null) return "no RTT yet";
  const ms = microseconds / 1000;
  return ms < 10 ? `${ms.toFixed(2)} ms` : `${Math.round(ms)} ms`;
}

/** A bit rate: `850 kbit/s`, `2.4 Mbit/s`. */
export function bitrate(bitsPerSecond) {
  if (!(bitsPerSecond > 0)) return "0 kbit/s";
  return bitsPerSecond < 1e6
    ? `${Math.round(bitsPerSecond / 1e3)} kbit/s`
    : `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
}

/** `1 viewer`, `2 viewers`. */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
