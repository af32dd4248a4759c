#!/usr/bin/env bash
# Runs the stories of reconcile (test/stories): a real API server and controller manager on loopback, stand-ins for kubelets and media nodes, and the
# built operator. Neither root nor kubelets. PYTEST_ARGS='-k roll' picks some; SFUMATO_STORIES_JOBS: how many run side by side (default 8, since
# they mostly wait).
#   stories.sh                                                  all of them
#   stories.sh test/stories/test_roll.py test/stories/test_life.py::test_NAME    these files and stories
. "$(dirname "$0")/env.sh"
read -ra arguments <<<"${PYTEST_ARGS:-}"
chosen=("$@")
if [ $# = 0 ]; then chosen=(test/stories); fi
scripts/cluster-build.sh
scripts/tools.sh e2e helm definitions
export SFUMATO_HELM=$tools/helm/helm SFUMATO_DEFINITIONS=$tools/definitions
# Eight share the cores with a whole control plane: deadlines are twice as long, which costs a story that passes nothing.
export SFUMATO_E2E_PATIENCE=${SFUMATO_E2E_PATIENCE:-2}
# A story that fails is tried once more, aloud: one such story is to be looked at, two in a run fail it. In a run of check.sh, that one counts them,
# with those of the tests on Kubernetes.
own_run=
if [ -z "${SFUMATO_RUN:-}" ]; then own_run="stories $$ $(date +%s)"; fi
export SFUMATO_RUN=${SFUMATO_RUN:-$own_run}
code=0 report=$cache/stories.xml
rm -f "$report"
# Tests that take long are first, and each process takes one at a time: else the last one would wait for them.
CARGO_TARGET_DIR=$target "$cache/e2e-venv/bin/python" -m pytest --rootdir test/stories --config-file test/stories/pytest.ini --color=auto -raR --junit-xml "$report" --reruns 1 \
  --numprocesses "${SFUMATO_STORIES_JOBS:-8}" --dist loadgroup --maxschedchunk 1 "${arguments[@]}" "${chosen[@]}" || code=$?
scripts/story_durations.py "$report" || code=1
if [ -n "$own_run" ]; then scripts/second_attempts.py "$own_run" || code=1; fi
none_skipped "$report"
exit $code
