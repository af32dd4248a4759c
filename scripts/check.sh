#!/usr/bin/env bash
# Runs the checks, all or the named ones, each under a heading with its duration, and closes with a summary.
#   check.sh                       every check
#   check.sh lints unit            only these
# A check that cannot run counts as failed. PYTEST_ARGS='-k kill' picks whole-system tests.
. "$(dirname "$0")/env.sh"

all=(setup formatting lints build generated unit media e2e kubernetes dependencies)
wanted=("$@")
if [ $# = 0 ]; then wanted=("${all[@]}"); fi

about() {
  case $1 in
    setup) echo "packages, Rust, third-party parts, tools" ;;
    formatting) echo "formatting: rustfmt, shfmt, ruff" ;;
    lints) echo "lints: clippy, rustdoc, module circles, layers, document paths, tests of scripts, shellcheck, ruff, spelling" ;;
    build) echo "build" ;;
    generated) echo "generated files: crds/, docs/admin-api.yaml, docs/sfucluster.md" ;;
    unit) echo "unit and property tests, tests of the page" ;;
    media) echo "media tests: real workers, links and HTTP" ;;
    e2e) echo "whole-system tests: browsers, FFmpeg, faults" ;;
    kubernetes) echo "tests on Kubernetes: real pods on real kubelets" ;;
    dependencies) echo "dependency policy" ;;
    *) usage "no check is called \"$1\"; there are: ${all[*]}" ;;
  esac
}

# What must not have failed before a check in the same run.
needs() {
  case $1 in
    setup) ;;
    generated | e2e | kubernetes) echo setup build ;;
    *) echo setup ;;
  esac
}

check_setup() { scripts/setup.sh; }

# What takes many minutes on a machine that has none of our caches, and is needed late, begins early, on processor time that nobody else wants
# (SCHED_IDLE). Whether it succeeds is seen by the check that needs it, which waits for it or does it again.
ahead=
begin_ahead() {
  set -m
  (
    set +me
    if [[ " ${wanted[*]} " == *" kubernetes "* ]]; then chrt --idle 0 scripts/cluster-build.sh; fi
    if [[ " ${wanted[*]} " == *" dependencies "* ]]; then chrt --idle 0 scripts/tools.sh deny; fi
  ) >"$cache/ahead.log" 2>&1 &
  ahead=$!
  set +m
}
end_ahead() {
  if [ -n "$ahead" ]; then kill -- "-$ahead" 2>/dev/null || true; fi
}
trap end_ahead EXIT
check_formatting() { scripts/format.sh --check; }

# Each linter runs even where one before it has failed, so that one run shows all there is to mend.
check_lints() {
  local failed=0 shell_files
  scripts/tools.sh lint
  mapfile -t shell_files < <(scripts/shell-files.sh)
  scripts/cargo.sh clippy --workspace --all-targets --locked -- -D warnings || failed=1
  RUSTDOCFLAGS="-D warnings" scripts/cargo.sh doc --workspace --no-deps --document-private-items --locked --quiet || failed=1
  python3 -m unittest discover --quiet --start-directory scripts || failed=1
  scripts/module-circles.py || failed=1
  scripts/layers.py || failed=1
  scripts/doc-paths.py || failed=1
  "$tools/lint/bin/shellcheck" --external-sources "${shell_files[@]}" || failed=1
  "$tools/lint/bin/ruff" check scripts test || failed=1
  "$tools/lint/bin/typos" || failed=1
  return $failed
}

check_build() { scripts/cargo.sh build --workspace --locked; }
check_generated() { scripts/generate.sh --check; }

check_unit() {
  scripts/cargo.sh test --workspace --locked --lib --bins
  scripts/cargo.sh test --workspace --locked --doc
  scripts/apt.sh page
  node --test web/tests/ui/*.test.mjs
}

# First the stand-in that the operator's tests start: `--test` builds no example. The lints look at the other examples.
check_media() {
  scripts/cargo.sh build --workspace --locked --example fake_process
  scripts/cargo.sh test --workspace --locked --test '*'
}

check_e2e() {
  scripts/apt.sh test
  scripts/apt.sh peers
  scripts/tools.sh e2e peers
  local report=$cache/e2e.xml arguments
  rm -f "$report"
  read -ra arguments <<<"${PYTEST_ARGS:-}"
  (cd test/e2e && CARGO_TARGET_DIR=$target "$cache/e2e-venv/bin/python" -m pytest --color=auto -ra --junit-xml "$report" "${arguments[@]}")
  # pytest calls a run with skipped tests a success; here a test that did not run has not passed.
  if grep -qE '<skipped( |/|>)' "$report"; then fail "whole-system tests were skipped, see above: what they need is missing here"; fi
}

check_kubernetes() {
  scripts/tools.sh e2e
  scripts/kubernetes-tests.sh
}

check_dependencies() {
  local failed=0
  scripts/tools.sh deny
  "$tools/bin/cargo-deny" --workspace --locked check --hide-inclusion-graph bans licenses sources || failed=1
  if code_host_reachable; then
    "$tools/bin/cargo-deny" --workspace --locked check advisories || failed=1
  else
    say "the advisory database cannot be fetched here (no code host answers): advisories were NOT checked"
  fi
  return $failed
}

for check in "${wanted[@]}"; do about "$check" >/dev/null; done

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
summary=() passed=0 failed=0 broken=" "
number=0
for check in "${wanted[@]}"; do
  number=$((number + 1))
  printf '\n== %d/%d %s\n' "$number" "${#wanted[@]}" "$(about "$check")"
  start=$SECONDS
  missing=
  for needed in $(needs "$check"); do
    if [[ $broken == *" $needed "* ]]; then missing=$needed; fi
  done
  if [ -n "$missing" ]; then
    say "cannot run: \"$(about "$missing")\" failed"
    result="NOT RUN"
  else
    # Not in a condition: bash would ignore errexit inside.
    set +e
    (
      set -e
      "check_$check"
    )
    code=$?
    set -e
    result=passed
    [ $code = 0 ] || result=FAILED
    [ $code != 130 ] || fail "interrupted"
  fi
  took=$(clock $((SECONDS - start)))
  summary+=("$(printf '  %-8s %6s  %s' "$result" "$took" "$(about "$check")")")
  if [ "$result" = passed ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)) broken+="$check "
  fi
  printf -- '-- %s after %s\n' "$result" "$took"
  if [ "$check" = setup ] && [ "$result" = passed ]; then begin_ahead; fi
done

printf '\n== summary, %s in all\n' "$(clock $SECONDS)"
printf '%s\n' "${summary[@]}"
printf '\nchecks: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
