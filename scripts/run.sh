#!/usr/bin/env bash
# Installs and builds what is needed, and starts three media nodes, Redis and the front door on this machine, until Ctrl-C.
# `sfu-operator local` tells where to look and what to try once the mesh is whole.
#   SFU_ARGS='--nodes 5' run.sh      passes these on; `sfu-operator local --help` lists them
. "$(dirname "$0")/env.sh"
scripts/setup.sh
say "building (the first time takes 15 to 25 minutes on two cores: mediasoup's worker is C++)"
scripts/cargo.sh build --workspace
read -ra arguments <<<"${SFU_ARGS:-}"
exec "$bin/sfu-operator" local "${arguments[@]}"
