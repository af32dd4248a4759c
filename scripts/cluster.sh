#!/usr/bin/env bash
# A real Kubernetes cluster on this computer, without Docker (docs/testing.md): builds what it needs, once, then does what is asked.
#   cluster.sh up | down | exec CMD... | images | status      cluster.sh --help tells them all
# SFUMATO_CLUSTER=NAME, or --name NAME before the command, chooses one of several clusters.
# An exec keeps the terminal, so that `cluster.sh exec` is a shell.
exec 8<&0
caller=$PWD
. "$(dirname "$0")/env.sh"

arguments=("$@")
command=
option_value=
for argument in "$@"; do
  if [ -n "$option_value" ]; then
    option_value=
  elif [ "$argument" = --name ]; then
    option_value=expected
  elif [ "${argument#-}" = "$argument" ]; then
    command=$argument
    break
  fi
done

case $command in
  up)
    scripts/apt.sh cluster
    scripts/cluster-build.sh
    ;;
  images | references)
    # Where the programs are, unless the caller says.
    if [[ " $* " != *" --bin "* ]]; then arguments+=(--bin "$bin"); fi
    ;;
esac
cd "$caller"
exec env PYTHONPATH="$root/test/cluster${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 python3 -m testcluster "${arguments[@]}" <&8
