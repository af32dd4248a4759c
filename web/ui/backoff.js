// How long to wait before the next attempt: doubling, with jitter, so that the players of a lost node do not all come
// back in the same instant.

const FIRST_MS = 300;
const LONGEST_MS = 10_000;

export class Backoff {
  constructor(random = Math.random) {
    this.random = random;
    this.next = FIRST_MS;
  }

  /** Milliseconds to wait now; never less than the server asked for (`Retry-After`, in seconds). */
  pause(retryAfterSeconds = 0) {
    const ceiling = this.next;
    this.next = Math.min(this.next * 2, LONGEST_MS);
    const jittered = ceiling * (0.5 + this.random() / 2);
    return Math.round(Math.max(jittered, Math.min(retryAfterSeconds * 1000, 60_000)));
  }

  reset() {
    this.next = FIRST_MS;
  }
}
