#!/usr/bin/env bash
# Tests of the page's modules (web/tests/ui), by Node's own test runner.
. "$(dirname "$0")/env.sh"
scripts/apt.sh page
node --test web/tests/ui/*.test.mjs
