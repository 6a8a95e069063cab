#!/bin/sh
# What a CI system runs for an app: build, test, publish. Run it in the app's checked-out repository.
#
#   HASP_CENTER  the tier's web address, https://center.example
#   HASP_TOKEN   a token that may push this app alone: hasp token create USER --push APP
#   HASP_KEY     file with the publisher's key, made by: hasp app key FILE
#   HASP_CA      file with a private authority's certificate; leave it out for a public one
#   HASP_TO      tiers that are to hold the app, with spaces between; leave it out for those that hold it now
#   HASP         the program (default: hasp)
set -eu

: "${HASP_CENTER:?}" "${HASP_TOKEN:?}" "${HASP_KEY:?}"

# Build and test, where the app has something to build and to test.
if [ -x ./build.sh ]; then ./build.sh; fi
if [ -x ./test.sh ]; then ./test.sh; fi

# The commit that was checked out, not what the build left beside it.
set -- push-app . --wait --timeout "${HASP_TIMEOUT:-600}"
for tier in ${HASP_TO:-}; do
    set -- "$@" --to "$tier"
done
exec "${HASP:-hasp}" "$@"
