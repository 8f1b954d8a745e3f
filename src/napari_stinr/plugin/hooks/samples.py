"""Sample data: the experiment of the 2023 paper, simulated on this machine, with the truth beside it."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.plugin.hooks.readers import LayerData
    from napari_stinr.simulation import Simulation, SimulationConfig

TRUTH, TRUE_CONTAMINATION = "truth (t = 0)", "true contamination (t = 1)"
_TURN_MS, _REST_S = 30, 0.03
"""Longest time that the window gets at once, and the pause after it."""
_BAR_EVERY = 0.2
"""Time between two updates of the bar [s]: each of them has the whole window drawn."""
_FOR_LAYERS = ("napari_stinr.plugin.canvas.layer_data", "napari_stinr.plugin.session.new_draft")
"""What makes layers of a simulation: no Qt, and a tenth of a second to load."""

_simulating = threading.Lock()


def nanotube() -> list[LayerData]:
    """Simulate a double-walled carbon nanotube with a filling, on which carbon grows from one side: 181 tilts."""
    from napari_stinr.simulation import SimulationConfig

    return _layers(SimulationConfig(), "nanotube")


def nanotube_small() -> list[LayerData]:
    """Simulate a smaller nanotube with 61 tilts, which is reconstructed within seconds."""
    from napari_stinr.simulation import SimulationConfig

    return _layers(SimulationConfig(grid=(48, 24, 48), tilt_step=3.0), "small nanotube")


def _layers(config: SimulationConfig, name: str) -> list[LayerData]:
    from dataclasses import replace

    simulation = _simulated(config)
    # In a window, these are there by now.
    from napari_stinr.plugin.canvas.dock_opener import open_dock_soon
    from napari_stinr.plugin.canvas.layer_data import pixel_size_in_view, series_layer
    from napari_stinr.plugin.hooks.readers import volume_layer
    from napari_stinr.plugin.session.new_draft import draft_of_series

    draft = replace(draft_of_series(simulation.series, sample=config.model_dump()), name=name)
    voxel, unit = pixel_size_in_view(config.pixel_size)

    def hidden(values: Any, what: str, facts: dict[str, Any], **looks: Any) -> LayerData:
        data, options, kind = volume_layer(
            values, name=f"{name} {what}", voxel=voxel, unit=unit, facts=facts, draft=draft
        )
        return data, {**options, "visible": False, **looks}, kind

    open_dock_soon()
    # napari selects the layer that it adds last.
    return [
        hidden(simulation.truth, TRUTH, {"truth": True}),
        hidden(
            simulation.contamination,
            TRUE_CONTAMINATION,
            {"true_contamination": True},
            colormap="inferno",
            blending="additive",
        ),
        series_layer(draft),
    ]


def _simulated(config: SimulationConfig) -> Simulation:
    from napari_stinr.simulation import simulate

    # The window goes on while it waits, and so may the hand of whoever asked for the sample.
    if not _simulating.acquire(blocking=False):
        raise StinrError(
            "a sample is being simulated already", expected="one at a time", cure="Wait until its layers are there."
        )
    try:
        application = _application()
        return simulate(config) if application is None else _simulated_beside(application, config)
    finally:
        _simulating.release()


def _simulated_beside(application: Any, config: SimulationConfig) -> Simulation:
    """Simulate in another thread while this one keeps the window alive."""
    from napari.utils import progress
    from qtpy.QtCore import QEventLoop

    from napari_stinr.plugin.canvas.loading import read_ahead
    from napari_stinr.simulation import simulate

    finished: list[Simulation] = []
    failed: list[BaseException] = []
    n_done = 0

    def note(done: int, total: int) -> None:
        nonlocal n_done
        n_done = done

    def work() -> None:
        try:
            for name in _FOR_LAYERS:
                import_module(name)
            finished.append(simulate(config, progress=note))
        except BaseException as error:
            failed.append(error)

    read_ahead()
    thread = threading.Thread(target=work, name="stinr-sample", daemon=True)
    # The bar makes widgets, which must happen in this thread; the other one only counts.
    with progress(total=len(config.tilt_angles), desc="Simulating the tilts") as bar:
        thread.start()
        updated = time.monotonic()
        while thread.is_alive():
            application.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, _TURN_MS)
            thread.join(_REST_S)
            if n_done > bar.n and time.monotonic() - updated > _BAR_EVERY:
                bar.update(n_done - bar.n)
                updated = time.monotonic()
    if failed:
        raise failed[0]
    return finished[0]


def _application() -> Any:
    """Return the application whose window is to be kept alive; None where there is none, or in another thread."""
    try:
        from qtpy.QtCore import QThread
        from qtpy.QtWidgets import QApplication
    except ImportError:
        return None
    application = QApplication.instance()
    return application if application is not None and QThread.currentThread() == application.thread() else None
