#!/usr/bin/env bash
# Measures Sfumato on the test cluster (test/kubernetes/figures.py), and prints the table for docs/benchmarks.md. On a machine that does nothing else.
. "$(dirname "$0")/env.sh"
export SFUMATO_FIGURES=$cache/kubernetes-figures.md
rm -f "$SFUMATO_FIGURES"
scripts/kubernetes-tests.sh test/kubernetes/figures.py
cat "$SFUMATO_FIGURES"
