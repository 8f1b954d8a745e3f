#!/usr/bin/env bash
# Run the tests of the plugin that know Qt with PySide6 in place of PyQt6: run_pyside.sh PYTHON [PYTEST-OPTION ...]
# PySide6 goes into an environment of its own, .venv-pyside, which sees everything else of PYTHON's.
set -euo pipefail
python=$1
shift
folder=.venv-pyside
stamp=$folder/.stamp-$(grep '^PySide6==' constraints.txt | cksum | cut -d ' ' -f 1)

if [[ ! -e $stamp ]]; then
    rm -rf "$folder"
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --disable-pip-version-check --quiet --constraint constraints.txt PySide6
    packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # addsitedir and not a bare path: an editable install is itself such a file.
    echo "import site; site.addsitedir('$packages')" \
        >"$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
    touch "$stamp"
fi
if ! bash "$(dirname "$0")/system_packages.sh"; then
    exit 0 # it has said why
fi
export QT_API=pyside6 PYTEST_QT_API=pyside6
exec bash "$(dirname "$0")/on_screen.sh" "$folder/bin/python" -m pytest \
    tests/plugin/{hooks,canvas,docks,widgets} "$@"
