"""Take the pictures of the window in docs/ from the real program: `make screenshots`.

Opens napari, goes from the sample to the clean specimen as a person would, and saves what the screen shows on the way.
Needs a screen, also a virtual one; `--theme light --out FOLDER` takes the same pictures in the light theme, to look at.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before anything imports torch or numba, which read these once.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PLUGIN = "napari-stinr"
DOCS = Path(__file__).resolve().parents[1] / "docs"
WINDOW = (1280, 800)
PATIENCE = 180.0
"""Longest time that is waited for one thing [s]."""
MID_RUN = 0.8
"""Part of the steps after which a picture of the training is taken: most of them are those of the search."""
ANGLES = (8.0, -28.0, 78.0)
"""Camera of the 3D pictures: the tube lies along the tilt axis and is seen a little from above [degrees]."""
GAP = 8
"""Width of the white line between before and after [pixels]."""
COLOURS = 255
"""Colours of a saved picture; few enough for a small file, and more than the eye tells apart."""


@dataclass
class Window:
    """A viewer with the dock, and the folder for the pictures."""

    viewer: Any
    binding: Any
    dock: Any
    target: Path

    @property
    def session(self) -> Any:
        """What the viewer is working on."""
        return self.binding.session

    def show_page(self, name: str) -> None:
        """Turn to a page of the dock, scrolled to its top."""
        self.dock.show_page(name)
        self.dock.pages[name]._scroll.verticalScrollBar().setValue(0)

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Let the window live until something is so, and say how long that took."""
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > PATIENCE:
                raise TimeoutError(f"{what or 'background work'}: not within {PATIENCE:g} s")
            process_events()
        if what:
            print(f"{what}: {time.monotonic() - start:.1f} s", flush=True)

    def settle(self) -> None:
        """Wait until nothing is computed in the background any more, and all of it is drawn."""
        layers, tasks = self.binding.layers, self.binding.tasks
        self.wait("", lambda: not tasks.running and not getattr(layers.stream, "is_busy", False))
        self.viewer.window._qt_viewer.canvas.native.update()
        for _ in range(20):
            process_events()

    def picture(self) -> NDArray[Any]:
        """Return the whole window as the screen shows it, without napari's notifications."""
        from napari._qt.dialogs.qt_notification import NapariQtNotification

        for notification in list(NapariQtNotification._instances):
            notification.close()
        for _ in range(40):
            process_events()
        window = self.viewer.window._qt_window
        place = window.geometry()
        grabbed = window.screen().grabWindow(0, place.x(), place.y(), place.width(), place.height())
        return as_array(grabbed.toImage())

    def canvas(self) -> tuple[slice, slice]:
        """Return where the canvas lies in a picture, as rows and columns."""
        canvas, window = self.viewer.window._qt_viewer.canvas.native, self.viewer.window._qt_window
        corner = canvas.mapTo(window, canvas.rect().topLeft())
        return slice(corner.y(), corner.y() + canvas.height()), slice(corner.x(), corner.x() + canvas.width())

    def save(self, name: str) -> NDArray[Any]:
        """Save a picture of the window."""
        image = self.picture()
        save(image, self.target / f"{name}.png")
        return image


