// Draws the cluster: mesh state, sums, node cards, link matrix, streams. Everything is updated in place.

import { el, keyed, setData, setText } from "./dom.js";
import { count, roundTrip } from "./format.js";
import { trouble } from "./track-states.js";

const byId = (id) => document.getElementById(id);

/** Every link state has a mark of its own shape, a word and a tone. From best to worst. */
const LINK_STATES = {
  fresh: { mark: "●", tone: "good", word: "up", meaning: "relays media both ways" },
  narrow: { mark: "◔", tone: "warn", word: "narrow", meaning: "loses large packets: sound passes, pictures do not; check the MTU" },
  connecting: { mark: "◌", tone: "busy", word: "connecting", meaning: "no heartbeat has come back yet" },
  stale: { mark: "◐", tone: "warn", word: "lost", meaning: "its heartbeats are missing" },
  dead: { mark: "✕", tone: "bad", word: "failed", meaning: "its transport has failed" },
  missing: { mark: "○", tone: "none", word: "missing", meaning: "one end does not report it" },
};
const WORST_FIRST = Object.keys(LINK_STATES).reverse();

/** Draws the legend once. */
export function drawLegend() {
  byId("legend").replaceChildren(
    ...Object.values(LINK_STATES).map(({ mark, tone, word, meaning }) =>
      el("li", {}, el("span", { class: "state", data: { mark, tone } }, word), ` ${meaning}`),
    ),
  );
}

/** Draws a cluster as `/api/v1/cluster` gives it. `onWatch(stream)` is called by the button of a stream. */
export function drawCluster(json, onWatch) {
  drawHeader(json);
  byId("nodes-empty").hidden = json.nodes.length > 0;
  keyed(byId("nodes"), json.nodes, (node) => node.name, makeCard);
  byId("mesh-section").hidden = json.nodes.length < 2;
  drawMatrix(json);
  byId("streams-empty").hidden = json.streams.length > 0;
  byId("streams-panel").hidden = json.streams.length === 0;
  keyed(
    byId("streams"),
    json.streams,
    (stream) => stream.publication,
    (stream) => makeStream(stream, onWatch),
  );
}

function drawHeader({ nodes, streams, mesh }) {
  const { desiredPairs, establishedPairs } = mesh;
  const whole = desiredPairs === establishedPairs && nodes.every((node) => node.reachable);
  const state = nodes.length === 0 ? "waiting" : whole ? "whole" : "healing";
  setData(byId("mesh-state"), "state", state);
  const text = state === "waiting" ? "waiting for nodes" : `${establishedPairs}/${desiredPairs} ${state}`;
  setText(byId("mesh-value"), text);
  drawSum("node", nodes.length);
  drawSum("stream", streams.length);
  drawSum(
    "viewer",
    streams.reduce((sum, stream) => sum + stream.viewers, 0),
  );
}

function drawSum(noun, number) {
  setText(byId(`sum-${noun}s`), number);
  setText(byId(`sum-${noun}s`).previousElementSibling, number === 1 ? noun : `${noun}s`);
}

function nodeState({ reachable, draining, ready }) {
  if (!reachable) return { mark: "✕", tone: "bad", word: "unreachable" };
  if (draining) return { mark: "◐", tone: "warn", word: "draining" };
  if (!ready) return { mark: "◌", tone: "busy", word: "not ready" };
  return { mark: "●", tone: "good", word: "ready" };
}

function makeCard({ name }) {
  const state = el("span", { class: "state", data: { testid: `node-state-${name}` } });
  const [publishers, viewers, workers] = [el("dd"), el("dd"), el("dd")];
  const bar = el("progress", { class: "bar", max: "1", "aria-label": `Load of ${name}` });
  const share = el("span");
  const foot = el("p", { class: "foot mono" });
  const element = el(
    "li",
    { class: "card", data: { testid: `node-${name}` } },
    el("header", {}, el("h3", { title: name }, name), state),
    el(
      "dl",
      {},
      el("div", {}, el("dt", {}, "publishers"), publishers),
      el("div", {}, el("dt", {}, "viewers"), viewers),
      el("div", {}, el("dt", {}, "workers"), workers),
    ),
    el("div", { class: "load" }, el("span", {}, "load"), bar, share),
    foot,
  );
  const update = (node) => {
    const { mark, tone, word } = nodeState(node);
    setData(element, "reachable", node.reachable);
    setData(state, "mark", mark);
    setData(state, "tone", tone);
    setText(state, word);
    setText(publishers, node.publishers);
    setText(viewers, node.viewers);
    setText(workers, node.workers);
    bar.value = node.load;
    setText(share, `${Math.round(node.load * 100)} %`);
    const life = node.incarnation.split(".").at(-1).slice(0, 8);
    setText(
      foot,
      [node.version && `v${node.version}`, node.pid && `pid ${node.pid}`, life].filter(Boolean).join(" · "),
    );
    foot.title = `incarnation ${node.incarnation}\n${node.clientUrl}`;
  };
  return { element, update };
}

