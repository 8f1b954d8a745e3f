"""Click at random in the real window and say what broke: `bash tools/on_screen.sh python tools/monkey.py`.

Two series, short runs, and a hand that presses every button of the dock, turns the wheel, types into fields, removes
and hides layers, changes theme, size and dimension, and closes the dock. What it does follows from `--seed`. The exit
status is 1 after an exception, a window that no longer answers, or a thread that is left when the window is closed.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import random
import resource
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monkey_world import answer_dialogs, make_files

# Before anything imports torch or numba, which read these once.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_WITHIN = 60.0
"""Longest time without an answer before the window counts as hung [s]."""
SLOW = 5.0
"""Time without an answer after which the stack of the window's thread is printed [s]."""
STEPS = (20, 200)
"""Fewest and most steps of a run."""
KEYS = ("Key_Left", "Key_Right", "Key_Space", "Key_Escape", "Key_Tab", "Key_Return", "Key_Delete", "Key_A", "Key_1")
TYPED = ("", "0", "-60:2", "abc", "1e9", "-76:2:76", "3,5", "nan")


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
    """Says where the window is when it does not answer for long, and ends the program where it no longer does."""

    def __init__(self) -> None:
        self._heard = time.monotonic()
        self._window = threading.get_ident()
        self.longest, self.is_over = 0.0, False
        threading.Thread(target=self._look, daemon=True).start()

    def hear(self) -> None:
        """Note that the window answers."""
        now = time.monotonic()
        self.longest = max(self.longest, now - self._heard)
        self._heard = now

    def _look(self) -> None:
        told = 0.0
        while not self.is_over:
            time.sleep(1)
            silent = time.monotonic() - self._heard
            if silent > ANSWER_WITHIN:
                print(f"the window did not answer for {ANSWER_WITHIN:g} s", file=sys.stderr, flush=True)
                faulthandler.dump_traceback(all_threads=True)
                os._exit(1)
            if silent > SLOW and told != self._heard:
                told = self._heard
                frame = sys._current_frames().get(self._window)
                stack = [] if frame is None else traceback.format_stack(frame)
                print(f"no answer for {silent:.0f} s:\n{''.join(stack[-12:])}", file=sys.stderr, flush=True)


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
    tell_memory(monkey, binding.session)
    work(monkey, watch, broken, minutes=minutes)
    tell_memory(monkey, binding.session)
    if not broken:
        forget_everything(monkey, binding.session, watch)
        tell_memory(monkey, binding.session)
    viewer.close()
    wait_until(lambda: not left_over(before), seconds=ANSWER_WITHIN, hear=watch.hear)
    left, watch.is_over = left_over(before), True
    if broken or left:
        print("\n".join(["last acts:", *monkey.done[-25:]]), file=sys.stderr)
    for text in (*broken, *(f"a thread is left: {name}" for name in left)):
        print(text, file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{len(monkey.done)} acts, longest gap {watch.longest:.2f} s, highest memory {peak:.0f} MB", flush=True)
    return int(bool(broken or left))


def work(monkey: Monkey, watch: Watch, broken: list[str], *, minutes: float) -> None:
    """Let the monkey act for some minutes, or until something is broken."""
    from napari.utils.notifications import ErrorNotification, notification_manager
    from qtpy.QtCore import QEventLoop, QTimer

    # A loop as in a program that runs: what is to be deleted later is deleted in no other.
    loop, heart, end, acting = QEventLoop(), QTimer(), time.monotonic() + 60 * minutes, [False]

    def turn() -> None:
        acting[0] = True
        try:
            monkey.act()
        except Exception as error:
            broken.append(f"{type(error).__name__}: {error}")
            traceback.print_exc()
        acting[0] = False
        watch.hear()
        errors = [note for note in notification_manager.records if isinstance(note, ErrorNotification)]
        broken.extend(f"{type(note.exception).__name__}: {note.exception}" for note in errors)
        notification_manager.records.clear()
        if len(monkey.done) % 200 == 0:
            tell_memory(monkey, monkey.dock().binding.session)
        if broken or time.monotonic() > end:
            loop.quit()
        else:
            QTimer.singleShot(round(150 * monkey.dice.random()), turn)

    # An act that waits in a loop of its own, such as a dialog that was not answered, is a window that hangs.
    heart.timeout.connect(lambda: acting[0] or watch.hear())
    heart.start(20)
    QTimer.singleShot(0, turn)
    loop.exec()
    heart.stop()


def forget_everything(monkey: Monkey, session: Any, watch: Watch) -> None:
    """Let go of all runs and layers, so that what is still held is held by mistake."""
    from napari_stinr.plugin.session.states import Action

    session.queue.clear()
    if not session.why_not(Action.STOP):
        session.stop()
    wait_until(lambda: not session.is_active, seconds=ANSWER_WITHIN, hear=watch.hear)
    for kept in session.runs.runs:
        session.forget(kept)
    monkey.viewer.layers.clear()
    later = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > later, seconds=10, hear=watch.hear)
    gc.collect()


def tell_memory(monkey: Monkey, session: Any) -> None:
    """Print how much there is of what could grow."""
    from qtpy.QtWidgets import QApplication

    print(
        f"{len(monkey.done)} acts: {len(session.runs.runs)} runs kept, {len(monkey.viewer.layers)} layers, "
        f"{len(QApplication.allWidgets())} widgets, {resident_megabytes():.0f} MB",
        flush=True,
    )


def resident_megabytes() -> float:
    """Return how much memory this program holds now [MB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").is_file() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def left_over(before: set[threading.Thread]) -> list[str]:
    """Names of threads of ours that are still there."""
    return [t.name for t in threading.enumerate() if t not in before and t.name.startswith("stinr")]


def wait_until(condition: Callable[[], bool], *, seconds: float, hear: Callable[[], None]) -> None:
    """Let Qt work until something is so, for at most so long."""
    from qtpy.QtTest import QTest

    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        QTest.qWait(10)
        hear()


if __name__ == "__main__":
    faulthandler.enable()
    raise SystemExit(main())
