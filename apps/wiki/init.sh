#!/bin/sh
# Makes the user's wiki: init.sh APP DATA
set -eu
/usr/bin/env node "$1/node_modules/tiddlywiki/tiddlywiki.js" "$2/wiki" --init server >/dev/null
mkdir -p "$2/wiki/tiddlers"
cp "$1"/tiddlers/*.tid "$2/wiki/tiddlers/"
chmod -R u+w "$2/wiki"
