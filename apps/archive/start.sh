#!/bin/sh
set -eu
mkdir -p /data/pictures /data/incoming
[ -e /data/pictures/README.txt ] || echo "X-ray pictures of all clinics, kept at the head office." >/data/pictures/README.txt
exec /usr/sbin/nginx -e stderr -p /tmp -c /app/nginx.conf
