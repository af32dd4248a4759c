// What a peer connection measures, flattened into one object for the page and for browser tests.

/**
 * Sums and newest values over all tracks of `pc`; figures that do not apply are 0.
 *
 * `audioEnergy` and `audioLevel` are what is played, so Chromium counts 0 for a muted player; `audioSamplesReceived`
 * grows all the same. For a publication they are what is sent.
 */
export async function readStats(pc) {
  const figures = {
    connectionState: pc?.connectionState ?? "closed",
    iceConnectionState: pc?.iceConnectionState ?? "closed",
    framesDecoded: 0,
    framesDropped: 0,
    framesReceived: 0,
    framesPerSecond: 0,
    freezeCount: 0,
    frameWidth: 0,
    frameHeight: 0,
    bytesReceived: 0,
    packetsReceived: 0,
    packetsLost: 0,
    audioBytesReceived: 0,
    audioSamplesReceived: 0,
    audioSamplesConcealed: 0,
    audioEnergy: 0,
    audioLevel: 0,
    framesEncoded: 0,
    framesSent: 0,
    bytesSent: 0,
    packetsSent: 0,
    roundTripTime: null,
    videoCodec: null,
    audioCodec: null,
    // What the connection is to bring: `["audio", "video"]`.
    kinds: [],
    timestamp: performance.timeOrigin + performance.now(),
  };
  if (!pc || pc.connectionState === "closed") return figures;
  figures.kinds = pc.getTransceivers().filter(brings).map(({ receiver }) => receiver.track.kind);
  const report = await pc.getStats();
  for (const entry of report.values()) {
    if (entry.type === "inbound-rtp") addInbound(figures, entry, report);
    else if (entry.type === "outbound-rtp") addOutbound(figures, entry, report);
    else if (entry.type === "media-source" && entry.kind === "audio") addLoudness(figures, entry);
    else if (entry.type === "candidate-pair" && entry.nominated) {
      figures.roundTripTime = entry.currentRoundTripTime ?? figures.roundTripTime;
    }
  }
  return figures;
}

function brings({ currentDirection }) {
  return currentDirection === "recvonly" || currentDirection === "sendrecv";
}

function addInbound(figures, entry, report) {
  figures.bytesReceived += entry.bytesReceived ?? 0;
  figures.packetsReceived += entry.packetsReceived ?? 0;
  figures.packetsLost += entry.packetsLost ?? 0;
  if (entry.kind === "audio") {
    figures.audioBytesReceived += entry.bytesReceived ?? 0;
    figures.audioSamplesReceived += entry.totalSamplesReceived ?? 0;
    figures.audioSamplesConcealed += entry.concealedSamples ?? 0;
    addLoudness(figures, entry);
    figures.audioCodec = codec(entry, report) ?? figures.audioCodec;
    return;
  }
  figures.framesReceived += entry.framesReceived ?? 0;
  figures.framesDecoded += entry.framesDecoded ?? 0;
  figures.framesDropped += entry.framesDropped ?? 0;
  figures.freezeCount += entry.freezeCount ?? 0;
  addPicture(figures, entry, report);
}

function addOutbound(figures, entry, report) {
  figures.bytesSent += entry.bytesSent ?? 0;
  figures.packetsSent += entry.packetsSent ?? 0;
  if (entry.kind === "audio") {
    figures.audioCodec = codec(entry, report) ?? figures.audioCodec;
    return;
  }
  figures.framesEncoded += entry.framesEncoded ?? 0;
  figures.framesSent += entry.framesSent ?? 0;
  addPicture(figures, entry, report);
}

function addLoudness(figures, entry) {
  figures.audioEnergy += entry.totalAudioEnergy ?? 0;
  figures.audioLevel = Math.max(figures.audioLevel, entry.audioLevel ?? 0);
}

function addPicture(figures, entry, report) {
  figures.framesPerSecond = Math.max(figures.framesPerSecond, entry.framesPerSecond ?? 0);
  if ((entry.frameWidth ?? 0) > figures.frameWidth) {
    figures.frameWidth = entry.frameWidth;
    figures.frameHeight = entry.frameHeight;
  }
  figures.videoCodec = codec(entry, report) ?? figures.videoCodec;
}

function codec(entry, report) {
  return report.get(entry.codecId)?.mimeType?.split("/")[1] ?? null;
}
