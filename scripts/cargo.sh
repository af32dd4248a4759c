#!/usr/bin/env bash
# cargo with the pinned toolchain, and with the progress of mediasoup's C++ build, of which cargo shows nothing for its 10 minutes.
#   cargo.sh build --workspace
. "$(dirname "$0")/env.sh"
. scripts/rust.sh

# Every 20 s, where something has moved: how many of the worker's C++ files are compiled.
progress() {
  local build all now before=0
  while sleep 20 >/dev/null 2>&1; do
    build=$(compgen -G "$bin/build/mediasoup-sys-*/out/build" | head -1) || continue
    all=$(grep -c '"output": "libmediasoup-worker.a.p' "$build/compile_commands.json" 2>/dev/null) || continue
    now=$(find "$build/libmediasoup-worker.a.p" -name '*.o' 2>/dev/null | wc -l)
    if [ "$now" -gt "$before" ] && [ "$before" -gt 0 ]; then say "    mediasoup's worker: $now of $all C++ files" >&2; fi
    before=$now
  done
}
progress &
trap 'kill $! 2>/dev/null' EXIT
cargo "$@"
