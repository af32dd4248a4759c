# shellcheck shell=bash disable=SC2034 # what is set here is for the scripts that source it
# Sourced by every script here: where things live, and how to speak.
# Nothing here asks a question, so nothing reads standard input (cargo's build of mediasoup fails on some that are not a terminal).
set -euo pipefail
exec </dev/null

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sfumato
tools=$cache/tools
# A relative CARGO_TARGET_DIR means "from where cargo runs", which is the root of the clone.
case ${CARGO_TARGET_DIR:-} in
  '') target=$cache/target ;;
  /*) target=$CARGO_TARGET_DIR ;;
  *) target=$root/$CARGO_TARGET_DIR && export CARGO_TARGET_DIR=$target ;;
esac
bin=$target/debug
cd "$root"
mkdir -p "$cache" "$tools"

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}
# A wrong command line: exit code 2, as for the programs.
usage() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}

# One setup at a time on this cache, or one of a kind of its own; the lock goes when the script ends.
only_one() {
  exec 9>"$cache/${1:-setup}.lock"
  flock -n 9 || {
    say "waiting for another setup that uses $cache"
    flock 9
  }
}

# Whether this machine reaches the code hosts, in at most 12 s: everything that a step may need from outside the package registries is there or not at all.
code_host_reachable() {
  local url
  for url in https://github.com/versatica/mediasoup https://wrapdb.mesonbuild.com/v2/releases.json; do
    curl --silent --fail --location --head --output /dev/null --connect-timeout 3 --max-time 6 "$url" || return 1
  done
}

# none_skipped REPORT.xml...: pytest calls a run with skipped tests a success; here a test that did not run has not passed.
none_skipped() {
  if grep -lE '<skipped( |/|>)' "$@"; then fail "tests were skipped, see these reports and above: what they need is missing here"; fi
}
