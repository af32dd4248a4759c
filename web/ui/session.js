// One publication or one player of this page: opens its session, notices when it is lost, and opens it again.

import { Backoff } from "./backoff.js";
import { Layers } from "./layers.js";
import { readStats } from "./stats.js";
import { Refused, nodeOf, openSession } from "./whip-whep.js";

/** Sizes of a simulcast publication: each viewer gets the one that fits. From the lowest, as browsers list them. */
const SIMULCAST = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
];

/** Refusals that asking again does not change. */
const FINAL = new Set([400, 401, 403, 405, 413, 415, 422]);
/** ICE says "disconnected" when checks fail; it may recover within this. */
const DISCONNECTED_MS = 2_000;
/** A player that gets no byte for this long asks for a session anew; the mesh itself heals within its 10 s grace. */
const SILENT_MS = 12_000;
const WATCHDOG_MS = 1_000;
/** Connected for this long, the next loss is a new one: pauses begin small again. */
const SETTLED_MS = 5_000;

/**
 * States: `connecting`, `live`, `retrying` (`retryAt` says when), `failed` (`error` says why), `stopped`.
 * Fires `change` on every step, and `track` when there is a new `media` to show.
 */
export class Session extends EventTarget {
  constructor({ role, stream, node, token, source = null, sound = false, simulcast = false }) {
    super();
    Object.assign(this, { role, stream, token, source, sound, simulcast });
    /** The node that was asked for; null lets the front door pick. */
    this.wantedNode = node || null;
    /** Whether that node went away under this session: then any node will do. */
    this.elsewhere = false;
    /** The node that has the session. */
    this.node = null;
    this.media = role === "publish" ? source.stream : null;
    this.state = "connecting";
    this.error = null;
    this.retryAt = null;
    /** How often it has been live. */
    this.connections = 0;
    this.current = null;
    /** Events and layers of a player's session, see layers.js. */
    this.layers = null;
    this.stopping = new AbortController();
    this.done = this.run();
  }

  get url() {
    return this.current?.url ?? null;
  }

  /** Figures of the present connection, see stats.js, and the session's own state. */
  async stats() {
    const figures = await readStats(this.current?.pc);
    return { ...figures, state: this.state, node: this.node, connections: this.connections };
  }

  /** Ends the session here and at the node. */
  stop() {
    if (this.state === "stopped") return;
    this.stopping.abort();
    this.layers?.close();
    this.current?.end();
    this.source?.stop();
    this.set("stopped");
  }

  async run() {
    const backoff = new Backoff();
    const { signal } = this.stopping;
    while (!signal.aborted) {
      this.set("connecting");
      let retryAfter = 0;
      try {
        this.current = await openSession({
          endpoint: this.endpoint(),
          makePeer: (options) => this.makePeer(options),
          token: this.token,
          signal,
          takeOffer: this.role === "watch",
        });
        this.connections += 1;
        this.node = nodeOf(this.current.url);
        this.error = null;
        this.elsewhere = false;
        if (this.role === "watch") this.followLayers(this.current.links);
        this.set("live");
        const settled = setTimeout(() => backoff.reset(), SETTLED_MS);
        this.error = await lost(this.current.pc, this.role, this.layers, signal);
        clearTimeout(settled);
      } catch (error) {
        if (signal.aborted) return;
        this.error = error;
        if (this.isFinal(error)) {
          this.source?.stop();
          this.set("failed");
          return;
        }
        retryAfter = error.retryAfter ?? 0;
        if (this.connections > 0 && this.wantedNode && !this.elsewhere && isGone(error)) {
          this.elsewhere = true;
          retryAfter = 0;
        }
      }
      this.layers?.close();
      this.current?.end();
      this.current = null;
      if (signal.aborted) return;
      const pause = backoff.pause(retryAfter);
      this.retryAt = Date.now() + pause;
      this.set("retrying");
      await sleep(pause, signal);
    }
  }

  /** A taken name is final at first; later the claim that stands in the way may be our own, which ends in seconds. */
  isFinal(error) {
    if (!(error instanceof Refused)) return false;
    return FINAL.has(error.status) || (error.status === 409 && this.role === "publish" && this.connections === 0);
  }

  endpoint() {
    const kind = this.role === "publish" ? "whip" : "whep";
    const node = this.wantedNode && !this.elsewhere ? `?node=${encodeURIComponent(this.wantedNode)}` : "";
    return new URL(`${kind}/${encodeURIComponent(this.stream)}${node}`, location.href).href;
  }

  makePeer({ answering = false } = {}) {
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    if (this.role === "publish") {
      for (const track of this.media.getTracks()) {
        const sendEncodings = this.simulcast && track.kind === "video" ? { sendEncodings: SIMULCAST } : {};
        pc.addTransceiver(track, { direction: "sendonly", streams: [this.media], ...sendEncodings });
      }
      return pc;
    }
    const media = new MediaStream();
    pc.addEventListener("track", ({ track }) => {
      media.addTrack(track);
      this.media = media;
      this.dispatchEvent(new Event("track"));
    });
    // An offer of the server brings its own sections.
    if (!answering) {
      pc.addTransceiver("audio", { direction: "recvonly" });
      pc.addTransceiver("video", { direction: "recvonly" });
    }
    return pc;
  }

  followLayers(links) {
    this.layers = new Layers(links);
    this.layers.addEventListener("change", () => this.dispatchEvent(new Event("change")));
  }

  set(state) {
    if (this.state === "stopped") return;
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}

/** Whether the node that was asked for takes no session: it drains, is down, or is not known any more. */
function isGone(error) {
  if (!(error instanceof Refused)) return false;
  return [502, 503, 504].includes(error.status) || (error.status === 404 && error.field === "node");
}

/** Waits until the connection is lost; answers the reason. */
function lost(pc, role, layers, signal) {
  return new Promise((resolve) => {
    const end = (reason) => {
      clearInterval(watchdog);
      clearTimeout(grace);
      // The signal outlives every connection of this session: what stays would be called by a `stop` much later.
      signal.removeEventListener("abort", stopped);
      resolve(new Error(reason));
    };
    let grace = null;
    const look = () => {
      clearTimeout(grace);
      if (["failed", "closed"].includes(pc.connectionState)) end("the media connection was lost");
      if (pc.connectionState === "disconnected") {
        grace = setTimeout(() => end("the node does not answer any more"), DISCONNECTED_MS);
      }
    };
    pc.addEventListener("connectionstatechange", look);
    for (const { receiver } of pc.getTransceivers()) {
      // A node that ends a session closes DTLS; browsers tell of that here, and not in connectionState.
      receiver.transport?.addEventListener("statechange", ({ target }) => {
        if (["closed", "failed"].includes(target.state)) end("the node ended the session");
      });
    }
    let bytes = -1;
    let changed = performance.now();
    const watchdog = setInterval(async () => {
      if (role !== "watch") return;
      const { bytesReceived } = await readStats(pc);
      // A publisher that sends nothing, as the node says, is no reason to ask for a session anew.
      if (bytesReceived !== bytes || layers?.active === false) {
        bytes = bytesReceived;
        changed = performance.now();
      } else if (performance.now() - changed > SILENT_MS) {
        end("nothing has arrived for a while");
      }
    }, WATCHDOG_MS);
    const stopped = () => end("stopped");
    signal.addEventListener("abort", stopped);
    layers?.addEventListener("reconnect", () => end("the node asks for a new session"));
    look();
  });
}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
