#!/usr/bin/env bash
# Runs the tests that need Kubernetes (test/cluster, test/kubernetes), or what is named: `kubernetes-tests.sh test/kubernetes/figures.py`.
#   nothing named            all of them, side by side on two test clusters, since they mostly wait
#   PYTEST_ARGS='-k name'    those with this name, on one
#   SFUMATO_KUBECONFIG=FILE  on that cluster, which must have the images (`make kind-up` loads them)
# A test cluster that is up is used; else one is brought up for the tests and taken down after them.
. "$(dirname "$0")/env.sh"
read -ra arguments <<<"${PYTEST_ARGS:-}"
python=$cache/e2e-venv/bin/python
# What the second cluster is for: hosts that fail, which takes half of the time of all tests, and rolls with a feature of Kubernetes that changes them.
second=second
second_options=(--feature-gates MaxUnavailableStatefulSet=true)
on_second=(test/kubernetes/test_{faults,healing,leaving,rolls}.py)

# suite REPORT PATH...: the tests at these paths, of one suite.
suite() {
  local report=$cache/$1.xml folder=$2 code=0 run=()
  shift
  if [ -f "$folder" ]; then folder=$(dirname "$folder"); fi
  if [ -z "${SFUMATO_KUBECONFIG:-}" ]; then run=(scripts/cluster.sh exec); fi
  rm -f "$report"
  "${run[@]}" env CARGO_TARGET_DIR="$target" "$python" -m pytest --rootdir "$folder" --config-file "$folder/pytest.ini" --color=auto --junit-xml "$report" "${arguments[@]}" "$@" || code=$?
  # As for the whole-system tests: one that did not run has not passed.
  if grep -qE '<skipped( |/|>)' "$report"; then
    say "tests of $* were skipped, see above"
    return 1
  fi
  # With names picked, a suite may have none of them.
  if [ $code = 5 ] && [ ${#arguments[@]} -gt 0 ]; then return 0; fi
  return $code
}

# on_one SUITE...: those that were named, else all, one after the other on one cluster; fails where one has failed.
on_one() {
  local failed=0 one
  if [ $# = 0 ]; then set -- test/cluster test/kubernetes; fi
  for one in "$@"; do suite "${one//\//-}" "$one" || failed=1; done
  return $failed
}

# Names of the clusters that are to be taken down at the end, and the process group of what runs beside this script.
ours=()
beside=
# shellcheck disable=SC2329 # the trap calls it
end() {
  if [ -n "$beside" ] && kill -INT -- "-$beside" 2>/dev/null; then wait "$beside" || true; fi
  for name in "${ours[@]}"; do scripts/cluster.sh --name "$name" down; done
}
trap end EXIT

# cluster NAME OPTION...: up, with the built images.
cluster() {
  if ! scripts/cluster.sh --name "$1" status >/dev/null 2>&1; then
    ours+=("$1")
    scripts/cluster.sh --name "$1" up "${@:2}"
  fi
  scripts/cluster.sh --name "$1" images
}

if [ -n "${SFUMATO_KUBECONFIG:-}" ]; then
  on_one "$@"
  exit
fi

scripts/tools.sh go
go=$(cat "$tools/go-program")
(cd test/cluster/kind && GOTOOLCHAIN=local "$go" test ./...)
cluster "${SFUMATO_CLUSTER:-default}"
scripts/previous.sh
if [ $# -gt 0 ] || [ ${#arguments[@]} -gt 0 ]; then
  on_one "$@"
  exit
fi

cluster $second "${second_options[@]}"
# A process group of its own, so that an interrupt reaches all that runs in it.
set -m
(
  set +m
  export SFUMATO_CLUSTER=$second
  failed=0
  suite test-kubernetes-second "${on_second[@]}" || failed=1
  suite test-cluster test/cluster || failed=1
  exit $failed
) </dev/null > >(sed -u 's/^/second cluster | /') 2>&1 &
beside=$!
set +m
failed=0
suite test-kubernetes test/kubernetes "${on_second[@]/#/--ignore=}" || failed=1
say "the first cluster's tests are done; waiting for those of the second"
wait "$beside" || failed=1
beside=
exit $failed
