"""Click at random in the real window and say what broke: `bash tools/on_screen.sh python tools/monkey.py`.

Two series, short runs, and a hand that presses every button of the dock, turns the wheel, types into fields, removes
and hides layers, changes theme, size and dimension, and closes the dock. What it does follows from `--seed`. The exit
status is 1 after an exception, a window that no longer answers, or a thread that is left when the window is closed.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import resource
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before anything imports torch or numba, which read these once.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_WITHIN = 60.0
"""Longest time without an answer before the window counts as hung [s]."""
STEPS = (20, 200)
"""Fewest and most steps of a run."""
KEYS = ("Key_Left", "Key_Right", "Key_Space", "Key_Escape", "Key_Tab", "Key_Return", "Key_Delete", "Key_A", "Key_1")
TYPED = ("", "0", "-60:2", "abc", "1e9", "-76:2:76", "3,5", "nan")
SAMPLES = ((15, 24, 12), (31, 25, 16))
"""Tilts, width and height of the two series."""


@dataclass
class Monkey:
    """A hand that does one random thing at a time."""

    viewer: Any
    dice: random.Random
    files: list[Path]
    done: list[str] = field(default_factory=list)

    def act(self) -> None:
        """Do one thing, and remember which."""
        acts: list[tuple[int, Callable[[], str]]] = [
            (12, self.press_button),
            (5, self.set_field),
            (3, self.choose),
            (3, self.turn_page),
            (3, self.type_text),
            (4, self.press_key),
            (4, self.turn_wheel),
            (3, self.move_slider),
            (2, self.hide_layer),
            (1, self.remove_layer),
            (1, self.turn_dimension),
            (1, self.change_theme),
            (1, self.resize),
            (1, self.close_dock),
            (2, self.open_file),
            (1, self.few_steps),
        ]
        weights = [weight for weight, _ in acts]
        (_, chosen) = self.dice.choices(acts, weights)[0]
        self.done.append(f"{chosen.__name__}: …")
        self.done[-1] = f"{chosen.__name__}: {chosen()}"

    def dock(self) -> Any:
        """Return the dock, opened where it is not."""
        from napari_stinr.plugin.canvas.dock_opener import open_dock

        return open_dock(self.viewer)

    def visible(self, *kinds: type) -> Any:
        """Return a random widget of some kinds that a hand could reach, or None."""
        found = [w for kind in kinds for w in self.dock().findChildren(kind) if w.isVisible() and w.isEnabled()]
        return self.dice.choice(found) if found else None

    def press_button(self) -> str:
        """Press a button."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QAbstractButton

        button = self.visible(QAbstractButton)
        if button is None:
            return "none"
        name = f"{type(button).__name__} {button.text()!r}"
        for _ in range(self.dice.choice((1, 1, 1, 2))):
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        return name

    def set_field(self) -> str:
        """Set a number."""
        from qtpy.QtWidgets import QDoubleSpinBox, QSpinBox

        box = self.visible(QSpinBox, QDoubleSpinBox)
        if box is None:
            return "none"
        low, high = box.minimum(), min(box.maximum(), box.minimum() + 10)
        box.setValue(type(low)(low + (high - low) * self.dice.random()))
        return f"{type(box).__name__} {box.text()}"

    def choose(self) -> str:
        """Choose from a list."""
        from qtpy.QtWidgets import QComboBox

        box = self.visible(QComboBox)
        if box is None or not box.count():
            return "none"
        index = self.dice.randrange(box.count())
        box.setCurrentIndex(index)
        box.activated.emit(index)
        return str(box.currentText())

    def turn_page(self) -> str:
        """Turn to a page."""
        dock = self.dock()
        name = self.dice.choice(list(dock.pages))
        dock.show_page(name)
        return str(name)

    def type_text(self) -> str:
        """Type into a line."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QLineEdit

        line, text = self.visible(QLineEdit), self.dice.choice(TYPED)
        if line is None:
            return "none"
        line.selectAll()
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key.Key_Return)
        return text

    def press_key(self) -> str:
        """Press a key over the canvas."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        key = self.dice.choice(KEYS)
        QTest.keyClick(self.viewer.window._qt_viewer.canvas.native, getattr(Qt.Key, key))
        return key

    def turn_wheel(self) -> str:
        """Turn the wheel over something."""
        from qtpy.QtCore import QPoint, QPointF, Qt
        from qtpy.QtGui import QWheelEvent
        from qtpy.QtWidgets import QApplication, QWidget

        widget = self.visible(QWidget)
        if widget is None:
            return "none"
        middle = QPointF(widget.rect().center())
        where, turned = widget.mapToGlobal(middle), QPoint(0, self.dice.choice((-120, 120)))
        button, keys = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
        phase = Qt.ScrollPhase.NoScrollPhase
        QApplication.sendEvent(widget, QWheelEvent(middle, where, QPoint(), turned, button, keys, phase, False))
        return type(widget).__name__

    def move_slider(self) -> str:
        """Move a slider of the dimensions."""
        dims = self.viewer.dims
        axis = self.dice.randrange(max(1, dims.ndim))
        steps = dims.nsteps[axis] if dims.ndim else 1
        dims.set_current_step(axis, self.dice.randrange(max(1, int(steps))))
        return f"axis {axis}"

    def hide_layer(self) -> str:
        """Hide a layer, or show it."""
        if not len(self.viewer.layers):
            return "none"
        layer = self.dice.choice(list(self.viewer.layers))
        layer.visible = not layer.visible
        return str(layer.name)

    def remove_layer(self) -> str:
        """Remove a layer, as a person does with the bin."""
        if not len(self.viewer.layers):
            return "none"
        layer = self.dice.choice(list(self.viewer.layers))
        name = str(layer.name)
        self.viewer.layers.selection = {layer}
        self.viewer.layers.remove_selected()
        return name

    def turn_dimension(self) -> str:
        """Look in 2D or in 3D."""
        self.viewer.dims.ndisplay = 5 - self.viewer.dims.ndisplay
        return str(self.viewer.dims.ndisplay)

    def change_theme(self) -> str:
        """Change the theme."""
        self.viewer.theme = self.dice.choice(("dark", "light"))
        return str(self.viewer.theme)

    def resize(self) -> str:
        """Change the size of the window."""
        size = self.dice.choice(((1280, 800), (1024, 700), (1390, 980)))
        self.viewer.window.resize(*size)
        return str(size)

    def close_dock(self) -> str:
        """Close the dock; it is opened again when it is needed."""
        self.viewer.window.remove_dock_widget(self.dock())
        return ""

    def open_file(self) -> str:
        """Drop a file on the dock."""
        path = self.dice.choice(self.files)
        self.dock().open_files([path])
        return path.name

    def few_steps(self) -> str:
        """Let the next run be short."""
        session = self.dock().binding.session
        if session.is_active:
            return "active"
        steps = self.dice.randint(*STEPS)
        session.customise(session.config.with_training(steps=steps))
        return str(steps)


