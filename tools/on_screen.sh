#!/usr/bin/env bash
# Run a command on a virtual screen where there can be one, else on the real one: on_screen.sh COMMAND [ARGUMENT ...]
set -euo pipefail

if command -v xvfb-run >/dev/null; then
    # The xcb platform on a real (virtual) server: Qt's own "offscreen" platform has no OpenGL and shows blank canvases.
    QT_QPA_PLATFORM=xcb exec xvfb-run -a -s "-screen 0 1400x1000x24" "$@"
fi
exec "$@"
