#!/usr/bin/env bash
# Writes the images of the built programs as OCI archives, for a registry: images/NAME.tar, called sfumato/NAME:VERSION. The same programs make the same bytes.
#   images.sh [FOLDER]      `skopeo copy oci-archive:images/sfu-node.tar docker://registry.example.com/sfumato/sfu-node:VERSION` puts one into a registry
. "$(dirname "$0")/env.sh"
. scripts/rust.sh
folder=${1:-images}
version=$(sed -nE 's/^version = "(.*)"$/\1/p' Cargo.toml | head -1)
mkdir -p "$folder"
PYTHONPATH=test/cluster PYTHONDONTWRITEBYTECODE=1 python3 -m testcluster archives --bin "$bin" --tag "$version" "$folder"
(cd "$folder" && sha256sum -- *.tar >SHA256SUMS)
