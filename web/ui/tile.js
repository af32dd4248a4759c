// The tile of a session: its picture, its state in words, its figures, its buttons.

import { el, keyed, setData, setText } from "./dom.js";
import { bitrate } from "./format.js";
import { layerName } from "./layers.js";
import { Missing, withoutWords } from "./missing.js";
import { Unreachable, explain } from "./unreachable.js";

const FIGURES_MS = 1_000;

const STATES = {
  connecting: { mark: "◌", tone: "busy", word: "connecting" },
  live: { mark: "●", tone: "good", word: "live" },
  retrying: { mark: "◐", tone: "warn", word: "reconnecting" },
  failed: { mark: "✕", tone: "bad", word: "failed" },
  stopped: { mark: "○", tone: "none", word: "stopped" },
};

/** Makes the tile of a session; `onClose()` is called when its person closes it. */
export function makeTile(session, onClose) {
  const isPlayer = session.role === "watch";
  const kind = isPlayer ? "Watching" : "Publishing";
  const video = el("video", {
    playsinline: true,
    "aria-label": `${kind} ${session.stream}`,
    data: { testid: "video" },
  });
  // Sound is the person's choice; and muted pictures may start by themselves.
  video.muted = !(isPlayer && session.sound);
  const veil = el("p", { class: "veil" });
  const state = el("span", { class: "state", role: "status", data: { testid: "session-state" } });
  const figures = el("p", { class: "figures", data: { testid: "session-figures" } });
  const error = el("p", { class: "error", role: "alert", hidden: true, data: { testid: "session-error" } });
  const trouble = el("p", { class: "error", role: "alert", hidden: true, data: { testid: "session-trouble" } });
  const unreachable = unreachableNote();
  const sound = el("button", { type: "button", data: { testid: "session-sound" } });
  const picker = el("select", { data: { testid: "session-layer" } });
  const quality = el("label", { class: "quality", hidden: true }, el("span", { class: "hidden" }, "Quality"), picker);
  picker.addEventListener("change", () => session.layers.choose(picker.value || null).catch(() => showLayers()));
  const close = el("button", { type: "button", onclick: onClose, data: { testid: "session-stop" } }, "Stop");
  sound.hidden = !isPlayer;
  sound.addEventListener("click", () => {
    video.muted = !video.muted;
  });
  const showSound = () => setText(sound, video.muted ? "Turn sound on" : "Turn sound off");
  video.addEventListener("volumechange", showSound);
  showSound();
  const element = el(
    "article",
    { class: "tile", data: { testid: `${session.role}-${session.stream}`, role: session.role } },
    el("div", { class: "screen" }, video, veil),
    el(
      "div",
      { class: "about" },
      el("h3", { title: session.stream }, el("small", {}, `${kind} `), session.stream),
      state,
    ),
    figures,
    error,
    trouble,
    unreachable.element,
    el("div", { class: "buttons" }, sound, quality, close),
  );

  const showLayers = () => {
    const { list = [], choice = null } = session.state === "live" ? (session.layers ?? {}) : {};
    quality.hidden = list.length === 0;
    const named = list.map((layer, index) => ({ value: layer.rid, text: layerName(index, list) }));
    keyed(picker, [{ value: "", text: "Auto" }, ...named], (option) => option.value, makeOption);
    picker.value = choice ?? "";
  };
  const show = () => {
    if (session.media && video.srcObject !== session.media) video.srcObject = session.media;
    // Whoever wants no motion gets a still of their own test picture; a player was asked for.
    const still = !isPlayer && session.source?.isTest && matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!still && video.paused) play(video);
  };
  let missing = [];
  const update = () => {
    const { mark, tone, word } = STATES[shownState(session)];
    const without = session.state === "live" ? withoutWords(missing) : "";
    setData(element, "state", session.state);
    setData(state, "mark", mark);
    setData(state, "tone", without ? "warn" : tone);
    setText(state, (session.state === "live" && session.node ? `live on ${session.node}` : word) + without);
    veil.hidden = (session.state === "live" && session.layers?.active !== false) || (!isPlayer && session.state !== "failed");
    setText(veil, veilText(session));
    error.hidden = session.state !== "failed";
    setText(error, session.state === "failed" ? session.error.message : "");
    unreachable.show(session.state !== "live" && session.error instanceof Unreachable ? session.error : null);
    setText(close, ["failed", "stopped"].includes(session.state) ? "Close" : "Stop");
    showLayers();
    show();
  };
  session.addEventListener("change", update);
  session.addEventListener("track", show);
  update();
  const watched = new Missing();
  const stopFigures = followFigures(session, figures, (now) => {
    // What the publisher does not send is told as that.
    missing = isPlayer && session.state === "live" && session.layers?.active !== false ? watched.look(now) : [];
    update();
  });
  const remove = () => {
    stopFigures();
    video.srcObject = null;
    element.remove();
  };
  // What the cluster says is wrong with the stream, while it is shown here.
  const tell = (words) => {
    const shown = session.state === "live" ? words : "";
    trouble.hidden = shown === "";
    setText(trouble, shown);
  };
  return { element, remove, tell };
}

