#!/usr/bin/env bash
# Everything that building and running need: packages, Rust, third-party parts. Quick and silent where all is there.
. "$(dirname "$0")/env.sh"
scripts/apt.sh build
. scripts/rust.sh
scripts/third-party.sh
