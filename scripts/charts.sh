#!/usr/bin/env bash
# Tests the charts without a cluster (test/charts).
#   charts.sh              the tests
#   charts.sh --write      writes what the charts make of test/charts/values, for somebody to look at
. "$(dirname "$0")/env.sh"
scripts/tools.sh e2e helm
if [ "${1:-}" = --write ]; then export SFUMATO_CHARTS_WRITE=1; fi
export SFUMATO_HELM=$tools/helm/helm SFUMATO_OPERATOR=$bin/sfu-operator
report=$cache/charts.xml
rm -f "$report"
"$cache/e2e-venv/bin/python" -m pytest --rootdir test/charts --config-file test/charts/pytest.ini --color=auto --quiet --numprocesses 2 \
  --junit-xml "$report" test/charts
none_skipped "$report"
