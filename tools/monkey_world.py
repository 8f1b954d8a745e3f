"""What the hand of random clicks finds: files, good and bad, and dialogs that answer themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from pathlib import Path

SAMPLES = ((15, 24, 12), (31, 25, 16))
"""Tilts, width and height of the two series."""


def answer_dialogs(dice: random.Random, files: list[Path], folder: Path) -> None:
    """Let dialogs answer themselves: a hand of random clicks would sit before them for ever."""
    from qtpy.QtWidgets import QDialog, QFileDialog, QMessageBox

    def one(*_: Any, **__: Any) -> tuple[str, str]:
        return (str(dice.choice(files)), "") if dice.random() < 0.5 else ("", "")

    def several(*_: Any, **__: Any) -> tuple[list[str], str]:
        return ([str(dice.choice(files))], "") if dice.random() < 0.5 else ([], "")

    def chosen(*_: Any, **__: Any) -> list[str]:
        return [str(folder / f"written-{dice.randrange(5)}{dice.choice(('.tif', '.mrc', '.stinr', '.yaml'))}")]

    QFileDialog.getOpenFileName = one
    QFileDialog.getOpenFileNames = several
    QFileDialog.getSaveFileName = one
    QFileDialog.getExistingDirectory = lambda *_, **__: ""
    QFileDialog.selectedFiles = chosen
    QDialog.exec = lambda self, *_: int(dice.random() < 0.5)
    QFileDialog.exec = QDialog.exec
    QMessageBox.exec = lambda self, *_: QMessageBox.StandardButton.No
    for name in ("question", "warning", "information", "critical"):
        setattr(QMessageBox, name, lambda *_, **__: QMessageBox.StandardButton.No)


def make_files(folder: Path) -> list[Path]:
    """Write two small series with growth, a list of angles, and two files that are none of ours."""
    import mrcfile
    import numpy as np

    paths = []
    for number, (tilts, width, height) in enumerate(SAMPLES):
        angles = np.linspace(-60, 60, tilts)
        x = np.arange(width) - (width - 1) / 2
        rod = np.maximum(0, 16 - x**2) ** 0.5
        grown = np.linspace(0, 1, tilts)[:, None, None] * np.maximum(0, 9 - (x - 5) ** 2) ** 0.5
        stack = np.broadcast_to(rod + grown, (tilts, height, width)).astype(np.float32)
        path = folder / f"series-{number}.mrc"
        with mrcfile.new(path) as file:
            file.set_data(np.ascontiguousarray(stack))
            file.voxel_size = 5.0 + number
        np.savetxt(path.with_suffix(".rawtlt"), angles)
        paths += [path, path.with_suffix(".rawtlt")]
    (folder / "notes.txt").write_text("nothing to see\n")
    (folder / "broken.mrc").write_bytes(b"\0" * 500)
    return [*paths, folder / "notes.txt", folder / "broken.mrc"]
