#!/usr/bin/env bash
# Runs the tests that need Kubernetes (test/cluster, test/kubernetes), or what is named: `kubernetes-tests.sh test/kubernetes/figures.py`.
# SFUMATO_KUBECONFIG=FILE: on that cluster, which must have the images (`make kind-up` loads them). Else on the test cluster: the one that is up, or
# one that is brought up for the tests and taken down after them. PYTEST_ARGS='-k partition' picks some.
. "$(dirname "$0")/env.sh"
read -ra arguments <<<"${PYTEST_ARGS:-}"
python=$cache/e2e-venv/bin/python
run=()
if [ -z "${SFUMATO_KUBECONFIG:-}" ]; then
  if ! scripts/cluster.sh status >/dev/null 2>&1; then
    trap 'scripts/cluster.sh down' EXIT
    scripts/cluster.sh up
  fi
  scripts/cluster.sh images
  scripts/previous.sh
  scripts/tools.sh go
  go=$(cat "$tools/go-program")
  (cd test/cluster/kind && GOTOOLCHAIN=local "$go" test ./...)
  run=(scripts/cluster.sh exec)
fi

failed=0
suites=("$@")
if [ $# = 0 ]; then suites=(test/cluster test/kubernetes); fi
for suite in "${suites[@]}"; do
  folder=$suite
  if [ -f "$suite" ]; then folder=$(dirname "$suite"); fi
  report=$cache/${suite//\//-}.xml
  rm -f "$report"
  "${run[@]}" env CARGO_TARGET_DIR="$target" "$python" -m pytest --rootdir "$folder" --config-file "$folder/pytest.ini" --color=auto --junit-xml "$report" "${arguments[@]}" "$suite" || {
    code=$?
    # With names picked, a suite may have none of them.
    if [ $code != 5 ] || [ ${#arguments[@]} = 0 ]; then failed=1; fi
  }
  # As for the whole-system tests: one that did not run has not passed.
  if grep -qE '<skipped( |/|>)' "$report"; then
    say "tests of $suite were skipped, see above"
    failed=1
  fi
done
exit $failed
