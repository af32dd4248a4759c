// WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) for browsers: one POST opens a session, one DELETE ends it.
//
// The offer is sent at once, without candidates: the server is ICE lite and learns our addresses from our checks, so there is
// nothing to trickle. Only then it becomes the local description, so that gathering knows the servers that the answer names.

import { Checks, LOOK_EVERY_MS } from "./checks.js";
import { iceServers, use } from "./ice-servers.js";
import { extensionLinks } from "./layers.js";
import { Unreachable } from "./unreachable.js";

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
 * `makePeer({ answering })` answers a new RTCPeerConnection, with its transceivers or tracks in place unless it is to answer
 * an offer of the server. With `takeOffer` the server is asked for one by an empty POST: its own numbers for codecs and
 * extensions cost no translation, and bring retransmission and bandwidth estimation that an answer to our offer must leave
 * out. A server that makes no offers refuses that with 400, and gets ours. Without `takeOffer` a WHEP server may
 * still refuse our offer and make one of its own (406).
 * Answers `{ pc, url, etag, links, end() }`; ends everything itself when it throws.
 */
export async function openSession({ endpoint, makePeer, token, signal, takeOffer = false }) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let pc = null;
  const session = { pc, url: null, etag: null, links: null, end: () => end(session, headers) };
  try {
    let response = takeOffer ? await askForOffer(endpoint, headers, signal) : null;
    let offered = response !== null;
    let offer = null;
    if (!offered) {
      pc = session.pc = makePeer();
      offer = await pc.createOffer();
      offer = { type: "offer", sdp: withStereo(offer.sdp) };
      response = await post(endpoint, headers, offer.sdp, signal);
      offered = response.status === 406;
    }
    const sdp = await response.text();
    const location = response.headers.get("location");
    session.url = location && new URL(location, response.url).href;
    session.etag = response.headers.get("etag");
    session.links = extensionLinks(response.headers.get("link"), response.url);
    const servers = iceServers(response.headers.get("link"));
    if (!session.url) throw new Error("the server gave no session URL (Location)");
    if (offered) {
      pc?.close();
      pc = session.pc = makePeer({ answering: true });
      use(pc, servers);
      await pc.setRemoteDescription({ type: "offer", sdp });
      const answer = await pc.createAnswer();
      await pc.setLocalDescription({ type: "answer", sdp: withStereo(answer.sdp) });
      refuseHalves(sdp, pc.localDescription.sdp);
      await patch(session, headers, SDP, pc.localDescription.sdp, signal);
    } else {
      use(pc, servers);
      await pc.setLocalDescription(offer);
      await pc.setRemoteDescription({ type: "answer", sdp });
    }
    await connected(pc, { node: nodeOf(session.url), sdp, signal });
    return session;
  } catch (error) {
    session.end();
    throw error;
  }
}

/** Says that this side plays two channels (RFC 7587 section 7): without that, browsers decode Opus as one. */
export function withStereo(sdp) {
  const type = sdp.match(/^a=rtpmap:(\d+) opus\/48000\/2/m)?.[1];
  const fmtp = new RegExp(`^(a=fmtp:${type} (?!(?:[^\\r\\n]*;)? *stereo=)[^\r\n]*)`, "m");
  return type ? sdp.replace(fmtp, "$1;stereo=1") : sdp;
}

/** The server's answer with its offer, or null when it makes none. */
async function askForOffer(endpoint, headers, signal) {
  try {
    return await post(endpoint, headers, "", signal);
  } catch (error) {
    if (error instanceof Refused && error.status === 400) return null;
    throw error;
  }
}

/** A browser answers a codec that it lacks with port 0: that would be sound without a picture, and nobody told why. */
function refuseHalves(offer, answer) {
  const refused = answer.match(/^m=(audio|video) 0 /m)?.[1];
  if (!refused) return;
  const section = offer.slice(offer.indexOf(`m=${refused} `));
  const codec = section.match(/^a=rtpmap:\d+ ([^/]+)/m)?.[1] ?? "its codec";
  throw new Refused(422, { detail: `the stream's ${refused} is ${codec}, which this browser cannot play` }, null);
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
  session.pc?.close();
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

/** `/nodes/{node}/whep/...` names the node; a proxy may offer it below a path. */
export function nodeOf(url) {
  return new URL(url).pathname.match(/\/nodes\/([^/]+)\/wh[ie]p\//)?.[1] ?? null;
}

/** Why a connection failed, or did not come in time: addresses that nothing answers from are told from all else. */
function notConnected(pc, node, sdp, checks) {
  const answered = ["connected", "completed", "disconnected"].includes(pc.iceConnectionState);
  return answered
    ? new Error(`${node ?? "the node"} answers, but no secure media connection (DTLS) could be made`)
    : new Unreachable(node, sdp, checks);
}

/** Waits until media can flow. `sdp` is what the node wrote: it names the addresses that are tried meanwhile. */
function connected(pc, { node, sdp, signal }) {
  const checks = new Checks();
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timer);
      clearInterval(looking);
      pc.removeEventListener("connectionstatechange", look);
      signal?.removeEventListener("abort", abort);
    };
    const fail = async () => {
      finish();
      // While the connection is open: a closed one has nothing to tell.
      await checks.look(pc);
      if (pc.connectionState === "connected") resolve();
      else reject(notConnected(pc, node, sdp, checks));
    };
    const look = () => {
      if (pc.connectionState === "connected") {
        finish();
        resolve();
      } else if (["failed", "closed"].includes(pc.connectionState)) {
        fail();
      }
    };
    const abort = () => {
      finish();
      reject(signal.reason);
    };
    const timer = setTimeout(fail, CONNECT_DEADLINE_MS);
    const looking = setInterval(() => checks.look(pc), LOOK_EVERY_MS);
    pc.addEventListener("connectionstatechange", look);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    else look();
  });
}
