#!/usr/bin/env bash
# Reads what the charts make, and examples/, as each supported release of Kubernetes would (scripts/releases.py). By hand, before a release.
. "$(dirname "$0")/env.sh"
scripts/tools.sh e2e helm go
exec "$cache/e2e-venv/bin/python" scripts/releases.py "$tools/helm/helm"
