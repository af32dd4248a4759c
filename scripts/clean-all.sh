#!/usr/bin/env bash
# Removes everything that was built, mediasoup's worker too, and with it the choice of where its parts come from.
# What was downloaded and prepared for it (OpenSSL, tools) stays: it would only be made again, the same.
. "$(dirname "$0")/env.sh"
only_one
scripts/cargo.sh clean
rm -f "$cache/third-party.choice"
