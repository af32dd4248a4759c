// Why nothing can be shown of a track, in a few words and in a sentence. Pure.

const TROUBLES = {
  nothing: () => ({ word: "nothing comes", why: "the publisher has sent none for 5 seconds or more" }),
  noKeyFrame: ({ codec }) => ({
    word: "no key frame",
    why:
      codec === "H264"
        ? "no key frame with SPS came: the publisher has to send SPS and PPS with each key frame " +
          "(GStreamer: h264parse config-interval=-1; FFmpeg: -bsf:v dump_extra)"
        : "no key frame came: set a key frame interval of 1 or 2 seconds at the publisher",
  }),
  strangeSsrc: () => ({ word: "unknown SSRC", why: "the publisher sends it with an SSRC that is not in its offer" }),
};

/** `{ word, why }` for a track of which nothing can be shown; null for all others. */
export function trouble(track) {
  return TROUBLES[track.state]?.(track) ?? null;
}

const NAMES = { audio: "sound", video: "picture" };

/** What is wrong with a stream of the cluster, as sentences; empty when nothing is. */
export function troubles(stream) {
  const told = (track) => {
    const found = trouble(track);
    return found ? `No ${NAMES[track.kind]}: ${found.why}.` : "";
  };
  return (stream?.tracks ?? []).map(told).filter(Boolean).join(" ");
}
