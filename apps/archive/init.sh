#!/bin/sh
# Makes the folders of the archive: init.sh DATA
set -eu
mkdir -p "$1/pictures"
echo "X-ray pictures of all clinics, kept at the head office." >"$1/pictures/README.txt"