class Watch:
    """Ends the program with all stacks where the window no longer answers."""

    def __init__(self) -> None:
        self._heard = time.monotonic()
        self.longest = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def hear(self) -> None:
        """Note that the window answers."""
        now = time.monotonic()
        self.longest = max(self.longest, now - self._heard)
        self._heard = now

    def _look(self) -> None:
        while True:
            time.sleep(1)
            if time.monotonic() - self._heard > ANSWER_WITHIN:
                print(f"the window did not answer for {ANSWER_WITHIN:g} s", file=sys.stderr, flush=True)
                faulthandler.dump_traceback(all_threads=True)
                os._exit(1)


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


def main() -> int:
    """Let the monkey work, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="what it does follows from this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        return run(Path(folder), minutes=options.minutes, seed=options.seed)


def run(folder: Path, *, minutes: float, seed: int) -> int:
    """Work in a window for some minutes; 1 where something broke."""
    import napari
    from napari.utils.notifications import ErrorNotification, notification_manager
    from qtpy.QtWidgets import QApplication

    from napari_stinr.plugin.canvas.binding import binding_of

    dice, broken = random.Random(seed), []
    sys.excepthook = lambda kind, value, trace: (
        broken.append(f"{kind.__name__}: {value}") or sys.__excepthook__(kind, value, trace)
    )
    files = make_files(folder)
    before = set(threading.enumerate())
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    answer_dialogs(dice, files, folder)
    binding = binding_of(viewer)
    binding.session.settings = replace(binding.session.settings, autosave_folder=str(folder), preview_seconds=0.5)
    monkey, watch = Monkey(viewer, dice, files), Watch()
    memory: list[float] = []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end and not broken:
        monkey.act()
        pause = time.monotonic() + 0.15 * dice.random()
        while time.monotonic() < pause:
            QApplication.processEvents()
            watch.hear()
        errors = [note for note in notification_manager.records if isinstance(note, ErrorNotification)]
        broken += [f"{type(note.exception).__name__}: {note.exception}" for note in errors]
        notification_manager.records.clear()
        if len(monkey.done) % 200 == 0:
            memory.append(resident_megabytes())
            print(f"{len(monkey.done)} acts, {len(viewer.layers)} layers, {memory[-1]:.0f} MB", flush=True)
    viewer.close()
    wait_until(lambda: not left_over(before), seconds=ANSWER_WITHIN, hear=watch.hear)
    left = left_over(before)
    if broken or left:
        print("\n".join(["last acts:", *monkey.done[-25:]]), file=sys.stderr)
    for text in (*broken, *(f"a thread is left: {name}" for name in left)):
        print(text, file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{len(monkey.done)} acts, longest gap {watch.longest:.2f} s, highest memory {peak:.0f} MB", flush=True)
    return int(bool(broken or left))


def resident_megabytes() -> float:
    """Return how much memory this program holds now [MB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").is_file() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def left_over(before: set[threading.Thread]) -> list[str]:
    """Names of threads of ours that are still there."""
    return [t.name for t in threading.enumerate() if t not in before and t.name.startswith("stinr")]


def wait_until(condition: Callable[[], bool], *, seconds: float, hear: Callable[[], None]) -> None:
    """Let Qt work until something is so, for at most so long."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        QApplication.processEvents()
        hear()
        time.sleep(0.01)


if __name__ == "__main__":
    faulthandler.enable()
    raise SystemExit(main())
