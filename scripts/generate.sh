#!/usr/bin/env bash
# Writes the files that are generated from code: crds/, docs/admin-api.yaml, docs/sfucluster.md, and those of charts/ that scripts/chart_files.py names.
#   generate.sh             writes them into the clone
#   generate.sh --check     says which ones are stale, and changes nothing
. "$(dirname "$0")/env.sh"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
mkdir "$fresh/crds" "$fresh/docs"
"$bin/sfu-operator" crds --out "$fresh/crds"
"$bin/sfu-operator" crds --markdown >"$fresh/docs/sfucluster.md"
"$bin/sfu-node" openapi >"$fresh/docs/admin-api.yaml"
if ! compgen -G "$fresh/crds/*" >/dev/null; then fail "sfu-operator crds wrote nothing"; fi
if ! [ -s "$fresh/docs/admin-api.yaml" ]; then fail "sfu-node openapi wrote nothing"; fi
scripts/tools.sh lint
cp -r charts "$fresh/charts"
"$tools/lint/bin/python" scripts/chart_files.py "$fresh/charts" "$bin/sfu-operator" "$fresh"/crds/sfuclusters.*.yaml

if [ "${1:-}" = --check ]; then
  stale=0
  diff -ruN crds "$fresh/crds" || stale=1
  diff -ruN charts "$fresh/charts" || stale=1
  diff -uN docs/admin-api.yaml "$fresh/docs/admin-api.yaml" || stale=1
  diff -uN docs/sfucluster.md "$fresh/docs/sfucluster.md" || stale=1
  [ $stale = 0 ] || fail "generated files are stale (- committed, + generated now): run \`make generate\` and commit the result"
else
  rm -rf crds charts
  cp -r "$fresh/crds" crds
  cp -r "$fresh/charts" charts
  cp "$fresh/docs/admin-api.yaml" "$fresh/docs/sfucluster.md" docs
  say "wrote:" crds/* docs/admin-api.yaml docs/sfucluster.md charts
fi
