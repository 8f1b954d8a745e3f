#!/usr/bin/env bash
# Install what Qt needs to open windows on a virtual screen, where that is possible and allowed.
# Exit status 0: tests may open windows. 1: they may not, and one line has said why.
set -euo pipefail

packages=(xvfb xauth libgl1 libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
    libxcb-xkb1 libdbus-1-3 libfontconfig1 libglib2.0-0 libxtst6)

no_screen() {
    echo "Tests that open windows are left out: $*" >&2
    exit 1
}

is_installed() { # some releases of Debian and Ubuntu carry a package under its name with t64 appended
    [[ " $(dpkg-query -W -f '${db:Status-Status} ' "$1" "$1t64" 2>/dev/null)" == *" installed "* ]]
}

if [[ $(uname -s) != Linux ]]; then
    exit 0 # Qt opens its windows on the real screen there
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    command -v xvfb-run >/dev/null && exit 0
    no_screen "xvfb-run is missing, and this is not a Debian system; install Xvfb with your package manager."
fi

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
    exit 0
fi

if [[ $(id -u) -eq 0 ]]; then
    as_root=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
else
    no_screen "system packages are missing and this user may not install them: apt-get install ${missing[*]}"
fi
echo "Installing system packages: ${missing[*]}"
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0)
# An outdated package list of one source must not stop the install from the others.
"${apt[@]}" update </dev/null >/dev/null || true
if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null >/dev/null; then
    no_screen "apt-get could not install ${missing[*]}"
fi
