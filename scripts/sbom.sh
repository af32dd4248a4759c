#!/usr/bin/env bash
# What the built programs are made of, as CycloneDX documents: sbom/PROGRAM.cdx.json
. "$(dirname "$0")/env.sh"
. scripts/rust.sh
mkdir -p sbom
for program in sfu-node sfu-operator sfu-smoke sfu-web; do
  scripts/sbom.py "$program" "$bin" >"sbom/$program.cdx.json"
  say "sbom/$program.cdx.json"
done
