// What the page's own URL asks for. Pure: whoever makes a link decides what is filled in, and never that a camera sends.

/**
 * `?publish=NAME` and `?watch=NAME` with `&node=`, `&source=`, `&simulcast=1`, `&size=640x360` and `&autostart=1`.
 * Answers `{ role, stream, node, source, simulcast, width, height, starts, waits }` for each role: `starts` without a
 * click, or `waits` for one, with the sentence that says so.
 */
export function wishes(search) {
  const parameters = new URLSearchParams(search);
  return ["publish", "watch"].filter((role) => parameters.get(role)).map((role) => wish(role, parameters));
}

function wish(role, parameters) {
  const source = role === "publish" && parameters.get("source") === "camera" ? "camera" : "test";
  const [width, height] = (parameters.get("size") ?? "").split("x").map((n) => Number.parseInt(n, 10) || undefined);
  const asked = parameters.get("autostart") === "1";
  // A browser that was once allowed to use the camera does not ask again: a link would be enough to send it.
  const needsClick = source === "camera";
  return {
    role,
    stream: parameters.get(role),
    node: parameters.get("node") ?? "",
    source,
    simulcast: role === "publish" && parameters.get("simulcast") === "1",
    width,
    height,
    starts: asked && !needsClick,
    waits: asked && needsClick ? "Camera and microphone start by a click only: press Publish to send them." : null,
  };
}
