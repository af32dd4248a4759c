#!/bin/sh
# mediasoup-sys runs $MESON as it is when that file exists. `setup` runs in the crate's source directory: with our
# subproject folders put there first, Meson finds each wrap's `directory` in place and downloads nothing.
set -e
: "${SFUMATO_SUBPROJECTS:?folder of the prepared subprojects: run make setup}"
: "${SFUMATO_MESON:?path of the real meson: run make setup}"
# mediasoup-sys points NINJA at its own pip folder, which stays empty here.
NINJA=$(command -v ninja || echo "$(dirname "$SFUMATO_MESON")/ninja")
export NINJA
case "${1:-}" in
  setup)
    for folder in "$SFUMATO_SUBPROJECTS"/*/; do
      name=$(basename "$folder")
      # What an earlier online build downloaded must not mix with ours.
      if [ -d "subprojects/$name" ] && ! [ -f "subprojects/$name/.sfumato" ]; then rm -rf "subprojects/$name"; fi
      cp -r "$SFUMATO_SUBPROJECTS/$name" subprojects/
    done
    ;;
esac
exec "$SFUMATO_MESON" "$@"
