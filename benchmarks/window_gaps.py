"""The longest time without an answer in every phase of a session, and in napari alone with the same layers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from window_clock import Beat, pump, wait

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

SCRUBBING = 4.0
"""How long a hand moves the time slider [s]."""
ANGLES = (8.0, -28.0, 78.0)
DOCK_WIDTH = 350
"""Of the canvas that napari alone has to draw, an empty dock of this width takes as much as ours [px]."""
OPENS, STARTS, TRAINS = "the sample opens", "Start", "a training is shown"


@dataclass(frozen=True)
class Layer:
    """A layer of an array with the looks of one of ours."""

    data: NDArray[np.float32]
    looks: dict[str, Any]

    @classmethod
    def of(cls, layer: Any) -> Layer:
        """Copy a layer; what is computed when napari asks for it becomes an array."""
        import numpy as np

        looks = {name: str(getattr(layer, name)) for name in ("name", "blending", "projection_mode", "rendering")}
        numbers = {name: np.asarray(getattr(layer, name)).tolist() for name in ("scale", "translate")}
        units = [str(unit) for unit in layer.units]
        limits = [float(limit) for limit in layer.contrast_limits]
        others = {"units": units, "axis_labels": list(layer.axis_labels), "contrast_limits": limits}
        shown = {"visible": layer.visible, "colormap": layer.colormap.name}
        return cls(np.asarray(layer.data), {**looks, **numbers, **others, **shown})


@dataclass(frozen=True)
class Shown:
    """What was on the canvas at the end: the layers of the sample, those of the result, and steps of the slider."""

    sample: tuple[Layer, ...]
    results: tuple[Layer, ...]
    last: float
    """Physical time of t = 1, where t = 0 is 0."""
    text: str

    def save(self, folder: Path) -> None:
        """Write it for another process."""
        import numpy as np

        looks = {}
        for part in ("sample", "results"):
            layers: tuple[Layer, ...] = getattr(self, part)
            looks[part] = [layer.looks for layer in layers]
            for number, layer in enumerate(layers):
                np.save(folder / f"{part}{number}.npy", layer.data)
        (folder / "looks.json").write_text(json.dumps({**looks, "last": self.last, "text": self.text}))

    @classmethod
    def load(cls, folder: Path) -> Shown:
        """Read what :meth:`save` wrote."""
        import numpy as np

        told = json.loads((folder / "looks.json").read_text())
        sample, results = (
            tuple(Layer(np.load(folder / f"{part}{number}.npy"), looks) for number, looks in enumerate(told[part]))
            for part in ("sample", "results")
        )
        return cls(sample, results, told["last"], told["text"])


def gaps(*, quick: bool) -> list[dict[str, Any]]:
    """Go from the sample to the volume in 3D in a window of its own, then with the same layers in napari alone.

    Parameters
    ----------
    quick : bool
        Few steps.

    Returns
    -------
    list of dict
        Of every phase: its name, the longest gap with the plugin, with napari alone where that has the phase, and how
        long it took [ms].
    """
    ours, shown = _with_plugin(steps=60 if quick else 400)
    with tempfile.TemporaryDirectory() as folder:
        shown.save(Path(folder))
        # In a process of its own, since the first layer of a process costs more than those after it.
        command = [sys.executable, __file__, folder]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    alone = json.loads(answer.splitlines()[-1])
    return [{"phase": name, **found, "napari_ms": alone.get(name)} for name, found in ours.items()]


def _with_plugin(*, steps: int) -> tuple[dict[str, dict[str, float]], Shown]:
    """Longest gap and duration of every phase [ms], and what was shown at the end."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    pump(1.0)
    found: dict[str, dict[str, float]] = {}
    window = viewer.window._qt_window

    def phase(name: str, do: Callable[[], Any]) -> None:
        found[name] = _longest(window, do)

    try:
        # Nothing of the plugin is loaded yet, as when a person has just started napari.
        phase(OPENS, lambda: _open_sample(viewer))
        from napari_stinr.plugin.canvas.binding import binding_of
        from napari_stinr.plugin.canvas.dock_opener import open_dock

        binding, sample = binding_of(viewer), tuple(Layer.of(layer) for layer in viewer.layers)
        session = binding.session
        wait(lambda: not binding.tasks.running)
        session.threads = 1
        session.customise(session.config.with_training(steps=steps))
        wait(lambda: session.estimate is not None)
        foot = open_dock(viewer).foot
        phase(STARTS, lambda: (foot.start.click(), pump(3.0)))
        phase(TRAINS, lambda: (wait(lambda: not session.is_active, every=0.05), pump(2.0)))
        if session.failure:
            raise RuntimeError(session.failure)
        wait(lambda: not binding.tasks.running)
        _three_phases(phase, viewer, binding.slider.set_t)
        results = tuple(Layer.of(layer) for layer in list(viewer.layers)[len(sample) :])
        assert binding.slider.axis.physical(0.0) == 0
        return found, Shown(sample, results, binding.slider.axis.physical(1.0), viewer.canvas.overlays.text.text)
    finally:
        viewer.close()
        pump(1.0)


