#!/usr/bin/env bash
# Builds the programs of the test cluster from test/cluster (Kubernetes, etcd, CoreDNS), into the cache.
# The first time takes 5 to 15 minutes on two cores and 3 GB of disk; then it is a matter of seconds. SFUMATO_GO_JOBS limits the jobs (default: all cores).
. "$(dirname "$0")/env.sh"
out=$cache/cluster/bin
kubernetes=$(sed -nE 's/^KUBERNETES = "(.*)"$/\1/p' test/cluster/testcluster/layout.py)
mkdir -p "$out"
# A lock of its own: the others need not wait for 20 minutes.
exec 7>"$cache/cluster/build.lock"
flock -n 7 || {
  say "waiting for another build of the test cluster's programs"
  flock 7
}

stamp=$(cd test/cluster && find go.mod go.sum cmd ../../scripts/cluster-build.sh ! -name '*_test.go' -type f -print0 | sort -z | xargs -0 cksum | cksum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

scripts/tools.sh go
go=$(cat "$tools/go-program")
say "building Kubernetes $kubernetes for the test cluster (the first time takes 5 to 15 minutes on two cores)"
cd test/cluster
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly
wanted=$("$go" list -deps ./cmd/... | wc -l)
flags="-s -w"
# Clients parse the server's version; without these it would be v0.0.0-master.
for setting in k8s.io/component-base/version.gitVersion=v$kubernetes k8s.io/component-base/version.gitMajor=1 \
  k8s.io/component-base/version.gitMinor="$(cut -d. -f2 <<<"$kubernetes")" k8s.io/component-base/version.gitTreeState=clean; do
  flags+=" -X $setting"
done
log=$cache/cluster/build.log
# The compiler is short-lived: it need not collect its garbage, as long as the memory is there. Nor does anybody look into these programs with a debugger.
export GOGC=off GOMEMLIMIT=2GiB
nice "$go" build -v -p "${SFUMATO_GO_JOBS:-$(nproc)}" -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags "$flags" -o "$out/" ./cmd/... >"$log" 2>&1 &
build=$!
trap 'kill $build 2>/dev/null' EXIT
shown=0
while kill -0 $build 2>/dev/null; do
  sleep 1
  # go prints a line for a package when it begins to compile it; what its cache has costs none.
  now=$(wc -l <"$log")
  if [ $((now - shown)) -ge 150 ]; then
    say "  $now of at most $wanted packages"
    shown=$now
  fi
done
wait $build || {
  tail -20 "$log" >&2
  fail "the build failed; the whole log is $log"
}
trap - EXIT
for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do ln -sf kube "$out/$name"; done
printf '%s\n' "$stamp" >"$out/stamp"
