"use strict";

// What every peer here does alike: one POST, lines about its state, and an end by SIGTERM.

const LINE_MS = 200;
const RETRY_MS = 200;
const REQUEST_DEADLINE_MS = 20_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const SDP = "application/sdp";

/** Sends an offer until it is taken, a refusal other than 409 or 503 comes, or `patience` ms are over. A 406 with SDP is the server's own
 * offer in its place (draft-ietf-wish-whep section 4.2): `counter` says whether this is one. */
async function offerTo(url, sdp, { patience = 0, headers = {} } = {}) {
  const deadline = Date.now() + patience;
  for (;;) {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": SDP, ...headers },
      body: sdp,
      signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
    });
    const answer = await response.text();
    const counter = response.status === 406 && (response.headers.get("Content-Type") ?? "").startsWith(SDP);
    if (response.status === 201 || counter) {
      return { session: new URL(response.headers.get("Location"), response.url).href, answer, counter };
    }
    if (![409, 503].includes(response.status) || Date.now() >= deadline) {
      throw new Error(`POST ${url}: ${response.status} ${answer}`);
    }
    await pause(RETRY_MS);
  }
}

/** Answers a counter-offer. */
async function answerTo(session, sdp) {
  const response = await fetch(session, {
    method: "PATCH",
    headers: { "Content-Type": SDP },
    body: sdp,
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
  });
  if (!response.ok) throw new Error(`PATCH ${session}: ${response.status} ${await response.text()}`);
}

async function deleted(session) {
  const response = await fetch(session, { method: "DELETE", signal: AbortSignal.timeout(REQUEST_DEADLINE_MS) });
  return response.status;
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Prints what `look` tells every 200 ms until SIGTERM, then runs `end` and prints what it tells. */
function report(look, end) {
  const timer = setInterval(() => print(look()), LINE_MS);
  const over = async () => {
    clearInterval(timer);
    let failed = 0;
    try {
      print({ ...look(), ...(await end()) });
    } catch (error) {
      console.error(error);
      failed = 1;
    }
    process.exit(failed);
  };
  process.once("SIGTERM", over);
  process.once("SIGINT", over);
}

/** Runs a peer's main function; what it throws ends the process with the message. */
function run(main) {
  main().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { offerTo, answerTo, deleted, print, report, run };
