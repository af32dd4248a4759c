#!/usr/bin/env bash
# Runs the benchmarks of docs/benchmarks.md against the nodes that were built.
#   BENCH_ARGS='...' bench.sh      passes these on to sfu-bench; `--help` lists its runs
. "$(dirname "$0")/env.sh"
read -ra arguments <<<"${BENCH_ARGS:-}"
exec "$bin/sfu-bench" "${arguments[@]}"
