// The page's wiring: forms, URL parameters, the cluster's feed, and `window.sfumato` for scripts and browser tests.
//
//   /?publish=NAME&node=sfu-1&source=test&autostart=1      publishes the test picture at once; a camera needs a click
//   /?watch=NAME&node=sfu-3&autostart=1                    watches at once, without sound
//   &simulcast=1 publishes in three sizes
//   &size=640x360 sets the size of the test picture

import { drawCluster, drawLegend } from "./cluster-view.js";
import { el, keyed, setData, setText } from "./dom.js";
import { follow } from "./feed.js";
import { wishes } from "./parameters.js";
import { Session } from "./session.js";
import { startTestPicture } from "./test-picture.js";
import { makeTile } from "./tile.js";
import { troubles } from "./track-states.js";

const sessions = [];
const tileOf = new Map();
const forms = { publish: document.getElementById("publish"), watch: document.getElementById("watch") };
const observe = document.getElementById("observe");
const stage = document.getElementById("stage");
const tiles = document.getElementById("tiles");

/** Publishes a stream: `{ stream, node, source: "test" | "camera", token, simulcast, width, height }`. Answers its session. */
async function publish({ stream, node = "", source = "test", token = "", simulcast = false, width, height }) {
  const media = source === "camera" ? await openCamera() : testPicture({ name: stream, width, height });
  return add(new Session({ role: "publish", stream, node, token, source: media, simulcast: Boolean(simulcast) }));
}

/** Watches a stream: `{ stream, node, token, sound }`. Answers its session. */
async function watch({ stream, node = "", token = "", sound = false }) {
  return add(new Session({ role: "watch", stream, node, token, sound }));
}

function add(session) {
  sessions.push(session);
  const tile = makeTile(session, () => session.stop());
  tileOf.set(session, tile);
  session.addEventListener("change", () => {
    if (session.state !== "stopped") return;
    sessions.splice(sessions.indexOf(session), 1);
    tileOf.delete(session);
    tile.remove();
    stage.hidden = sessions.length === 0;
  });
  tiles.append(tile.element);
  stage.hidden = false;
  return session;
}

function testPicture(options) {
  return { ...startTestPicture(options), isTest: true };
}

async function openCamera() {
  if (!navigator.mediaDevices) {
    throw new Error("the browser gives the camera to pages over HTTPS or on localhost only; use the test picture");
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { height: { ideal: 720 } } });
    const stop = () => {
      for (const track of stream.getTracks()) track.stop();
    };
    return { stream, stop, isTest: false };
  } catch (error) {
    throw new Error(`the camera cannot be used (${error.message}); allow it, or use the test picture`);
  }
}

async function start(role, options) {
  const message = forms[role].querySelector(".error");
  message.hidden = true;
  try {
    const session = await (role === "publish" ? publish(options) : watch(options));
    session.addEventListener("change", () => {
      if (session.state === "failed" && [401, 403].includes(session.error?.status)) askForToken(forms[role]);
    });
  } catch (error) {
    say(forms[role], error.message);
  }
}

/** Shows the field that people do not need in a cluster that lets everybody in. */
function askForToken(form) {
  const { token } = form.elements;
  token.closest("details").open = true;
  token.focus();
}

for (const [role, form] of Object.entries(forms)) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start(role, Object.fromEntries(new FormData(form)));
  });
  form.addEventListener("input", showUrls);
}

function showUrls() {
  const { publish: from, watch: to } = forms;
  setText(document.getElementById("whip-url"), here(`whip/${from.elements.stream.value || "{stream}"}`));
  setText(document.getElementById("whep-url"), here(`whep/${to.elements.stream.value || "{stream}"}`));
}

/** A URL beside the page: a proxy may offer it below a path. The braces of a place to fill in stay readable. */
function here(path) {
  return new URL(".", location.href).href + path;
}

/** Fills a list of nodes without touching what is chosen, even if that node is not known (yet, or any more). */
function offerNodes(select, nodes, wanted) {
  const chosen = select.value || wanted;
  const entries = [{ value: "", text: "any (the front door picks)" }];
  for (const { name, reachable, draining } of nodes) {
    entries.push({ value: name, text: name + (!reachable ? " (unreachable)" : draining ? " (draining)" : "") });
  }
  if (chosen && !nodes.some((node) => node.name === chosen)) {
    entries.push({ value: chosen, text: `${chosen} (unknown)` });
  }
  keyed(
    select,
    entries,
    (entry) => entry.value,
    ({ value }) => {
      const element = el("option", { value });
      return { element, update: ({ text }) => setText(element, text) };
    },
  );
  select.value = chosen;
}

function offerStreams(streams) {
  const list = document.getElementById("stream-names");
  keyed(
    list,
    streams,
    (stream) => stream.publication,
    ({ name }) => ({ element: el("option", { value: name }), update() {} }),
  );
}

function onCluster(json) {
  drawCluster(json, (stream) => {
    const { node, token } = forms.watch.elements;
    start("watch", { stream, node: node.value, token: token.value });
  });
  for (const form of Object.values(forms)) offerNodes(form.elements.node, json.nodes, "");
  offerStreams(json.streams);
  for (const [session, tile] of tileOf) {
    tile.tell(troubles(json.streams.find(({ name }) => name === session.stream)));
  }
}

// Since a refusal, until the cluster is shown again: however the front door fails meanwhile, nothing that was seen before is shown.
let refused = "";
let filledIn = "";

const FEED = { live: "live", lost: "no answer from the front door, trying again", refused: "a token is needed" };

function onFeed(state, why) {
  const element = document.getElementById("feed-state");
  setData(element, "state", state);
  setText(element, FEED[state]);
  if (state === "refused") refused = why;
  if (state === "live") refused = "";
  // What was seen before is not shown any longer than its token is good.
  setData(document.body, "cluster", refused ? "hidden" : "shown");
  observe.hidden = !refused;
  if (refused) setText(document.getElementById("observe-why"), `${refused}.`);
}

observe.addEventListener("submit", (event) => {
  event.preventDefault();
  const token = observe.elements.token.value.trim();
  // One token often holds all the rights of its person. What somebody has typed there stays.
  for (const { elements } of Object.values(forms)) {
    if (!elements.token.value || elements.token.value === filledIn) elements.token.value = token;
  }
  filledIn = token;
  feed.retry();
});

function applyParameters() {
  const asked = wishes(location.search);
  for (const [role, form] of Object.entries(forms)) {
    const wish = asked.find((each) => each.role === role);
    offerNodes(form.elements.node, [], wish?.node ?? "");
    if (!wish) continue;
    form.elements.stream.value = wish.stream;
    if (role === "publish") {
      form.elements.simulcast.checked = wish.simulcast;
      form.elements.source.value = wish.source;
    }
    const { width, height } = wish;
    if (wish.starts) start(role, { ...Object.fromEntries(new FormData(form)), width, height });
    if (wish.waits) say(form, wish.waits);
  }
}

/** Shows a sentence in the form. */
function say(form, text) {
  const message = form.querySelector(".error");
  setText(message, text);
  message.hidden = false;
}

addEventListener("pagehide", () => {
  for (const session of [...sessions]) session.stop();
});

window.sfumato = { publish, watch, sessions };
drawLegend();
applyParameters();
showUrls();
const feed = follow({ onCluster, onState: onFeed, token: () => observe.elements.token.value.trim() });
