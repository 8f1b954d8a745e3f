#!/usr/bin/env bash
# Run pytest on a virtual screen where there can be one, else without the tests that open windows:
# run_tests.sh PYTHON [PYTEST-OPTION ...]
set -euo pipefail
python=$1
shift

if ! bash "$(dirname "$0")/system_packages.sh"; then
    # pytest-qt loads Qt at its start and stops the whole run where Qt's system libraries are missing.
    STINR_NO_SCREEN=1 exec "$python" -m pytest -p no:pytest-qt "$@"
fi
exec bash "$(dirname "$0")/on_screen.sh" "$python" -m pytest "$@"
