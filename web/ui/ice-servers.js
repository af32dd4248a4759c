// STUN and TURN servers that an answer names (RFC 9725 section 4.6). Pure.

/** What a browser takes; more only make gathering slow. */
const MOST = 8;
const SCHEME = /^(stuns?|turns?):/i;

/** The servers of a `Link` header, as RTCPeerConnection takes them. A TURN server without a password is left out. */
export function iceServers(header) {
  const servers = [];
  for (const [, urls, parameters] of (header ?? "").matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+="?[^";,]*"?)*)/g)) {
    const parameter = (name) => parameters.match(new RegExp(`;\\s*${name}="?([^";,]*)"?`))?.[1];
    const scheme = urls.match(SCHEME)?.[1].toLowerCase();
    if (!scheme || !parameter("rel")?.split(" ").includes("ice-server")) continue;
    const [username, credential] = [parameter("username"), parameter("credential")];
    if (scheme.startsWith("stun")) servers.push({ urls });
    else if (username && credential) servers.push({ urls, username, credential });
  }
  return servers.slice(0, MOST);
}

/** Has a connection use them, before its local description makes it gather. What the browser refuses it does without. */
export function use(pc, servers) {
  if (!servers.length) return;
  try {
    pc.setConfiguration({ ...pc.getConfiguration(), iceServers: servers });
  } catch (error) {
    console.warn(`the servers that the node names are not used: ${error.message}`);
  }
}
