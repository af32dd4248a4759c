#!/usr/bin/env bash
# Prepares the third-party parts that mediasoup's worker is built from, once, outside the clone.
#   prepare.sh CACHE_DIR      prints nothing on standard output when all is there already
# Needs Debian or Ubuntu with libuv1-dev libflatbuffers-dev flatbuffers-compiler dpkg-dev, python3-venv and cargo.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${1:?usage: prepare.sh CACHE_DIR}
meson_version=1.12.0
mkdir -p "$cache"

if ! [ -x "$cache/venv/bin/meson" ]; then
  echo "  meson $meson_version into $cache/venv"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet "meson==$meson_version"
fi

# Not Debian's OpenSSL: its kTLS support crashes mediasoup at the first DTLS handshake (docs/building.md).
if ! [ -f "$cache/openssl/install/lib/libssl.a" ]; then
  echo "  static OpenSSL without kTLS into $cache/openssl (2 to 4 min)"
  (cd "$here/static-openssl" && OPT_LEVEL=3 CARGO_TARGET_DIR="$cache/openssl-build" cargo run --quiet -- "$cache/openssl" </dev/null >"$cache/openssl.log" 2>&1) ||
    { tail -20 "$cache/openssl.log" >&2; echo "building OpenSSL failed; the whole log is $cache/openssl.log" >&2; exit 1; }
fi

if ! [ -f "$cache/libsrtp2/meson.build" ]; then
  echo "  libsrtp2 from the distribution's source package into $cache/libsrtp2"
  apt_dir=$cache/apt-src
  rm -rf "$apt_dir"; mkdir -p "$apt_dir/sources.d" "$apt_dir/lists/partial" "$apt_dir/archives/partial" "$apt_dir/get"
  for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources; do
    if [ -f "$f" ]; then sed 's/^Types:.*/Types: deb-src/' "$f" >"$apt_dir/sources.d/$(basename "$f")"; fi
  done
  if [ -f /etc/apt/sources.list ]; then sed -nE 's/^deb(-src)? /deb-src /p' /etc/apt/sources.list >"$apt_dir/sources.d/main.list"; fi
  apt=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt_dir/sources.d" -o "Dir::State::lists=$apt_dir/lists" -o "Dir::Cache=$apt_dir" -o APT::Sandbox::User=root)
  { apt-get "${apt[@]}" update && (cd "$apt_dir/get" && apt-get "${apt[@]}" source --download-only libsrtp2); } >"$cache/libsrtp2.log" 2>&1 ||
    { tail -20 "$cache/libsrtp2.log" >&2; echo "fetching the source package libsrtp2 failed; see $cache/libsrtp2.log" >&2; exit 1; }
  rm -rf "$cache/libsrtp2.new"; mkdir "$cache/libsrtp2.new"
  tar -xf "$apt_dir"/get/libsrtp2_*.orig.tar.* -C "$cache/libsrtp2.new" --strip-components=1
  mv "$cache/libsrtp2.new" "$cache/libsrtp2"
  rm -rf "$apt_dir"
fi

# What the wrapper copies into the crate: our adapters, and libsrtp2 beside them.
rm -rf "$cache/subprojects.new"
cp -r "$here/subprojects" "$cache/subprojects.new"
cp -r "$cache/libsrtp2" "$cache/subprojects.new/libsrtp2"
rm -rf "$cache/subprojects"
mv "$cache/subprojects.new" "$cache/subprojects"
cp "$here/meson-wrapper.sh" "$cache/meson-wrapper.sh"
