#!/usr/bin/env bash
# A Kubernetes cluster for those who have Docker: kind, with images that Docker builds (docs/testing.md).
#   kind.sh up | down
# `up` also brings a cluster that is there to the images of now.
. "$(dirname "$0")/env.sh"
case ${1:-} in
  up | down) ;;
  *) usage "usage: kind.sh up | down" ;;
esac
for tool in kind docker kubectl; do
  command -v $tool >/dev/null || fail "$tool is not here; without Docker, \`make cluster-up\` makes a cluster on Linux"
done
kubeconfig=$cache/kind.kubeconfig
# That which the operator runs (operator/src/cli/run.rs).
redis=redis:7.2.11

case $1 in
  up)
    kind get clusters | grep -qx sfumato || kind create cluster --config kind-config.yaml --kubeconfig "$kubeconfig"
    images=()
    for name in sfu-node sfu-operator sfu-smoke sfu-web; do
      docker build --file "docker/$name.Dockerfile" --tag "localhost/sfumato/$name:dev" .
      images+=("localhost/sfumato/$name:dev")
    done
    docker build --file docker/probe.Dockerfile --tag localhost/sfumato-cluster/probe:1 .
    docker pull "docker.io/library/$redis"
    docker tag "docker.io/library/$redis" localhost/sfumato/redis:dev
    kind load docker-image --name sfumato localhost/sfumato-cluster/probe:1 localhost/sfumato/redis:dev "${images[@]}"
    say "make e2e KUBECONFIG=$kubeconfig runs the tests there"
    ;;
  down)
    kind delete cluster --name sfumato --kubeconfig "$kubeconfig"
    ;;
esac
