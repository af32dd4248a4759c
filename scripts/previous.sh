#!/usr/bin/env bash
# The media node of the commit before this one, as localhost/sfumato/sfu-node:previous on the test cluster: for tests of a mesh of two releases.
#   previous.sh             builds it where it is not there yet, and loads it
#   previous.sh --build     only builds it
# Where PYTEST_ARGS picks none of those tests, there is nothing to do.
. "$(dirname "$0")/env.sh"
if [ -n "${PYTEST_ARGS:-}" ] && ! scripts/chosen-tests.sh test/kubernetes 2>/dev/null | grep test_media_roll >/dev/null; then
  say "PYTEST_ARGS picks no test with the previous commit's media node"
  exit 0
fi
# It may be built beside other checks (scripts/compile.sh).
only_one previous
commit=$(git rev-parse --verify --quiet 'HEAD~1^{commit}') || {
  say "this clone holds no commit before HEAD (git fetch --deepen=1 gets one): HEAD's own node stands in for it"
  commit=$(git rev-parse HEAD)
}

kept=$cache/previous/$commit
if git diff --quiet "$commit" -- Cargo.toml Cargo.lock rust-toolchain.toml admin-api sfu-node; then
  say "sfu-node of $commit is the present one: nothing of its source has changed since"
  kept=$bin
elif [ ! -x "$kept/sfu-node" ]; then
  rm -rf "$cache/previous"
  mkdir -p "$kept/source"
  # Times of now: cargo goes by them, and would take an older commit's files for what it has built already.
  git archive "$commit" | tar --extract --touch --directory "$kept/source"
  # What this clone says about profiles, so that dependencies are shared with its own build. Cargo tells crates of a workspace apart by name
  # and profile, not by folder: with one difference in their profiles, however small, neither commit's crates take the place of the other's.
  options=()
  if [ -f .cargo/config.toml ]; then options=(--config "$root/.cargo/config.toml"); fi
  for crate in sfu-node sfumato-admin-api; do options+=(--config "profile.dev.package.$crate.codegen-units=15"); done
  say "building sfu-node of $commit"
  # The whole workspace counts for the features of dependencies, although one program is built. The program itself goes into a folder of
  # its own: the present one may be running.
  (cd "$kept/source" && CARGO_BUILD_BUILD_DIR=$target CARGO_TARGET_DIR=$kept/target scripts/cargo.sh build --workspace --bin sfu-node --locked "${options[@]}")
  cp "$kept/target/debug/sfu-node" "$kept/sfu-node.partial"
  rm -rf "$kept/source" "$kept/target"
  mv "$kept/sfu-node.partial" "$kept/sfu-node"
fi
if [ "${1:-}" = --build ]; then exit 0; fi
scripts/cluster.sh images --bin "$kept" --tag previous --only sfu-node
