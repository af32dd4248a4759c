#!/usr/bin/env bash
# Tests of the page's modules (web/tests/ui), by Node's own test runner.
. "$(dirname "$0")/env.sh"
scripts/apt.sh page
# What waits for something that never comes is a failure, too: the runner itself waits for ever.
timeout 60 node --test web/tests/ui/*.test.mjs
