#!/usr/bin/env bash
# Installs what the checks run with, each once, into the cache.
#   tools.sh lint      shellcheck, shfmt, ruff and typos
#   tools.sh deny      cargo-deny (built from source: 5 to 10 min, once)
#   tools.sh e2e       the Python environment of test/e2e
. "$(dirname "$0")/env.sh"
only_one
cargo_deny=0.20.2

# environment DIR REQUIREMENTS: a virtual environment with these, brought up to date when they change. Not emptied for that,
# since another clone may be running from it; only one whose Python is gone is made anew.
environment() {
  local stamp broken=0
  stamp=$(cksum <"$2")
  "$1/bin/python" -c '' 2>/dev/null || broken=1
  if [ $broken = 0 ] && [ "$(cat "$1/stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
  say "installing $2 into $1"
  [ $broken = 0 ] || python3 -m venv --clear "$1"
  "$1/bin/pip" install --quiet --requirement "$2"
  printf '%s\n' "$stamp" >"$1/stamp"
}

for tool in "$@"; do
  case $tool in
    lint) environment "$tools/lint" scripts/lint-requirements.txt ;;
    e2e) environment "$cache/e2e-venv" test/e2e/requirements.txt ;;
    deny)
      if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $cargo_deny" ]; then
        say "building cargo-deny $cargo_deny into $tools (5 to 10 min, once)"
        (
          . scripts/rust.sh
          CARGO_TARGET_DIR=$cache/tools-build cargo install --locked --quiet --root "$tools" "cargo-deny@$cargo_deny"
        )
        rm -rf "$cache/tools-build"
      fi
      ;;
    *) fail "usage: tools.sh [lint] [deny] [e2e]" ;;
  esac
done
