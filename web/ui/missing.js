// What a player that is connected does not get: picture and sound are watched apart. Pure.

/** Without anything new for this time [ms], a kind is missing. */
export const MISSING_AFTER_MS = 3_000;

export class Missing {
  #seen = new Map();

  /**
   * Takes the figures of one look (stats.js) and answers the kinds that are missing, of those that the connection is to bring:
   * `["video"]`. Another connection begins anew.
   */
  look({ kinds, framesDecoded, audioBytesReceived, connections, timestamp }) {
    const counts = { video: framesDecoded, audio: audioBytesReceived };
    return kinds.filter((kind) => {
      const before = this.#seen.get(kind);
      const same = before?.connections === connections && before.count === counts[kind];
      if (!same) this.#seen.set(kind, { connections, count: counts[kind], since: timestamp });
      return same && timestamp - before.since >= MISSING_AFTER_MS;
    });
  }
}

const WORDS = { video: "picture", audio: "sound" };

/** `, no picture` after what is said of a session that is live. */
export function withoutWords(missing) {
  return missing.length > 0 ? `, no ${missing.map((kind) => WORDS[kind]).join(", no ")}` : "";
}
