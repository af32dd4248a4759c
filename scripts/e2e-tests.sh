#!/usr/bin/env bash
# Runs the whole-system tests on processes (test/e2e).
#   no PYTEST_ARGS          all: two files at a time, then the tests marked `alone`, which need every core
#   PYTEST_ARGS='-k name'   those that it picks, one after the other, with the packages that they need and no others
. "$(dirname "$0")/env.sh"
scripts/tools.sh e2e
read -ra arguments <<<"${PYTEST_ARGS:-}"
python=$cache/e2e-venv/bin/python
reports=()

export SFUMATO_HELM=$tools/helm/helm

# tests NAME OPTION...: one run of pytest; its report is NAME.xml in the cache.
tests() {
  local report=$cache/$1.xml code=0
  rm -f "$report"
  (cd test/e2e && CARGO_TARGET_DIR=$target "$python" -m pytest --color=auto --junit-xml "$report" "${@:2}") || code=$?
  reports+=("$report")
  return $code
}

# What the tests need beyond the programs: `browsers`, `peers`, `proxy` (test/e2e/harness/needs.py).
needs=$cache/e2e-needs
rm -f "$needs"
(cd test/e2e && "$python" -m pytest --collect-only --quiet "--needs-to=$needs" "${arguments[@]}" >"$cache/e2e-collected.log") || {
  cat "$cache/e2e-collected.log"
  fail "no test of test/e2e could be picked, see above (PYTEST_ARGS is \"${PYTEST_ARGS:-}\")"
}
scripts/apt.sh test
while read -r need; do
  case $need in
    browsers) scripts/apt.sh browsers ;;
    peers)
      scripts/apt.sh peers
      scripts/tools.sh peers
      ;;
    proxy)
      scripts/apt.sh proxy
      scripts/tools.sh helm
      ;;
    *) fail "the tests need $need, and what that is nobody has said here" ;;
  esac
done <"$needs"

failed=0
if [ ${#arguments[@]} -gt 0 ]; then
  tests e2e "${arguments[@]}" || failed=1
else
  # A file's tests share a cluster, so a file stays on one worker. The order is that of pytest.ini: what takes longest first.
  tests e2e -m "not alone" --numprocesses 2 --dist loadfile --no-loadscope-reorder || failed=1
  tests e2e-alone -m alone || failed=1
fi
none_skipped "${reports[@]}"
exit $failed
