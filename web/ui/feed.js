// The cluster, live: server-sent events. EventSource comes back by itself after a broken connection, but gives up after
// an HTTP error; then it is made anew.

const REOPEN_MS = 2_000;

/** Calls `onCluster(json)` for every state, and `onState("live" | "lost")`. */
export function follow({ onCluster, onState }) {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("open", () => onState("live"));
  source.addEventListener("cluster", ({ data }) => onCluster(JSON.parse(data)));
  source.addEventListener("error", () => {
    onState("lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow({ onCluster, onState }), REOPEN_MS);
  });
}
