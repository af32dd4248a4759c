#!/bin/sh
# mediasoup-sys runs $MESON as it is when that file exists. `setup` runs in the crate's source directory: with our
# subproject folders put there first, Meson finds each wrap's `directory` in place and downloads nothing.
set -e
: "${SFUMATO_SUBPROJECTS:?folder of the prepared subprojects: run make setup}"
: "${SFUMATO_MESON:?path of the real meson: run make setup}"
case "${1:-}" in setup) cp -r "$SFUMATO_SUBPROJECTS/." subprojects/ ;; esac
exec "$SFUMATO_MESON" "$@"
