"""``python -m napari_stinr`` is ``stinr``: torchrun starts a module several times."""

import sys

from napari_stinr.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
