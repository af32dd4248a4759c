#!/usr/bin/env bash
# Prints the whole-system tests that PYTEST_ARGS picks, one a line; exit code 1, and what pytest says of it, where there is none.
#   chosen-tests.sh SUITE...       SUITE is test/e2e, test/stories, test/cluster or test/kubernetes
. "$(dirname "$0")/env.sh"
[ $# -gt 0 ] || usage "usage: chosen-tests.sh SUITE..."
scripts/tools.sh e2e >&2
read -ra arguments <<<"${PYTEST_ARGS:-}"
chosen=$(mktemp -d)
trap 'rm -rf "$chosen"' EXIT

# Every suite has a pytest.ini of its own, so each is asked, for all its files, whatever order its `testpaths` name them in. One that pytest can make
# nothing of (a path of another suite) has none of them.
for suite in "$@"; do
  (
    cd "$suite"
    files=(test_*.py)
    "$cache/e2e-venv/bin/python" -m pytest --collect-only --quiet --color=no --override-ini "testpaths=${files[*]}" "${arguments[@]}"
  ) >"$chosen/said" 2>&1 || true
  sed -nE "s|^(test_[a-z0-9_]+\.py::.*)|$suite/\1|p" "$chosen/said" >>"$chosen/tests"
  sed "s|^|$suite: |" "$chosen/said" >>"$chosen/log"
done
if [ ! -s "$chosen/tests" ]; then
  cat "$chosen/log" >&2
  fail "no test in $* is picked by PYTEST_ARGS='${PYTEST_ARGS:-}'"
fi
cat "$chosen/tests"
