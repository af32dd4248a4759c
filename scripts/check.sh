#!/usr/bin/env bash
# Runs the checks, all or the named ones, each under a heading with its duration, and closes with a summary.
#   check.sh                       every check
#   check.sh lints unit            only these
# A check that cannot run counts as failed. PYTEST_ARGS='-k kill' picks whole-system tests.
. "$(dirname "$0")/env.sh"

# Whole-system tests come before lints and other tests, which are compiled beside them. Stories keep every core busy: nothing compiles beside them.
all=(setup formatting build generated charts e2e kubernetes lints unit media stories dependencies)
wanted=("$@")
if [ $# = 0 ]; then wanted=("${all[@]}"); fi

about() {
  case $1 in
    setup) echo "packages, Rust, third-party parts, tools" ;;
    formatting) echo "formatting: rustfmt, shfmt, ruff" ;;
    stories) echo "stories of reconcile: a real API server, stand-ins for kubelets and media nodes" ;;
    lints) echo "lints: clippy, rustdoc, module circles, layers, document paths, tests of scripts, shellcheck, ruff, spelling" ;;
    build) echo "build" ;;
    generated) echo "generated files: crds/, docs/admin-api.yaml, docs/sfucluster.md, charts/" ;;
    charts) echo "charts, without a cluster" ;;
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
    generated | charts | stories | e2e | kubernetes) echo setup build ;;
    *) echo setup ;;
  esac
}

check_setup() { scripts/setup.sh; }

# What PYTEST_ARGS picks decides which suites run at all: nothing is brought up for a suite that has none of these tests.
suites=(test/e2e test/cluster test/kubernetes test/stories)
wants() { [[ " ${wanted[*]} " == *" $1 "* ]]; }
choose() {
  local asked=() picked
  if [ -z "${PYTEST_ARGS:-}" ]; then return; fi
  if wants e2e; then asked+=(test/e2e); fi
  if wants kubernetes; then asked+=(test/cluster test/kubernetes); fi
  if wants stories; then asked+=(test/stories); fi
  if [ ${#asked[@]} = 0 ]; then return; fi
  picked=$(scripts/chosen-tests.sh "${asked[@]}") || exit 1
  mapfile -t suites < <(cut -d/ -f1-2 <<<"$picked" | uniq)
  say "PYTEST_ARGS='$PYTEST_ARGS' picks $(wc -l <<<"$picked") tests, of ${suites[*]}"
}
# has_tests CHECK: whether it has tests to run.
has_tests() {
  case $1 in
    e2e | stories) [[ " ${suites[*]} " == *" test/$1 "* ]] ;;
    kubernetes) [[ " ${suites[*]} " == *" test/cluster "* || " ${suites[*]} " == *" test/kubernetes "* ]] ;;
  esac
}

# What takes long and is needed later runs beside other checks, on processor time that nobody else wants: SCHED_IDLE counts within a session
# only, so it has a session of its own, which the kernel's autogroups give a seventieth of what each of the others gets.
# Whether it succeeds is seen by the check that needs it, which waits for it or does it again.
idle=()
# beside NAME COMMAND...: runs it so; its output is NAME.log in the cache.
beside() {
  # shellcheck disable=SC2016 # It is the shell of the new session that knows them.
  setsid bash -c '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec chrt --idle 0 "$@"' beside "${@:2}" >"$cache/$1.log" 2>&1 &
  idle+=($!)
}
end_idle() {
  local group
  for group in "${idle[@]}"; do kill -- "-$group" 2>/dev/null || true; done
}
# After the setup: many minutes on a machine that has none of our caches.
begin_ahead() {
  if { wants stories && has_tests stories; } || { wants kubernetes && has_tests kubernetes; }; then beside ahead-cluster scripts/cluster-build.sh; fi
  if wants dependencies; then beside ahead-deny scripts/tools.sh deny; fi
}
# After the build, which is cargo's last one until the whole-system tests are over: those mostly wait.
begin_compiling() {
  local later=() check
  if wants kubernetes && has_tests kubernetes; then later+=(previous); fi
  for check in lints unit media; do
    if wants "$check"; then later+=("$check"); fi
  done
  if [ ${#later[@]} -gt 0 ]; then beside ahead-compiling scripts/compile.sh "${later[@]}"; fi
}
check_formatting() { scripts/format.sh --check; }

check_lints() { scripts/lints.sh; }
check_build() { scripts/cargo.sh build --workspace --locked; }
check_generated() { scripts/generate.sh --check; }
check_charts() { scripts/charts.sh; }

check_unit() {
  scripts/cargo.sh test --workspace --locked --lib --bins
  scripts/cargo.sh test --workspace --locked --doc
  scripts/page-tests.sh
}

check_media() {
  scripts/compile.sh media
  scripts/cargo.sh test --workspace --locked --test '*'
}

check_e2e() { scripts/e2e-tests.sh; }

check_kubernetes() {
  local named=()
  if [ -n "${PYTEST_ARGS:-}" ]; then mapfile -t named < <(printf '%s\n' "${suites[@]}" | grep -E '^test/(cluster|kubernetes)$'); fi
  scripts/kubernetes-tests.sh "${named[@]}"
}

check_stories() { scripts/stories.sh; }

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

# One name for all suites of this run: their second attempts count together.
SFUMATO_RUN="check $$ $(date +%s)"
export SFUMATO_RUN

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
began=$(mktemp)
trap 'end_idle; rm -f "$began"' EXIT
if ! wants setup; then choose; fi
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
  if ! has_tests "$check"; then
    say "PYTEST_ARGS picks none of these tests"
    result="no test"
  elif [ -n "$missing" ]; then
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
  elif [ "$result" != "no test" ]; then
    failed=$((failed + 1)) broken+="$check "
  fi
  printf -- '-- %s after %s\n' "$result" "$took"
  if [ "$check" = setup ] && [ "$result" = passed ]; then
    choose
    begin_ahead
  fi
  if [ "$check" = build ] && [ "$result" = passed ] && { wants e2e || wants kubernetes; }; then begin_compiling; fi
done

# Reports of this run's suites of pytest.
mapfile -t reports < <(find "$cache" "$cache/kubernetes" -maxdepth 1 -name '*.xml' -newer "$began" 2>/dev/null)
if [ ${#reports[@]} -gt 0 ]; then
  printf '\n'
  scripts/slowest.py "${reports[@]}"
fi

printf '\n== summary, %s in all\n' "$(clock $SECONDS)"
if ! scripts/second_attempts.py "$SFUMATO_RUN"; then
  summary+=("$(printf '  %-8s %6s  %s' FAILED "" "second attempts, of all suites together")")
  failed=$((failed + 1))
fi
printf '%s\n' "${summary[@]}"
printf '\nchecks: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