def process_events() -> None:
    """Let Qt do what is due, in a loop as of a program that runs: only there it deletes what is to be deleted later."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(5, loop.quit)
    loop.exec()


def as_array(image: Any) -> NDArray[Any]:
    """`(height, width, 3)` pixels of an image of Qt."""
    import numpy as np
    from qtpy.QtGui import QImage

    image = image.convertToFormat(QImage.Format.Format_RGB888)
    bits = image.constBits()
    if hasattr(bits, "setsize"):
        bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def save(image: NDArray[Any], path: Path) -> None:
    """Write an image with few colours, as a small file."""
    from PIL import Image

    few = Image.fromarray(image).quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def open_window(theme: str, target: Path, checkpoints: Path) -> Window:
    """Open napari at the size of the pictures, with the dock."""
    import napari

    from napari_stinr.plugin.canvas.binding import binding_of
    from napari_stinr.plugin.canvas.dock_opener import open_dock

    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    viewer.window._qt_window.setGeometry(0, 0, *WINDOW)
    dock, binding = open_dock(viewer), binding_of(viewer)
    binding.session.settings = replace(binding.session.settings, autosave_folder=str(checkpoints))
    return Window(viewer, binding, dock, target)


def take_series(window: Window) -> None:
    """Open the sample, and look at a projection in the middle of it."""
    start = time.monotonic()
    window.viewer.open_sample(PLUGIN, "nanotube")
    print(f"sample: {time.monotonic() - start:.1f} s", flush=True)
    window.show_page("Series")
    window.wait("estimate", lambda: window.session.estimate is not None)
    window.viewer.reset_view()
    window.settle()
    window.binding.slider.set_t(0.5)
    window.settle()
    window.save("series")


def take_align(window: Window) -> None:
    """Align the sample, which is aligned already, and look at what was found."""
    window.show_page("Align")
    window.binding.attempt(window.binding.aligner.align)
    window.wait("alignment", lambda: not window.binding.aligner.is_looking)
    window.settle()
    window.save("align")
    window.show_page("Reconstruct")


def take_training(window: Window) -> None:
    """Train, and take a picture on the way."""
    start = time.monotonic()
    window.dock.foot.start.click()

    def is_mid_run() -> bool:
        log = window.session.log
        return log.last is not None and log.last.step >= MID_RUN * log.last.n_steps

    window.wait("first step", lambda: window.session.log.last is not None)
    window.wait("most of the volume", is_mid_run)
    window.save("training")
    window.wait("rest of the training", lambda: not window.session.is_active)
    if window.session.state != "Done":
        raise RuntimeError(window.session.failure)
    print(f"training: {time.monotonic() - start:.1f} s", flush=True)


def take_explore(window: Window) -> NDArray[Any]:
    """Look at the end of the series in 3D, where all of the contamination is there."""
    from napari_stinr.plugin.canvas.views import View

    window.show_page("Explore")
    window.settle()
    window.binding.views.show(View.MAXIMUM)
    window.settle()
    window.viewer.reset_view()
    window.viewer.scene.camera.angles = ANGLES
    window.settle()
    return window.save("explore")


def take_clean(window: Window) -> NDArray[Any]:
    """Remove the contamination."""
    window.dock.explore.remove_button.click()
    window.wait("clean", lambda: window.binding.display.shown == "Clean")
    window.settle()
    return window.save("clean")


def side_by_side(before: NDArray[Any], after: NDArray[Any], canvas: tuple[slice, slice]) -> NDArray[Any]:
    """Put the canvas before beside the canvas after with the dock that did it."""
    import numpy as np

    rows, columns = canvas
    left, right = before[rows, columns], after[rows, columns.start :]
    return np.hstack([left, np.full((len(left), GAP, 3), 255, dtype=np.uint8), right])


def export(window: Window, folder: Path) -> None:
    """Export the clean specimen, as the last step of the way from the sample to a file."""
    panel = window.dock.explore.export_panel
    panel.export_to(folder / "clean.tif")
    window.wait("export", lambda: not panel.is_running)
    if not (folder / "clean.tif").is_file():
        raise RuntimeError("clean.tif was not written")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--theme", default="dark", help="napari theme")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder for the pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # The settings of the person who runs this neither show in the pictures nor change.
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        start = time.monotonic()
        window = open_window(options.theme, options.out, Path(folder))
        take_series(window)
        take_align(window)
        take_training(window)
        before, after = take_explore(window), take_clean(window)
        save(side_by_side(before, after, window.canvas()), options.out / "before-after.png")
        export(window, Path(folder))
        window.viewer.close()
        print(f"all: {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
