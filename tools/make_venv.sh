#!/usr/bin/env bash
# Make a virtual environment, or say in one line what is missing: make_venv.sh PYTHON FOLDER
set -euo pipefail
python=$1
folder=$2

if ! version=$("$python" -c 'import platform; print(platform.python_version())' 2>/dev/null); then
    echo "error: '$python' does not run; napari-stinr needs Python 3.11 or newer. Install it, or choose one: make PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: '$python' is Python $version; napari-stinr needs 3.11 or newer. Choose another: make PYTHON=python3.12" >&2
    exit 1
fi
# Debian ships venv without ensurepip; the half-made environment it then leaves would look finished to make.
if ! output=$("$python" -m venv "$folder" 2>&1); then
    rm -rf "$folder"
    echo "$output" >&2
    echo "error: '$python' (Python $version) cannot make a virtual environment." \
        "On Debian and Ubuntu: apt install python${version%.*}-venv" >&2
    exit 1
fi
echo "Python $version in $folder; now installing 2 GB of packages or more, which takes a few minutes"
