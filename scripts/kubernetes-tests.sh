#!/usr/bin/env bash
# Runs the tests that need Kubernetes (test/cluster, test/kubernetes), or what is named: `kubernetes-tests.sh test/kubernetes/figures.py`.
#   nothing named            all of them, by a queue of files over three test clusters
#   PYTEST_ARGS='-k name'    those with this name, on one
#   FRESH=1                  also the test cluster's own tests, where nothing of it has changed since they passed
#   SFUMATO_KUBECONFIG=FILE  on that cluster, which must have the images (`make kind-up` loads them)
# A test cluster that is up is used; else one is brought up for the tests and taken down after them.
. "$(dirname "$0")/env.sh"
if [ -z "${SFUMATO_KUBECONFIG:-}" ]; then
  scripts/tools.sh go helm
  go=$(cat "$tools/go-program")
  (cd test/cluster/kind && GOTOOLCHAIN=local "$go" test ./...)
fi
cd scripts
CARGO_TARGET_DIR=$target exec "$cache/e2e-venv/bin/python" -m kubernetes_tests "$@"
