#!/usr/bin/env bash
# Lints, all or the named kinds. Each runs even where one before it has failed, so that one run shows all there is to mend.
#   lints.sh [rust] [rustdoc] [modules] [documents] [scripts] [shell] [python] [spelling]
. "$(dirname "$0")/env.sh"
all=(rust rustdoc modules documents scripts shell python spelling)
wanted=("$@")
if [ $# = 0 ]; then wanted=("${all[@]}"); fi
scripts/tools.sh lint

lint() {
  local shell_files
  case $1 in
    rust) scripts/cargo.sh clippy --workspace --all-targets --locked -- -D warnings ;;
    rustdoc) RUSTDOCFLAGS="-D warnings" scripts/cargo.sh doc --workspace --no-deps --document-private-items --locked --quiet ;;
    modules) scripts/module-circles.py && scripts/layers.py ;;
    documents) scripts/doc-paths.py ;;
    scripts) python3 -m unittest discover --quiet --start-directory scripts ;;
    shell)
      mapfile -t shell_files < <(scripts/shell-files.sh)
      "$tools/lint/bin/shellcheck" --external-sources "${shell_files[@]}"
      ;;
    python) "$tools/lint/bin/ruff" check scripts test ;;
    spelling) "$tools/lint/bin/typos" ;;
    *) usage "no lint is called \"$1\"; there are: ${all[*]}" ;;
  esac
}

failed=0
for kind in "${wanted[@]}"; do lint "$kind" || failed=1; done
exit $failed
