#!/usr/bin/env bash
# Writes the files that are generated from code: crds/, docs/admin-api.yaml, docs/sfucluster.md, those of charts/ that scripts/chart_files.py names, and
# examples/kustomize/install.yaml from the chart.
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
scripts/tools.sh lint helm
cp -r charts "$fresh/charts"
"$tools/lint/bin/python" scripts/chart_files.py "$fresh/charts" "$bin/sfu-operator" "$fresh"/crds/sfuclusters.*.yaml
# Without what only means something to Helm. The images of clusters are left to the environment, which Kustomize can patch.
install=examples/kustomize/install.yaml
{
  printf '%s\n' "# Written by \`make generate\`: what the chart \`sfumato\` makes of its defaults."
  "$tools/helm/helm" template sfumato "$fresh/charts/sfumato" --namespace sfumato-system \
    --set crds.keep=false,clusters.nodeImage.repository=,clusters.webImage.repository=,clusters.redisImage.repository= |
    grep -vE '^ +(app.kubernetes.io/managed-by: Helm|helm.sh/chart: .*)$|^# Source: '
} >"$fresh/install.yaml"

if [ "${1:-}" = --check ]; then
  stale=0
  diff -ruN crds "$fresh/crds" || stale=1
  diff -ruN charts "$fresh/charts" || stale=1
  diff -uN docs/admin-api.yaml "$fresh/docs/admin-api.yaml" || stale=1
  diff -uN docs/sfucluster.md "$fresh/docs/sfucluster.md" || stale=1
  diff -uN $install "$fresh/install.yaml" || stale=1
  [ $stale = 0 ] || fail "generated files are stale (- committed, + generated now): run \`make generate\` and commit the result"
else
  rm -rf crds charts
  cp -r "$fresh/crds" crds
  cp -r "$fresh/charts" charts
  cp "$fresh/docs/admin-api.yaml" "$fresh/docs/sfucluster.md" docs
  cp "$fresh/install.yaml" $install
  say "wrote:" crds/* docs/admin-api.yaml docs/sfucluster.md charts $install
fi
