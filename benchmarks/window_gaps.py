"""The longest time without an answer in every phase of a session, and in napari alone with the same layers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from window_clock import Beat, pump, wait

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

N_VOLUMES = 21
"""Times of the volume that napari alone is given."""
SCRUBBING = 4.0
"""How long a hand moves the time slider [s]."""
ANGLES = (8.0, -28.0, 78.0)


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
    ours, layers = _with_plugin(steps=60 if quick else 400)
    alone = _alone(*layers)
    return [{"phase": name, **found, "napari_ms": alone.get(name)} for name, found in ours.items()]


def _with_plugin(*, steps: int) -> tuple[dict[str, dict[str, float]], tuple[NDArray[np.float32], ...]]:
    """Longest gap and duration of every phase [ms], and the projections and volumes that were shown."""
    import napari
    import numpy as np

    from napari_stinr.plugin.canvas.binding import binding_of
    from napari_stinr.plugin.canvas.dock_opener import open_dock

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    pump(1.0)
    found: dict[str, dict[str, float]] = {}
    try:
        binding = binding_of(viewer)
        session = binding.session

        def phase(name: str, do: Callable[[], None]) -> None:
            found[name] = _longest(binding, do)

        phase("the sample opens", lambda: (viewer.open_sample("napari-stinr", "nanotube"), pump(1.0)))
        session.threads = 1
        session.customise(session.config.with_training(steps=steps))
        wait(lambda: session.estimate is not None)
        foot = open_dock(viewer).foot
        phase("Start", lambda: (foot.start.click(), pump(3.0)))
        phase("a training is shown", lambda: wait(lambda: not session.is_active, every=0.05))
        if session.failure:
            raise RuntimeError(session.failure)
        pump(2.0)
        _three_phases(phase, viewer, binding.slider.set_t)
        reconstruction = session.reconstruction
        volumes = np.stack([reconstruction.render(float(t)) for t in np.linspace(0, 1, N_VOLUMES)])
        return found, (np.asarray(session.series.projections), volumes)
    finally:
        viewer.close()
        pump(1.0)


def _alone(projections: NDArray[np.float32], volumes: NDArray[np.float32]) -> dict[str, float]:
    """Longest gaps of napari with the same pixels in layers of arrays [ms]."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    try:
        viewer.add_image(projections[:N_VOLUMES, None])
        viewer.add_image(volumes, projection_mode="none")
        pump(2.0)
        found: dict[str, float] = {}

        def phase(name: str, do: Callable[[], None]) -> None:
            found[name] = _longest(viewer.window._qt_window, do)["longest_ms"]

        def set_t(t: float) -> None:
            viewer.dims.set_current_step(0, round(t * (N_VOLUMES - 1)))

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
    return {"seconds": time.perf_counter() - start, "longest_ms": 1000 * beat.stop()}
