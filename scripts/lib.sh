# Shared by the scripts of this folder; sourced, never run. It installs what is missing and builds.
# Everything it needs to begin with is a Debian 12 with bash, dpkg and apt-get.

hasp_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C.UTF-8
# The scripts use nothing but the standard library, so Debian's own Python serves whatever else is first in PATH.
hasp_python=/usr/bin/python3
hasp_jobs=$(nproc)
hasp_apt_updated=no
hasp_configure=()

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# as_root COMMAND…: directly, by sudo without a question, or a plain word about what to do by hand.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    sudo -- "$@"
  else
    die "this needs root, and there is no sudo: run the command yourself, then start again:  $*"
  fi
}

# install PACKAGE…: one question of rights for both steps.
install() {
  local update="apt-get update -qq"
  [ "$hasp_apt_updated" = no ] || update=true
  say "installing Debian packages: $*"
  as_root sh -c "$update && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 $*" >&2 ||
    die "apt-get could not install: $* (see above; is this machine's package mirror reachable?)"
  hasp_apt_updated=yes
}

package_is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# missing_packages GROUP…: prints the packages of these groups that are not installed.
missing_packages() {
  local group name
  while read -r group name; do
    case "$group" in ''|'#'*) continue ;; esac
    case " $* " in *" $group "*) ;; *) continue ;; esac
    case "$name" in
      /usr/bin/python3) [ -x "$name" ] || echo python3 ;;
      nginx-light) [ -x /usr/sbin/nginx ] || echo "$name" ;;
      *) package_is_installed "$name" || echo "$name" ;;
    esac
  done <"$hasp_root/scripts/packages.txt"
}

# ensure_packages GROUP…: installs what is missing of these groups; does nothing, and needs no root, when nothing is.
ensure_packages() {
  local missing
  missing=$(missing_packages "$@" | sort -u | tr '\n' ' ')
  [ -z "${missing// /}" ] || install $missing
}

# Apps in sandboxes see /usr and look for node in /usr/bin.
node_is_good() {
  [ -x /usr/bin/node ] && command -v npm >/dev/null 2>&1 &&
    [ "$(/usr/bin/node -p 'Number(process.versions.node.split(".")[0]) >= 18' 2>/dev/null)" = true ]
}

# ensure_node: any Node of version 18 or later in /usr/bin will do, with npm from anywhere; otherwise Debian's.
ensure_node() {
  node_is_good && return 0
  install nodejs npm
  hash -r
  node_is_good || die "Node 18 or later with npm is needed; found $(/usr/bin/node --version 2>/dev/null || echo none)"
}

# npm_ci FOLDER: exactly what the committed lock file names, once per lock file.
npm_ci() {
  local folder=$1 stamp
  stamp=$(sha256sum "$folder/package-lock.json" | cut -c1-64)
  [ "$(cat "$folder/node_modules/.hasp-lock" 2>/dev/null)" = "$stamp" ] && return 0
  ensure_node
  say "npm ci in ${folder#"$hasp_root"/}"
  (cd "$folder" && npm ci --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error >&2) ||
    die "npm ci failed in $folder"
  printf '%s\n' "$stamp" >"$folder/node_modules/.hasp-lock"
}

# build PRESET [OPTION…]: configures (with what hasp_configure holds) and builds (with options for cmake --build); prints
# nothing but what the compiler complains about.
build() {
  local preset=$1
  shift
  cd "$hasp_root" || die "no $hasp_root"
  cmake --preset "$preset" "${hasp_configure[@]}" >"${TMPDIR:-/tmp}/hasp-cmake.$$" 2>&1 ||
    { cat "${TMPDIR:-/tmp}/hasp-cmake.$$" >&2; rm -f "${TMPDIR:-/tmp}/hasp-cmake.$$"; die "cmake --preset $preset failed"; }
  rm -f "${TMPDIR:-/tmp}/hasp-cmake.$$"
  cmake --build --preset "$preset" -j "$hasp_jobs" "$@" >&2 || die "the build failed: cmake --build --preset $preset"
}

# everything_for_tests: packages, node programs and the release folders of the demo apps.
everything_for_tests() {
  ensure_packages build run test apps browser
  npm_ci "$hasp_root/apps/leaflets"
  npm_ci "$hasp_root/apps/wiki"
  npm_ci "$hasp_root/apps/flows"
  npm_ci "$hasp_root/tests/browser"
  "$hasp_python" "$hasp_root/scripts/app_folders.py" "$hasp_root/build/apps" >&2
}
