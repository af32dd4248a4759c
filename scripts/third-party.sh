#!/usr/bin/env bash
# Decides where the C and C++ parts of mediasoup's worker come from, prepares them, and writes .cargo/config.toml.
#   SFUMATO_THIRD_PARTY=auto (default) | online | offline        docs/building.md tells what each means
. "$(dirname "$0")/env.sh"
. scripts/rust.sh
only_one
choice_file=$cache/third-party.choice
config=.cargo/config.toml
header="# Written by \`make setup\`; not under version control."

# What mediasoup-sys leaves behind when it has been built. Cargo does not build it again for another choice, so neither do we choose again.
built() { compgen -G "$bin/build/mediasoup-sys-*/out/libmediasoup-worker.a" >/dev/null; }
kept=$(cat "$choice_file" 2>/dev/null || true)

case ${SFUMATO_THIRD_PARTY:-auto} in
  online | offline)
    choice=$SFUMATO_THIRD_PARTY why="SFUMATO_THIRD_PARTY=$SFUMATO_THIRD_PARTY"
    if built && [ -n "$kept" ] && [ "$kept" != "$choice" ]; then
      say "the worker in $target was built $kept and stays as it is until \`make clean-all\`"
    fi
    ;;
  auto)
    if built && [ -n "$kept" ]; then
      choice=$kept why="as it was built before"
    elif command -v apt-get >/dev/null; then
      choice=offline why="with the OpenSSL that Cargo.lock pins, whose faults are mended"
    else
      choice=online why="this is neither Debian nor Ubuntu"
    fi
    ;;
  *) usage "SFUMATO_THIRD_PARTY is auto, online or offline, not \"$SFUMATO_THIRD_PARTY\"" ;;
esac
case $choice in
  online) say "third-party parts: online, downloaded by mediasoup's own build, but for OpenSSL ($why)" ;;
  offline) say "third-party parts: offline, from package registries ($why)" ;;
esac

third-party/prepare.sh "$cache" "$choice"

settings=$(
  cat <<EOF
$header
[build]
target-dir = "$cache/target"

$(cat "$cache/third-party.toml")
CCACHE_DIR = "$cache/ccache"
EOF
)
if [ -f "$config" ] && [ "$(head -1 "$config")" != "$header" ]; then
  fail "$config is not ours (its first line is not \"$header\"): move it away, or put what you need into ~/.cargo/config.toml"
fi
if [ "$(cat "$config" 2>/dev/null)" != "$settings" ]; then
  mkdir -p .cargo
  printf '%s\n' "$settings" >"$config.new"
  mv "$config.new" "$config"
fi
# The record is of what was built, not of what was asked for since.
if ! built || [ -z "$kept" ]; then printf '%s\n' "$choice" >"$choice_file"; fi
