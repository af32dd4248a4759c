#!/usr/bin/env bash
# Runs the stories of reconcile (test/stories): a real API server and controller manager on loopback, stand-ins for kubelets and media nodes, and the
# built operator. Neither root nor kubelets. PYTEST_ARGS='-k roll' picks some; SFUMATO_STORIES_JOBS: how many run side by side (default 8, since
# they mostly wait).
. "$(dirname "$0")/env.sh"
read -ra arguments <<<"${PYTEST_ARGS:-}"
scripts/cluster-build.sh
scripts/tools.sh e2e
# Tests that take long are first, and each process takes one at a time: else the last one would wait for them.
CARGO_TARGET_DIR=$target exec "$cache/e2e-venv/bin/python" -m pytest --rootdir test/stories --config-file test/stories/pytest.ini --color=auto \
  --numprocesses "${SFUMATO_STORIES_JOBS:-8}" --dist loadgroup --maxschedchunk 1 "${arguments[@]}" test/stories
