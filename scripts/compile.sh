#!/usr/bin/env bash
# Compiles what checks run, and runs none of it, so that it can be done beside other checks.
#   compile.sh [previous] [lints] [unit] [media]
. "$(dirname "$0")/env.sh"
for what in "$@"; do
  case $what in
    previous) scripts/previous.sh --build ;;
    # What they find is shown by the check.
    lints) scripts/lints.sh rust rustdoc || true ;;
    unit) scripts/cargo.sh test --workspace --locked --lib --bins --no-run ;;
    media)
      # First the stand-in that the operator's tests start: `--test` builds no example. The lints look at the other examples.
      scripts/cargo.sh build --workspace --locked --example fake_process
      scripts/cargo.sh test --workspace --locked --test '*' --no-run
      ;;
    *) usage "usage: compile.sh [previous] [lints] [unit] [media]" ;;
  esac
done
