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
if command -v xvfb-run >/dev/null; then
    # The xcb platform on a real (virtual) server: Qt's own "offscreen" platform has no OpenGL and shows blank canvases.
    QT_QPA_PLATFORM=xcb exec xvfb-run -a -s "-screen 0 1400x1000x24" "$python" -m pytest "$@"
fi
exec "$python" -m pytest "$@"