/** Why no media passes, and what to do; it stays as it is while the session tries again. */
function unreachableNote() {
  const what = el("p");
  const why = el("p");
  const list = el("ul");
  const data = { testid: "session-unreachable" };
  const element = el(
    "div",
    { class: "error unreachable", hidden: true, data },
    // The list is no part of the alert: its figures are others after each attempt.
    el("div", { role: "alert" }, what, why),
    el("details", {}, el("summary", {}, "Addresses, and what was tried"), list),
  );
  const show = (error) => {
    element.hidden = !error;
    if (!error) return;
    const told = explain(error, location.hostname, navigator.userAgent.includes("Firefox/"));
    setText(what, told.what);
    setText(why, told.why);
    keyed(list, told.addresses, ({ key }) => key, makeItem);
  };
  return { element, show };
}

function makeItem() {
  const element = el("li");
  return { element, update: ({ text }) => setText(element, text) };
}

/** Plays, without sound where the browser wants a click before it allows that. */
async function play(video) {
  try {
    await video.play();
  } catch (error) {
    if (error.name !== "NotAllowedError" || video.muted) return;
    video.muted = true;
    video.play().catch(() => {
      // The tile was closed meanwhile.
    });
  }
}

function makeOption({ value }) {
  const element = el("option", { value });
  return { element, update: ({ text }) => setText(element, text) };
}

/** What a person is shown: each attempt after the first is a part of reconnecting, and does not flicker. */
export function shownState({ state, error }) {
  return state === "connecting" && error ? "retrying" : state;
}

export function veilText(session) {
  const { state, role, error, layers } = session;
  if (state === "live" && layers?.active === false) return "The publisher sends nothing at present.";
  if (shownState(session) === "retrying") return `${error.message}. Trying again.`;
  if (state === "connecting") return role === "watch" ? "Connecting…" : "Opening the session…";
  return "";
}

function followFigures(session, element, onFigures) {
  let last = null;
  const timer = setInterval(async () => {
    const now = await session.stats();
    const bytes = session.role === "watch" ? now.bytesReceived : now.bytesSent;
    const seconds = last ? (now.timestamp - last.timestamp) / 1000 : 0;
    const rate = seconds > 0 && bytes >= last.bytes ? (8 * (bytes - last.bytes)) / seconds : 0;
    last = { bytes, timestamp: now.timestamp };
    onFigures(now);
    if (session.state !== "live") {
      setText(element, "");
      return;
    }
    const frames = session.role === "watch" ? `${now.framesDecoded} decoded` : `${now.framesSent} sent`;
    const size = now.frameWidth ? `${now.frameWidth}×${now.frameHeight}` : "no picture yet";
    const codecs = [now.videoCodec, now.audioCodec].filter(Boolean).join(" + ");
    setText(
      element,
      [size, `${Math.round(now.framesPerSecond)} fps`, frames, bitrate(rate), codecs].filter(Boolean).join(" · "),
    );
  }, FIGURES_MS);
  return () => clearInterval(timer);
}
