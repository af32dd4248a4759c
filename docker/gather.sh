#!/bin/sh
# Gathers what an image of one program holds: the program without its symbols, the libraries that it is linked to, certificates, two users, /tmp, and
# the licences of all of these.
#   gather.sh PROGRAM DIRECTORY
# So the image is as small as the one that test/cluster writes: no shell, no package manager, nothing else to keep up to date.
set -eu
program=$1 image=$2
name=$(basename "$program")
# No pipes from what may fail: this shell sees only how the last command of a pipe ends.
said=$(mktemp)
trap 'rm -f "$said"' EXIT
mkdir -p "$image/usr/bin" "$image/etc/ssl/certs" "$image/tmp" "$image/usr/share/doc/$name"
chmod 1777 "$image/tmp"
strip -o "$image/usr/bin/$name" "$program"
chmod 755 "$image/usr/bin/$name"
"$(dirname "$0")/../scripts/licences.py" "$name" >"$said"
gzip --no-name --best <"$said" >"$image/usr/share/doc/$name/LICENSES.gz"
ldd "$program" >"$said"
if grep 'not found' "$said" >&2; then exit 1; fi
grep -o '/[^ ]* (0x' "$said" | cut -d' ' -f1 | while read -r library; do
  mkdir -p "$image$(dirname "$library")"
  cp -L "$library" "$image$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$image/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$image/etc/group"
