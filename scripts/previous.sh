#!/usr/bin/env bash
# What the commit before this one had, for tests of two releases: its media node and its operator, as localhost/sfumato/NAME:previous on the test
# cluster, and its charts, in previous/charts of the cache.
#   previous.sh             builds it where it is not there yet, and loads it
#   previous.sh --build     only builds it
# Where PYTEST_ARGS picks none of those tests, there is nothing to do.
. "$(dirname "$0")/env.sh"
if [ -n "${PYTEST_ARGS:-}" ] && ! scripts/chosen-tests.sh test/kubernetes 2>/dev/null | grep -E '/test_(media_roll|upgrade)\.py' >/dev/null; then
  say "PYTEST_ARGS picks no test with the previous commit's programs"
  exit 0
fi
# It may be built beside other checks (scripts/compile.sh).
only_one previous
commit=$(git rev-parse --verify --quiet 'HEAD~1^{commit}') || {
  say "this clone holds no commit before HEAD (git fetch --deepen=1 gets one): HEAD's own programs and charts stand in for it"
  commit=$(git rev-parse HEAD)
}
kept=$cache/previous
mkdir -p "$kept"

# sources PROGRAM: what it is built from, one path a line.
sources() {
  printf '%s\n' Cargo.toml Cargo.lock rust-toolchain.toml admin-api
  case $1 in
    sfu-node) printf '%s\n' sfu-node ;;
    sfu-operator) printf '%s\n' mesh operator ;;
  esac
}

# Programs that are the present ones, those of the earlier commit, and of these what is not built yet.
present=() earlier=() missing=()
for program in sfu-node sfu-operator; do
  mapfile -t paths < <(sources "$program")
  if git diff --quiet "$commit" -- "${paths[@]}"; then
    say "$program of $commit is the present one: nothing of its source has changed since"
    present+=("$program")
    continue
  fi
  earlier+=("$program")
  # By its source and not by the commit: that of many commits is the same.
  git ls-tree "$commit" -- "${paths[@]}" >"$kept/$program.wanted"
  if ! [ -x "$kept/$program" ] || ! cmp -s "$kept/$program.wanted" "$kept/$program.source"; then missing+=("$program"); fi
done

if [ ${#missing[@]} -gt 0 ]; then
  rm -rf "$kept/source" "$kept/target"
  mkdir "$kept/source"
  # Times of now: cargo goes by them, and would take an older commit's files for what it has built already.
  git archive "$commit" | tar --extract --touch --directory "$kept/source"
  # What this clone says about profiles, so that dependencies are shared with its own build. Cargo tells crates of a workspace apart by name
  # and profile, not by folder: with one difference in their profiles, however small, neither commit's crates take the place of the other's.
  options=()
  if [ -f .cargo/config.toml ]; then options=(--config "$root/.cargo/config.toml"); fi
  for crate in sfu-node sfu-operator sfumato-admin-api sfumato-mesh; do options+=(--config "profile.dev.package.$crate.codegen-units=15"); done
  for program in "${missing[@]}"; do options+=(--bin "$program"); done
  say "building ${missing[*]} of $commit"
  # The whole workspace counts for the features of dependencies, although one or two programs are built. They go into a folder of their own:
  # the present ones may be running. Without the lock, which whatever outlives this would hold.
  (cd "$kept/source" && CARGO_BUILD_BUILD_DIR=$target CARGO_TARGET_DIR=$kept/target scripts/cargo.sh build --workspace --locked "${options[@]}") 9>&-
  for program in "${missing[@]}"; do
    rm -f "$kept/$program.source"
    cp "$kept/target/debug/$program" "$kept/$program.partial"
    mv "$kept/$program.partial" "$kept/$program"
    mv "$kept/$program.wanted" "$kept/$program.source"
  done
  rm -rf "$kept/source" "$kept/target"
fi

rm -rf "$kept/charts.partial"
mkdir "$kept/charts.partial"
git archive "$commit:charts" | tar --extract --directory "$kept/charts.partial"
rm -rf "$kept/charts"
mv "$kept/charts.partial" "$kept/charts"

if [ "${1:-}" = --build ]; then exit 0; fi
# load FOLDER PROGRAM...
load() {
  if [ $# -gt 1 ]; then scripts/cluster.sh images --bin "$1" --tag previous --only "${@:2}"; fi
}
load "$bin" "${present[@]}"
load "$kept" "${earlier[@]}"
