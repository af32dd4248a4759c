// What a browser has tried to reach the candidates of a node, by its statistics.

import { familyOf, sameHost } from "./addresses.js";
import { count } from "./format.js";

/** How often the statistics are looked at: a browser drops a pair of candidates from them when it gives that up. */
export const LOOK_EVERY_MS = 500;
/** Longest wait for an answer to one look. */
const LOOK_MS = 500;
/** Most candidates whose checks are kept. */
const MOST_CHECKED = 64;

/** States of a pair in which checks have been sent; Firefox writes `inprogress`, and counts no checks. */
const TRIED = new Set(["in-progress", "inprogress", "failed", "succeeded"]);

/** The ICE checks of one connection, gathered look by look. */
export class Checks {
  constructor() {
    /** `{ protocol, host, port, sent, answered, tried, reached, gone }` of each candidate of the node, by its address. */
    this.checked = new Map();
    /** Types (`host`, `relay`) and families (4, 6) of this browser's own candidates, as far as it shows them; null before a look. */
    this.own = null;
  }

  /** Notes what the statistics of a connection say now. */
  async look(pc) {
    try {
      const late = new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      const report = await Promise.race([pc.getStats(), late]);
      if (report) this.add(report);
    } catch {
      // A closed connection has no statistics; what was seen before counts.
    }
  }

  /** The same for a report that is at hand: anything like a Map of statistics by their ids. */
  add(report) {
    const now = new Map();
    this.own ??= { types: new Set(), families: new Set() };
    for (const entry of report.values()) {
      if (entry.type === "local-candidate") this.addOwn(entry);
      if (entry.type === "candidate-pair") addPair(now, entry, report.get(entry.remoteCandidateId));
    }
    for (const [key, check] of now) this.merge(key, check);
    for (const [key, check] of this.checked) check.gone = !now.has(key);
  }

  addOwn({ candidateType, address }) {
    this.own.types.add(candidateType);
    // Most are hidden behind a name of multicast DNS.
    const family = familyOf(address ?? "");
    if (family) this.own.families.add(family);
  }

  merge(key, now) {
    const before = this.checked.get(key);
    if (!before && this.checked.size >= MOST_CHECKED) return;
    const sent = Math.max(before?.sent ?? 0, now.sent);
    const answered = Math.max(before?.answered ?? 0, now.answered);
    const [tried, reached] = [now.tried || Boolean(before?.tried), now.reached || Boolean(before?.reached)];
    this.checked.set(key, { ...now, sent, answered, tried, reached });
  }

  /** What came of the checks to a candidate; null where none is known. A name is told from the addresses beside it by `others`. */
  of(protocol, host, port, others = []) {
    const alike = [...this.checked.values()].filter((it) => it.protocol === protocol && it.port === port);
    const exact = alike.find((it) => sameHost(it.host, host));
    if (exact || familyOf(host)) return exact ?? null;
    return alike.find((it) => !others.some((other) => sameHost(other, it.host))) ?? null;
  }
}

function addPair(now, { state, requestsSent = 0, responsesReceived = 0 }, remote) {
  if (!remote) return;
  const protocol = String(remote.protocol).toUpperCase();
  // A browser keeps some addresses to itself.
  const host = remote.address ?? "";
  const key = `${protocol} ${host} ${remote.port}`;
  const check = now.get(key) ?? { protocol, host, port: remote.port, sent: 0, answered: 0, tried: false, reached: false, gone: false };
  check.sent += requestsSent;
  check.answered += responsesReceived;
  check.tried ||= requestsSent > 0 || TRIED.has(state);
  check.reached ||= responsesReceived > 0 || state === "succeeded";
  now.set(key, check);
}

/** What came of the checks to a candidate, in a few words. */
export function outcome({ protocol, tried, sent, answered, reached, gone }) {
  if (!tried) return "not tried";
  if (reached) return answered > 0 ? `${count(answered, "answer")} to ${count(sent, "check")}` : "answered";
  if (gone && protocol === "TCP") return "connection refused or closed";
  return sent > 0 ? `no answer to ${count(sent, "check")}` : "no answer";
}