function drawMatrix({ nodes, links }) {
  const pairs = new Map();
  for (const link of links) {
    for (const key of [`${link.a} ${link.b}`, `${link.b} ${link.a}`]) {
      pairs.set(key, [...(pairs.get(key) ?? []), link]);
    }
  }
  const names = nodes.map((node) => node.name);
  const table = byId("matrix");
  if (table.names !== names.join(" ")) {
    table.names = names.join(" ");
    const heads = names.map((name) => el("th", { scope: "col" }, name));
    table.tHead.replaceChildren(el("tr", {}, el("td"), ...heads));
    table.cells = new Map();
    table.tBodies[0].replaceChildren(...names.map((row) => matrixRow(table, row, names)));
  }
  for (const [key, cell] of table.cells) updateCell(cell, pairs.get(key) ?? []);
}

function matrixRow(table, row, names) {
  const cells = names.map((column) => {
    if (row === column) return el("td", { class: "self" }, el("span", { "aria-hidden": "true" }, "—"));
    const key = `${row} ${column}`;
    const state = el("span", { class: "state" });
    const lanes = el("span", { class: "lanes" });
    const element = el("span", { class: "cell", data: { testid: `link-${row}-${column}` } }, state, lanes);
    table.cells.set(key, { element, state, lanes });
    return el("td", {}, element);
  });
  return el("tr", {}, el("th", { scope: "row" }, row), ...cells);
}

function updateCell({ element, state, lanes }, links) {
  const worst = WORST_FIRST.find((name) => links.some((link) => link.state === name)) ?? "missing";
  const { mark, tone, word } = LINK_STATES[worst];
  const fresh = links.filter((link) => link.state === "fresh").length;
  const times = links.map((link) => link.rttUs).filter((rtt) => rtt != null);
  const mean = times.length > 0 ? times.reduce((a, b) => a + b, 0) / times.length : null;
  setData(element, "state", worst);
  setData(element, "tone", tone);
  setData(state, "mark", mark);
  setText(state, worst === "fresh" ? roundTrip(mean) : word);
  setText(lanes, `${fresh}/${count(links.length, "lane")}`);
  element.title = links
    .map((l) => `lane ${l.lane}: ${l.a} sees ${l.aState}, ${l.b} sees ${l.bState}, ${l.packetsLost} packets lost`)
    .join("\n");
}

function makeStream({ name }, onWatch) {
  const origin = el("td");
  const tracks = el("div", { class: "chips" });
  const viewers = el("td", { class: "number" });
  const carriers = el("div", { class: "chips" });
  const button = el("button", { type: "button", onclick: () => onWatch(name), "aria-label": `Watch ${name}` }, "Watch");
  button.dataset.testid = `watch-${name}`;
  const element = el(
    "tr",
    { data: { testid: `stream-${name}` } },
    el("th", { scope: "row" }, name),
    origin,
    el("td", {}, tracks),
    viewers,
    el("td", {}, carriers),
    el("td", { class: "number" }, button),
  );
  const update = (stream) => {
    setText(origin, stream.origin);
    setText(viewers, stream.viewers);
    keyed(
      tracks,
      stream.tracks,
      (track) => track.kind,
      chip(trackWords, (track) => trouble(track)?.why ?? "", (track) => (trouble(track) ? "warn" : "")),
    );
    const away = stream.perNode.filter((each) => each.node !== stream.origin);
    keyed(
      carriers,
      away,
      (each) => each.node,
      chip((each) => each.node, carrierTitle),
    );
    if (away.length === 0) setText(carriers, "origin only");
    else carriers.firstChild?.nodeType === Node.TEXT_NODE && carriers.firstChild.remove();
  };
  return { element, update };
}

function trackWords(track) {
  const name = `${track.kind} ${track.codec}`;
  const found = trouble(track);
  return found ? `${name}: ${found.word}` : name;
}

function carrierTitle({ viewers, packetsReceived, packetsLost }) {
  return `${count(viewers, "viewer")} here; ${packetsReceived} packets came over the link, ${packetsLost} were lost`;
}

function chip(textOf, titleOf = () => "", toneOf = () => "") {
  return () => {
    const element = el("span", { class: "chip" });
    const update = (item) => {
      setText(element, textOf(item));
      element.title = titleOf(item);
      setData(element, "tone", toneOf(item));
    };
    return { element, update };
  };
}
