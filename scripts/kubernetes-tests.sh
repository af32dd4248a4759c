#!/usr/bin/env bash
# Runs the tests that need Kubernetes (test/cluster, test/kubernetes), or what is named: `kubernetes-tests.sh test/kubernetes/figures.py`.
#   nothing named            all of them, by a queue of files over two test clusters
#   PYTEST_ARGS='-k name'    those with this name, on one
#   FRESH=1                  also the test cluster's own tests, where nothing of it has changed since they passed
#   SFUMATO_KUBECONFIG=FILE  on that cluster, which must have the images (`make kind-up` loads them)
# A test cluster that is up is used; else one is brought up for the tests and taken down after them.
. "$(dirname "$0")/env.sh"
scripts/tools.sh e2e
python=$cache/e2e-venv/bin/python
read -ra arguments <<<"${PYTEST_ARGS:-}"
paths=("$@")
if [ $# = 0 ]; then paths=(test/cluster test/kubernetes); fi

# What the tests need beyond the cluster and the programs: `browsers`, `firewall`, `helm`, `turn` (test/cluster/testcluster/needs.py).
needs=$cache/kubernetes-needs log=$cache/kubernetes-collected.log
: >"$needs"
for path in "${paths[@]}"; do
  suite=${path%/*.py} code=0
  "$python" -m pytest --rootdir "$suite" --config-file "$suite/pytest.ini" --collect-only --quiet "--needs-to=$needs" "${arguments[@]}" "$path" \
    >"$log" 2>&1 || code=$?
  # 5: this suite has none of the tests that PYTEST_ARGS picks.
  if [ $code != 0 ] && [ $code != 5 ]; then
    cat "$log"
    fail "the tests of $path could not be read, see above"
  fi
done
while read -r need; do
  case $need in
    browsers) scripts/apt.sh browsers ;;
    helm) scripts/tools.sh helm ;;
    turn) scripts/apt.sh turn ;;
    firewall)
      scripts/apt.sh firewall
      scripts/tools.sh firewall
      ;;
    *) fail "the tests need $need, and what that is nobody has said here" ;;
  esac
done < <(sort -u "$needs")

# Whether kind would take its configuration: with all tests, on our own cluster.
if [ -z "$*${PYTEST_ARGS:-}${SFUMATO_KUBECONFIG:-}" ]; then
  scripts/tools.sh go
  go=$(cat "$tools/go-program")
  (cd test/cluster/kind && GOTOOLCHAIN=local "$go" test ./...)
fi
cd scripts
CARGO_TARGET_DIR=$target exec "$python" -m kubernetes_tests "$@"
