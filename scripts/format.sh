#!/usr/bin/env bash
# Formats Rust, shell and Python code; with --check, only shows what would change, and fails.
. "$(dirname "$0")/env.sh"
. scripts/rust.sh
scripts/tools.sh lint
check=() shfmt_mode=--write failed=0
if [ "${1:-}" = --check ]; then check=(--check) shfmt_mode=--diff; fi
mapfile -t shell < <(scripts/shell-files.sh)
[ ${#shell[@]} -gt 0 ] || fail "git lists no shell script here: is this a clone?"
cargo fmt --all "${check[@]}" || failed=1
rustfmt "${check[@]}" third-party/static-openssl/src/main.rs || failed=1
"$tools/lint/bin/shfmt" "$shfmt_mode" "${shell[@]}" || failed=1
"$tools/lint/bin/ruff" format "${check[@]}" scripts test || failed=1
exit $failed
