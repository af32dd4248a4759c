#!/usr/bin/env bash
# Lists every shell script of the repository: what git knows or would take, by name or by first line.
. "$(dirname "$0")/env.sh"
git ls-files --cached --others --exclude-standard | while read -r file; do
  [ -f "$file" ] || continue
  case ${file##*/} in
    *.sh) printf '%s\n' "$file" ;;
    *.*) ;;
    *) if head -c 32 "$file" | head -1 | grep -qaE '^#!.*\b(bash|sh)\b'; then printf '%s\n' "$file"; fi ;;
  esac
done
