#!/usr/bin/env bash
# What a change can have broken and minutes can show: formatting, lints, unit tests, the page's tests and the stories of what has changed.
#   check-fast.sh           what has changed since the branch left its upstream; on an upstream itself: since the last commit
#   check-fast.sh BASE      what has changed since that commit (HEAD: what is not committed yet)
# Files that git does not know yet count as changed. `make test` remains what decides.
. "$(dirname "$0")/env.sh"

# The commit to compare with, where none is named.
upstream_base() {
  local upstream base
  for upstream in '@{upstream}' origin/HEAD origin/main main; do
    base=$(git merge-base HEAD "$upstream" 2>/dev/null) || continue
    if [ "$base" != "$(git rev-parse HEAD)" ]; then
      printf '%s\n' "$base"
      return
    fi
  done
  if git diff --quiet HEAD && [ -z "$(git ls-files --others --exclude-standard)" ]; then
    git rev-parse --verify --quiet 'HEAD~1^{commit}' || git rev-parse HEAD
  else
    git rev-parse HEAD
  fi
}
base=${1:-$(upstream_base)}
git rev-parse --verify --quiet "$base^{commit}" >/dev/null || usage "there is no commit $base"
mapfile -t files < <({ git diff --name-only "$base" && git ls-files --others --exclude-standard; } | sort -u)
if [ ${#files[@]} = 0 ]; then
  say "nothing has changed since $(git log -1 --format='%h (%s)' "$base")"
  exit 0
fi
say "${#files[@]} files have changed since $(git log -1 --format='%h (%s)' "$base")"

# changed REGULAR_EXPRESSION: whether a file with such a path has.
changed() { printf '%s\n' "${files[@]}" | grep -E "$1" >/dev/null; }

rust='\.rs$|(^|/)Cargo\.(toml|lock)$|^(rust-toolchain|clippy)\.toml$|^operator/src/.*\.(yaml|snap)$'
kinds=(spelling)
if changed "$rust"; then kinds+=(modules rust); fi
if changed "\.md$|$rust|^(scripts|test)/"; then kinds+=(documents); fi
if changed '^scripts/.*\.py$'; then kinds+=(scripts); fi
if changed '\.py$|ruff\.toml$'; then kinds+=(python); fi
# A script may have no ending.
if changed '\.sh$|\.shellcheckrc$|^scripts/[^.]*$|^\.ci/'; then kinds+=(shell); fi

summary=() failed=0
# step NAME COMMAND...: runs it under a heading, and goes on when it has failed.
step() {
  local start=$SECONDS result=passed
  printf '\n== %s\n' "$1"
  "${@:2}" || { result=FAILED && failed=1; }
  summary+=("$(printf '  %-8s %3d s  %s' "$result" $((SECONDS - start)) "$1")")
}
# shellcheck disable=SC2329 # step calls it
charts() { scripts/cargo.sh build --workspace --locked --bin sfu-operator && scripts/charts.sh; }
chosen=()
# The stories that the change concerns. It says itself what is missing in test/stories/areas.toml, and chooses all the same.
# shellcheck disable=SC2329 # step calls it
choose() {
  local code=0 found
  found=$(scripts/story_choice.py "${files[@]}") || code=1
  if [ -n "$found" ]; then mapfile -t chosen <<<"$found"; fi
  return "$code"
}
# shellcheck disable=SC2329 # step calls it
stories() {
  local programs=(--bin sfu-operator)
  # One story asks every program for its help.
  if [[ " ${chosen[*]} " =~ test_printed_commands\.py(\ |::test_every_example) ]]; then programs=(--bins); fi
  scripts/cargo.sh build --workspace --locked "${programs[@]}" && env -u PYTEST_ARGS scripts/stories.sh "${chosen[@]}"
}

step formatting scripts/format.sh --check
step "lints: ${kinds[*]}" scripts/lints.sh "${kinds[@]}"
# Documents and others that unit tests of a crate read. What stands for them is a file of the crate.
tested=("${files[@]}")
if changed '^(README\.md|docs/(kubernetes|sfucluster|whip-whep)\.md)$|^(crds|examples)/'; then tested+=(operator/src/lib.rs); fi
if changed '^docs/(metrics|whip-whep)\.md$'; then tested+=(sfu-node/src/lib.rs); fi
if [ ${#tested[@]} != ${#files[@]} ] || changed "$rust|^sfu-node/tests/|^web/ui/"; then step "unit tests" scripts/unit-tests.py "${tested[@]}"; fi
if changed '^web/(ui|tests/ui)/'; then step "tests of the page" scripts/page-tests.sh; fi
of_charts='^(charts|test/charts|crds|examples)/|^docs/(kubernetes|metrics)\.md$|^operator/src/(manifests|crds|cli/own_pods)\.rs$'
if changed "$of_charts"; then step charts charts; fi
step "choice of stories" choose
if [ ${#chosen[@]} -gt 0 ]; then step stories stories; fi

printf '\n== summary, %s s in all\n' "$SECONDS"
printf '%s\n' "${summary[@]}"
exit $failed
