// How the page follows the cluster, with a front door that answers what a test says. Run by `node --test web/tests/ui/*.test.mjs`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { events, follow } = await load("feed.js");
const bytes = (text) => new TextEncoder().encode(text);

function stream(...chunks) {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(typeof chunk === "string" ? bytes(chunk) : chunk);
      controller.close();
    },
  });
}

async function all(body) {
  const found = [];
  for await (const event of events(body)) found.push(event);
  return found;
}

test("events are read whole, however the network cuts them", async () => {
  const whole = bytes('event: cluster\ndata: {"name":"über"}\n\n:\n\nevent: other\ndata: 1\n\n');
  const expected = [
    { name: "cluster", data: '{"name":"über"}' },
    { name: "other", data: "1" },
  ];
  assert.deepEqual(await all(stream(whole)), expected);
  assert.deepEqual(await all(stream(...Array.from(whole, (byte) => Uint8Array.of(byte)))), expected);
  assert.deepEqual(await all(stream("event: cluster\ndata: half")), [], "an event ends with an empty line");
});

test("a refused page says why, asks for nothing by itself, and shows the cluster with the token that it is given", async () => {
  const asked = [];
  globalThis.fetch = async (url, { headers, signal }) => {
    asked.push([url, headers.authorization]);
    if (headers.authorization === "Bearer good") {
      // Goes on, as the front door's does.
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(bytes('event: cluster\ndata: {"nodes":[]}\n\n'));
          signal.addEventListener("abort", () => controller.error(signal.reason));
        },
      });
      return new Response(body, { status: 200 });
    }
    const problem = { status: 401, detail: "a token that allows to observe is needed" };
    return new Response(JSON.stringify(problem), { status: 401 });
  };
  let token = "";
  const told = [];
  let next = () => {};
  const heard = (entry) => {
    told.push(entry);
    next();
  };
  const until = async (length) => {
    while (told.length < length) await new Promise((resolve) => (next = resolve));
  };
  const feed = follow({
    onCluster: (json) => heard(["cluster", json]),
    onState: (state, why) => heard([state, why]),
    token: () => token,
  });
  await until(1);
  assert.deepEqual(told, [["refused", "a token that allows to observe is needed"]]);
  assert.deepEqual(asked, [["api/v1/events", undefined]]);
  token = "wrong";
  feed.retry();
  await until(2);
  token = "good";
  feed.retry();
  await until(4);
  assert.deepEqual(told.slice(2), [
    ["live", undefined],
    ["cluster", { nodes: [] }],
  ]);
  assert.deepEqual(
    asked.map(([, header]) => header),
    [undefined, "Bearer wrong", "Bearer good"],
  );
  feed.stop();
});

test("a token that no header may hold is refused with a sentence, and nothing is asked", async () => {
  let asked = 0;
  globalThis.fetch = async () => {
    asked += 1;
    return new Response(null, { status: 500 });
  };
  let feed;
  const [state, why] = await new Promise((resolve) => {
    feed = follow({ onCluster() {}, onState: (...entry) => resolve(entry), token: () => "good\u2026" });
  });
  feed.stop();
  assert.equal(state, "refused");
  assert.match(why, /character/);
  assert.equal(asked, 0);
});
