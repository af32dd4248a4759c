// The cluster, live: server-sent events, read by fetch, because an EventSource sends no token.

/** Pause before the next attempt. */
const REOPEN_MS = 2_000;
/** The front door sends a comment every 15 s: a stream that is silent for this long is lost. */
const SILENT_MS = 40_000;
/** Answers that another token may change. */
const REFUSED = new Set([400, 401, 403, 431]);
/** Visible ASCII: a browser throws at a header with anything else. */
const IN_A_HEADER = /^[\x21-\x7e]*$/;

/**
 * Calls `onCluster(json)` for every state of the cluster, and `onState("live" | "lost" | "refused", sentence)`.
 * `token()` is asked at each attempt. After a refusal the next attempt is made when `retry()` of the answer is called;
 * `stop()` ends it all.
 */
export function follow({ onCluster, onState, token = () => "" }) {
  const stopping = new AbortController();
  let wake = () => {};
  const again = () => new Promise((resolve) => (wake = resolve));
  const run = async () => {
    while (!stopping.signal.aborted) {
      // Before the question: a token that comes while it is answered counts as well.
      const woken = again();
      const refusal = await attempt({ onCluster, onState, token: token(), signal: stopping.signal });
      if (stopping.signal.aborted) return;
      if (refusal) {
        onState("refused", refusal);
        await woken;
      } else {
        onState("lost");
        await Promise.race([woken, new Promise((resolve) => setTimeout(resolve, REOPEN_MS))]);
      }
    }
  };
  run();
  const stop = () => {
    stopping.abort();
    wake();
  };
  return { retry: () => wake(), stop };
}

/** Follows one stream to its end. Answers the sentence of a refusal, or nothing where asking again may help. */
async function attempt({ onCluster, onState, token, signal }) {
  if (!IN_A_HEADER.test(token)) return "the token has a character that no token has: copy it once more";
  const lost = new AbortController();
  const stop = () => lost.abort();
  signal.addEventListener("abort", stop);
  let watchdog;
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => lost.abort(), SILENT_MS);
  };
  try {
    alive();
    const headers = { accept: "text/event-stream", ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const response = await fetch("api/v1/events", { headers, cache: "no-store", signal: lost.signal });
    if (REFUSED.has(response.status)) return await sentence(response);
    if (!response.ok) return null;
    onState("live");
    for await (const { name, data } of events(response.body, alive)) {
      if (name === "cluster") onCluster(JSON.parse(data));
    }
  } catch (error) {
    // Broken or silent: it is opened again.
    if (!lost.signal.aborted) console.warn("the stream of events ended", error);
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
    lost.abort();
  }
  return null;
}

async function sentence(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail ?? `the front door answered ${response.status}`;
}

/** The events of a stream: `{ name, data }` each. Comments keep it alive and are passed over. */
export async function* events(body, onBytes = () => {}) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    text += decoder.decode(value, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) yield event;
    }
  }
}

function parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trimStart();
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length > 0 ? { name, data: data.join("\n") } : null;
}
