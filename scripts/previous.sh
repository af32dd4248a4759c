#!/usr/bin/env bash
# The media node of the commit before this one, as localhost/sfumato/sfu-node:previous on the test cluster: for tests of a mesh of two releases.
. "$(dirname "$0")/env.sh"
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
  # What this clone says about profiles, so that dependencies are shared with its own build.
  options=()
  if [ -f .cargo/config.toml ]; then options=(--config "$root/.cargo/config.toml"); fi
  say "building sfu-node of $commit"
  # The whole workspace counts for the features of dependencies, although one program is built.
  (cd "$kept/source" && CARGO_TARGET_DIR=$target scripts/cargo.sh build --workspace --bin sfu-node --locked "${options[@]}")
  cp "$bin/sfu-node" "$kept/sfu-node.partial"
  rm -rf "$kept/source"
  # The present one takes its place in the target directory again.
  scripts/cargo.sh build --workspace --bin sfu-node --locked
  mv "$kept/sfu-node.partial" "$kept/sfu-node"
fi
scripts/cluster.sh images --bin "$kept" --tag previous --only sfu-node
