#!/usr/bin/env bash
# Prepares, once and outside the clone, what mediasoup's worker is built with. Says only what it does; nothing where all is there.
#   prepare.sh CACHE_DIR online     a Python environment and a current OpenSSL; mediasoup's own build then downloads the rest
#   prepare.sh CACHE_DIR offline    and all C and C++ parts, from package registries
# CACHE_DIR/third-party.toml then has what cargo needs to know (`cargo --config`; scripts/third-party.sh puts it into .cargo/config.toml).
# Both need cargo, python3-venv, a C compiler, make and perl. Offline needs Debian or Ubuntu with libuv1-dev libflatbuffers-dev
# flatbuffers-compiler dpkg-dev as well.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${1:?usage: prepare.sh CACHE_DIR online|offline}
choice=${2:?usage: prepare.sh CACHE_DIR online|offline}
meson_version=1.12.0
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# report WHAT LOG: for use after ||
report() {
  tail -20 "$2" >&2
  printf '%s failed; the whole log is %s\n' "$1" "$2" >&2
  exit 1
}

python=$cache/venv/bin/python
# The second test finds an environment whose Python has been removed since.
if ! [ -x "$python" ] || ! "$python" -c '' 2>/dev/null; then
  echo "  a Python environment into $cache/venv"
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv"
fi

# environment LINE...: what cargo hands to mediasoup's build.
environment() {
  local file=$cache/third-party.toml
  printf '%s\n' '[env]' "PYTHON = \"$python\"" "$@" >"$file.new"
  mv "$file.new" "$file"
}

crate_sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
if [ "$choice" = online ]; then
  # An offline build that failed half-way leaves our folders in the crate's source, where Meson would take them for its own.
  for mark in "$crate_sources"/*/mediasoup-sys-*/subprojects/*/.sfumato; do
    if [ -f "$mark" ]; then rm -rf "$(dirname "$mark")"; fi
  done
fi

if ! compgen -G "$cache/venv/lib/python3*/site-packages/meson-$meson_version.dist-info" >/dev/null; then
  echo "  meson $meson_version into $cache/venv"
  "$python" -m pip install --quiet "meson==$meson_version"
fi
# Offline it is the distribution's.
if ! command -v ninja >/dev/null && ! [ -x "$cache/venv/bin/ninja" ]; then
  echo "  ninja into $cache/venv"
  "$python" -m pip install --quiet ninja
fi

# Not Debian's OpenSSL: its kTLS support crashes mediasoup at the first DTLS handshake (docs/building.md).
version=$(sed -n '/^name = "openssl-src"/{n;s/.*"\(.*\)"/\1/p}' "$here/static-openssl/Cargo.lock")
if [ "$(cat "$cache/openssl/version" 2>/dev/null)" != "$version" ]; then
  echo "  static OpenSSL ${version#*+} without kTLS into $cache/openssl (2 to 4 min)"
  rm -rf "$cache/openssl"
  (cd "$here/static-openssl" && OPT_LEVEL=3 MAKEFLAGS="-j$(nproc)" CARGO_TARGET_DIR="$cache/openssl-build" cargo run --locked --quiet -- "$cache/openssl") \
    </dev/null >"$cache/openssl.log" 2>&1 || report "building OpenSSL" "$cache/openssl.log"
  rm -rf "$cache/openssl-build" "$cache/openssl/build"
  printf '%s\n' "$version" >"$cache/openssl/version"
fi

# Of libsrtp2 the source: the distribution's own archive is built on NSS and lacks symbols without it.
if [ "$choice" = offline ] && ! [ -f "$cache/libsrtp2/meson.build" ]; then
  echo "  libsrtp2 from the distribution's source package into $cache/libsrtp2"
  # Lists and sources of our own: neither the system's apt configuration nor its lists change.
  apt_dir=$cache/apt-src
  rm -rf "$apt_dir"
  mkdir -p "$apt_dir/sources.d" "$apt_dir/lists/partial" "$apt_dir/archives/partial" "$apt_dir/get"
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources; do
    if [ -f "$file" ]; then sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt_dir/sources.d/$(basename "$file")"; fi
  done
  if [ -f /etc/apt/sources.list ]; then sed -nE 's/^deb(-src)? /deb-src /p' /etc/apt/sources.list >"$apt_dir/sources.d/main.list"; fi
  apt=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt_dir/sources.d" -o "Dir::State::lists=$apt_dir/lists" -o "Dir::Cache=$apt_dir" -o "APT::Sandbox::User=$(id -un)")
  {
    apt-get "${apt[@]}" update && (cd "$apt_dir/get" && apt-get "${apt[@]}" source --download-only libsrtp2)
  } >"$cache/libsrtp2.log" 2>&1 || report "fetching the source package libsrtp2" "$cache/libsrtp2.log"
  rm -rf "$cache/libsrtp2.new"
  mkdir "$cache/libsrtp2.new"
  tar -xf "$apt_dir"/get/libsrtp2_*.orig.tar.* -C "$cache/libsrtp2.new" --strip-components=1
  rm -rf "$cache/libsrtp2"
  mv "$cache/libsrtp2.new" "$cache/libsrtp2"
  rm -rf "$apt_dir"
fi

# What the wrapper copies into the crate: our adapters, and offline libsrtp2 beside them. Replaced only where something differs,
# since another clone may be building from it.
new=$(mktemp -d "$cache/subprojects.XXXXXX")
trap 'rm -rf "$new"' EXIT
case $choice in
  # mediasoup's own OpenSSL is an old release. The rest is downloaded.
  online) cp -r "$here"/subprojects/openssl-* "$new" ;;
  offline)
    cp -r "$here/subprojects/." "$new"
    cp -r "$cache/libsrtp2" "$new/libsrtp2"
    ;;
esac
for folder in "$new"/*/; do touch "$folder/.sfumato"; done
if ! diff -rq "$new" "$cache/subprojects" >/dev/null 2>&1; then
  rm -rf "$cache/subprojects"
  mv "$new" "$cache/subprojects"
  chmod 755 "$cache/subprojects"
fi
if ! cmp -s "$here/meson-wrapper.sh" "$cache/meson-wrapper.sh"; then
  cp "$here/meson-wrapper.sh" "$cache/meson-wrapper.sh.new"
  mv "$cache/meson-wrapper.sh.new" "$cache/meson-wrapper.sh"
fi
environment "MESON = \"$cache/meson-wrapper.sh\"" "SFUMATO_MESON = \"$cache/venv/bin/meson\"" \
  "SFUMATO_SUBPROJECTS = \"$cache/subprojects\"" "OPENSSL_NO_KTLS_DIR = \"$cache/openssl/install\""
