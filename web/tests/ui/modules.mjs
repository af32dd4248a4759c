// The page's modules, as Node can load them.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

// Browsers take a script for a module because the page says so; Node wants to be told by a file beside it.
const copy = mkdtempSync(join(tmpdir(), "sfumato-ui-"));
after(() => rmSync(copy, { recursive: true }));
cpSync(fileURLToPath(new URL("../../ui", import.meta.url)), copy, { recursive: true });
writeFileSync(join(copy, "package.json"), '{ "type": "module" }');

/** Loads one of them. */
export function load(name) {
  return import(pathToFileURL(join(copy, name)));
}