def _open_sample(viewer: Any) -> None:
    """Open the sample, until the dock is there with all its pages."""
    viewer.open_sample("napari-stinr", "nanotube")

    def is_complete() -> bool:
        module = sys.modules.get("napari_stinr.plugin.docks.stinr")
        docks = [] if module is None else viewer.window._qt_window.findChildren(module.StinrDock)
        return bool(docks) and docks[0].is_complete

    wait(is_complete)


def _alone(shown: Shown) -> dict[str, float]:
    """Longest gaps of napari with the same pixels in layers of arrays [ms]."""
    import napari
    from qtpy.QtWidgets import QWidget

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    found: dict[str, float] = {}

    def phase(name: str, do: Callable[[], Any]) -> None:
        found[name] = _longest(viewer.window._qt_window, do)["longest_ms"]

    def add_results() -> None:
        for layer in shown.results:
            viewer.add_image(layer.data, **layer.looks)
            pump(1.0)

    def open_sample() -> None:
        # A sample gives napari all of its layers at once.
        for layer in shown.sample:
            viewer.add_image(layer.data, **layer.looks)
        overlays = viewer.canvas.overlays
        overlays.text.text = shown.text
        overlays.text.visible = overlays.scale_bar.visible = True
        pump(1.0)

    def set_t(t: float) -> None:
        viewer.dims.set_point(0, t * shown.last)

    try:
        empty = QWidget()
        empty.setFixedWidth(DOCK_WIDTH)
        viewer.window.add_dock_widget(empty)
        pump(1.0)
        phase(OPENS, open_sample)
        phase(TRAINS, add_results)
        for layer, kept in zip(viewer.layers, (*shown.sample, *shown.results), strict=True):
            layer.visible = kept.looks["visible"]
        pump(1.0)
        _three_phases(phase, viewer, set_t)
        return found
    finally:
        viewer.close()
        pump(1.0)


def _three_phases(phase: Callable[..., None], viewer: Any, set_t: Callable[[float], None]) -> None:
    def scrub() -> None:
        end = time.perf_counter() + SCRUBBING
        while time.perf_counter() < end:
            set_t((time.perf_counter() * 0.3) % 1.0)
            pump(0.03)

    def to_3d() -> None:
        viewer.dims.ndisplay = 3
        viewer.scene.camera.angles = ANGLES
        pump(2.0)

    phase("the time slider moves, 2D", scrub)
    phase("switch to 3D", to_3d)
    phase("the time slider moves, 3D", scrub)


def _longest(parent: Any, do: Callable[[], Any]) -> dict[str, float]:
    beat, start = Beat(parent), time.perf_counter()
    do()
    seconds = time.perf_counter() - start
    # What was done is drawn after that.
    pump(0.5)
    return {"seconds": seconds, "longest_ms": 1000 * beat.stop()}


if __name__ == "__main__":
    print(json.dumps(_alone(Shown.load(Path(sys.argv[1])))))
