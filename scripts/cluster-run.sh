#!/usr/bin/env bash
# Runs the built Sfumato on the test cluster (docs/testing.md): brings the cluster up where it is not, installs the operator by its own manifests, applies
# examples/three-nodes.yaml, and waits until its mesh is whole. `make cluster-down` takes all of it away.
. "$(dirname "$0")/env.sh"

scripts/cluster.sh status >/dev/null 2>&1 || scripts/cluster.sh up
scripts/cluster.sh images
kubectl() { scripts/cluster.sh exec kubectl "$@"; }

say "installing the operator"
# Each image's name ends in its digest, so that what a changed program ran before is replaced.
references=$(scripts/cluster.sh references)
image() { sed -n "s/^$1 //p" <<<"$references"; }
"$bin/sfu-operator" manifests --image "$(image sfu-operator)" \
  --arg=--node-image="$(image sfu-node)" --arg=--web-image="$(image sfu-web)" --arg=--redis-image="$(image redis)" |
  scripts/cluster.sh exec kubectl apply --server-side -f - >/dev/null
kubectl --namespace sfumato-system rollout status deployment/sfu-operator --timeout=120s
say "applying examples/three-nodes.yaml"
kubectl apply -f "$root/examples/three-nodes.yaml"
kubectl wait --for=condition=Ready sfu/live --timeout=180s
kubectl get sfu,pods --output wide
cat <<'TEXT'

In the cluster's network, with kubectl, as a shell:   scripts/cluster.sh exec
  kubectl get sfu live --watch                        what becomes of it
  kubectl delete pod live-1                           the mesh heals
  kubectl scale sfu/live --replicas=5
  kubectl describe sfu live                           conditions and events
  kubectl get --raw /api/v1/namespaces/default/services/live-web:http/proxy/api/v1/cluster
All of it away again:                                 make cluster-down
TEXT
