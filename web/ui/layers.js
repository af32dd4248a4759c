// What a WHEP session offers beside its media (WHEP core extensions): events of the stream, and a choice of layers.

const EXTENSION = "urn:ietf:params:whep:ext:core:";
const EVENTS = ["active", "inactive", "layers", "reconnect"];

/** Finds the links of the extensions in a `Link` header: `{ events, layer }`, each an absolute URL or null. */
export function extensionLinks(header, base) {
  const links = { events: null, layer: null };
  for (const [, url, parameters] of (header ?? "").matchAll(/<([^>]*)>((?:;\s*[\w-]+="?[^";]*"?\s*)*)/g)) {
    const rel = parameters.match(/;\s*rel="?([^";]*)"?/)?.[1];
    if (rel === `${EXTENSION}server-sent-events`) links.events = new URL(url, base).href;
    if (rel === `${EXTENSION}layer`) links.layer = new URL(url, base).href;
  }
  return links;
}

/**
 * Follows the events of one session. `active` says whether the publisher sends; `list` has the layers, the highest
 * first, if there are several. Fires `change`, and `reconnect` when the node asks for that.
 */
export class Layers extends EventTarget {
  constructor(links) {
    super();
    this.links = links;
    this.active = true;
    this.list = [];
    /** The rid that was chosen; null leaves the choice to the node. */
    this.choice = null;
    this.mediaId = null;
    this.closed = false;
    this.source = null;
    if (links.events) this.open();
  }

  async open() {
    try {
      const response = await fetch(this.links.events, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(EVENTS),
      });
      const location = response.headers.get("location");
      if (response.status !== 201 || !location || this.closed) return;
      this.source = new EventSource(new URL(location, response.url));
    } catch {
      // The node is gone; the session notices by itself.
      return;
    }
    this.source.addEventListener("active", () => this.set({ active: true }));
    this.source.addEventListener("inactive", () => this.set({ active: false }));
    this.source.addEventListener("layers", ({ data }) => this.take(JSON.parse(data)));
    this.source.addEventListener("reconnect", () => this.dispatchEvent(new Event("reconnect")));
  }

  take(sections) {
    const [mediaId, layers] = Object.entries(sections)[0] ?? [null, []];
    this.mediaId = mediaId;
    const list = this.links.layer && layers.length > 1 ? layers : [];
    const known = list.some((layer) => layer.rid === this.choice);
    this.set({ list, choice: known ? this.choice : null });
  }

  /** Asks for one layer by its rid; null leaves the choice to the node again. Throws when the node refuses. */
  async choose(rid) {
    const wish = rid ? { mediaId: this.mediaId, rid } : { mediaId: this.mediaId };
    const response = await fetch(this.links.layer, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(wish),
    });
    if (!response.ok) throw new Error(`the node answered ${response.status} to the choice of a layer`);
    this.set({ choice: rid });
  }

  close() {
    this.closed = true;
    this.source?.close();
  }

  set(news) {
    Object.assign(this, news);
    this.dispatchEvent(new Event("change"));
  }
}

/** What a person calls the layers of a list: three have a high, a medium and a low one. */
export function layerName(index, list) {
  const names = { 2: ["High", "Low"], 3: ["High", "Medium", "Low"] }[list.length];
  const name = names?.[index] ?? `Layer ${list.length - index}`;
  const { height } = list[index];
  return height ? `${name} (${height}p)` : name;
}
