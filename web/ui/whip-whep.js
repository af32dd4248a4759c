// WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) for browsers: one POST opens a session, one DELETE ends it.
//
// The offer is sent at once, without candidates: the server is ICE lite and learns our addresses from our checks, so
// there is nothing to gather and nothing to trickle.

import { extensionLinks } from "./layers.js";

const SDP = "application/sdp";
/** A session that is not connected after this long never will be. */
const CONNECT_DEADLINE_MS = 12_000;

/** A refusal by the server, with its problem details (RFC 9457) where it gave them. */
export class Refused extends Error {
  constructor(status, problem, retryAfter) {
    const detail = problem?.detail ?? problem?.title ?? `the server answered ${status}`;
    super(problem?.field ? `${detail} (${problem.field})` : detail);
    this.name = "Refused";
    this.status = status;
    this.title = problem?.title ?? "";
    this.field = problem?.field ?? null;
    /** Seconds that the server asks to wait, or null. */
    this.retryAfter = retryAfter;
  }
}

/**
 * Opens a session and waits until media can flow.
 *
 * `makePeer()` answers a new RTCPeerConnection with its transceivers or tracks in place. A WHEP server may refuse the
 * offer and make one of its own (406): then a second peer connection answers that.
 * Answers `{ pc, url, etag, links, end() }`; ends everything itself when it throws.
 */
export async function openSession({ endpoint, makePeer, token, signal }) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let pc = makePeer();
  const session = { pc, url: null, etag: null, links: null, end: () => end(session, headers) };
  try {
    await pc.setLocalDescription(await pc.createOffer());
    const response = await post(endpoint, headers, pc.localDescription.sdp, signal);
    const sdp = await response.text();
    const location = response.headers.get("location");
    session.url = location && new URL(location, response.url).href;
    session.etag = response.headers.get("etag");
    session.links = extensionLinks(response.headers.get("link"), response.url);
    if (!session.url) throw new Error("the server gave no session URL (Location)");
    if (response.status === 406) {
      pc.close();
      pc = session.pc = makePeer({ answering: true });
      await pc.setRemoteDescription({ type: "offer", sdp });
      await pc.setLocalDescription(await pc.createAnswer());
      await patch(session, headers, SDP, pc.localDescription.sdp, signal);
    } else {
      await pc.setRemoteDescription({ type: "answer", sdp });
    }
    await connected(pc, signal);
    return session;
  } catch (error) {
    session.end();
    throw error;
  }
}

async function post(endpoint, headers, sdp, signal) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { ...headers, "content-type": SDP },
    body: sdp,
    signal,
  });
  const isSdp = response.headers.get("content-type")?.startsWith(SDP) ?? false;
  if (isSdp && (response.status === 201 || response.status === 406)) return response;
  throw await refusal(response);
}

async function patch(session, headers, type, body, signal) {
  const withTag = session.etag ? { ...headers, "if-match": session.etag } : headers;
  const response = await fetch(session.url, {
    method: "PATCH",
    headers: { ...withTag, "content-type": type },
    body,
    signal,
  });
  if (!response.ok) throw await refusal(response);
}

/** Ends a session on both sides. `keepalive` lets the DELETE outlive the page. */
function end(session, headers) {
  session.pc.close();
  if (!session.url) return;
  const url = session.url;
  session.url = null;
  fetch(url, { method: "DELETE", headers, keepalive: true }).catch(() => {
    // The node is gone, or reaps the session by itself.
  });
}

async function refusal(response) {
  let problem = null;
  try {
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") ?? false;
    problem = isJson ? JSON.parse(text) : { detail: text.slice(0, 300) || `the server answered ${response.status}` };
  } catch {
    // An answer that breaks off says no more than its status.
  }
  const wait = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  return new Refused(response.status, problem, Number.isFinite(wait) ? wait : null);
}

function connected(pc, signal) {
  return new Promise((resolve, reject) => {
    const finish = (outcome, value) => {
      clearTimeout(timer);
      pc.removeEventListener("connectionstatechange", look);
      signal?.removeEventListener("abort", abort);
      outcome(value);
    };
    const look = () => {
      if (pc.connectionState === "connected") finish(resolve);
      else if (["failed", "closed"].includes(pc.connectionState)) {
        finish(reject, new Error("no media connection to the node could be made; is its media port reachable?"));
      }
    };
    const abort = () => finish(reject, signal.reason);
    const timer = setTimeout(
      () => finish(reject, new Error(`no media connection to the node within ${CONNECT_DEADLINE_MS / 1000} s`)),
      CONNECT_DEADLINE_MS,
    );
    pc.addEventListener("connectionstatechange", look);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    else look();
  });
}
