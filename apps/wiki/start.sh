#!/bin/sh
# Starts the user's wiki under PREFIX; makes it the first time. It gets its name only when it is complete.
set -eu
prefix=$1
tiddlywiki="/usr/bin/env node /app/node_modules/tiddlywiki/tiddlywiki.js"
if [ ! -e /data/wiki/tiddlywiki.info ]; then
  rm -rf /data/new
  $tiddlywiki /data/new --init server >/dev/null
  mkdir -p /data/new/tiddlers
  cp /app/tiddlers/*.tid /data/new/tiddlers/
  mv /data/new /data/wiki
fi
exec $tiddlywiki /data/wiki --listen host=127.0.0.1 port=8080 "path-prefix=$prefix" \
  authenticated-user-header=Remote-User "readers=(authenticated)" "writers=(authenticated)"
