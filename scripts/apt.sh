#!/usr/bin/env bash
# Installs the distribution's packages that are missing.
#   apt.sh build | test | browsers | peers | proxy | turn | firewall | page | cluster | rust
# SFUMATO_PACKAGES=present trusts that all are there (for systems other than Debian and Ubuntu).
. "$(dirname "$0")/env.sh"

case ${1:-} in
  build)
    packages=(build-essential pkg-config ninja-build ccache python3 python3-venv python3-pip libuv1-dev libflatbuffers-dev flatbuffers-compiler
      dpkg-dev redis-server ca-certificates curl git)
    ;;
  test) packages=(nftables iproute2 procps) ;;
  browsers) packages=(fonts-dejavu-core) ;;
  peers)
    # webrtcbin is in -bad, its ICE in -nice, VP8 in -good, x264 in -ugly; python3-gi and the gir1.2 packages are for the system's Python.
    packages=(gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-nice
      python3 python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0)
    if ! command -v npm >/dev/null; then packages+=(nodejs npm); fi
    ;;
  proxy) packages=(nginx) ;;
  turn) packages=(coturn) ;;
  firewall) packages=(ipset iptables) ;;
  page)
    packages=()
    if ! command -v node >/dev/null; then packages+=(nodejs); fi
    ;;
  cluster) packages=(containerd runc containernetworking-plugins iproute2 iptables nftables procps util-linux openssl binutils redis-server ca-certificates) ;;
  rust) packages=(rustup) ;;
  *) usage "usage: apt.sh build | test | browsers | peers | proxy | turn | firewall | page | cluster | rust" ;;
esac

if [ "${SFUMATO_PACKAGES:-}" = present ]; then exit 0; fi
distribution=$(sed -nE 's/^(ID|ID_LIKE)=//p' /etc/os-release 2>/dev/null | tr -d '"' | tr '\n' ' ')
case " $distribution" in
  *' ubuntu '*)
    # Ubuntu's chromium and firefox packages install snaps, which cannot be driven with a profile and flags of our own.
    if [ "$1" = browsers ] && { [ -z "${CHROMIUM:-}" ] || [ -z "${FIREFOX:-}" ]; }; then
      say "the browser tests (test/e2e) need Debian's chromium and firefox-esr; on Ubuntu, where these are snaps, set CHROMIUM=/path and FIREFOX=/path to other builds"
    fi
    ;;
  *' debian '*)
    if [ "$1" = browsers ] && [ -z "${CHROMIUM:-}" ]; then packages+=(chromium); fi
    if [ "$1" = browsers ] && [ -z "${FIREFOX:-}" ]; then packages+=(firefox-esr); fi
    ;;
  *) fail "only Debian and Ubuntu are known here: install the equivalents of \"${packages[*]}\" and set SFUMATO_PACKAGES=present" ;;
esac

if [ ${#packages[@]} = 0 ]; then exit 0; fi
installed=" $(dpkg-query --show --showformat '${db:Status-Status}=${Package} ' "${packages[@]}" 2>/dev/null || true)"
missing=()
for package in "${packages[@]}"; do
  case $installed in *" installed=$package "*) ;; *) missing+=("$package") ;; esac
done
if [ ${#missing[@]} = 0 ]; then exit 0; fi

if [ "$(id -u)" = 0 ]; then
  as_root=(env)
elif command -v sudo >/dev/null; then
  as_root=(sudo env)
else
  fail "neither root nor sudo here; as root, run: apt-get install ${missing[*]}"
fi
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get --quiet --option DPkg::Lock::Timeout=300)
say "installing from the distribution: ${missing[*]}"
log=$cache/apt.log
install() { "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
install_with_fresh_lists() { "${apt[@]}" update >"$log" 2>&1 && install; }
# The lists are fresh enough more often than not; an install that fails by them fails at once.
if ! install && ! install_with_fresh_lists; then
  tail -15 "$log" >&2
  fail "apt-get could not install ${missing[*]}; the whole log is $log"
fi
case " ${missing[*]} " in
  *' redis-server '*) say "  the package's own Redis service (port 6379) is not used; Sfumato starts its own redis-server, on port 6377" ;;
esac
case " ${missing[*]} " in
  *' coturn '*) say "  the package's own TURN service (port 3478) is not used; tests start their own turnserver, on machines of the test cluster" ;;
esac
case " ${missing[*]} " in
  *' nginx '*) say "  the package's own nginx service (port 80) is not used; tests start their own nginx, on loopback" ;;
esac
