"""Finds out in the background what a run would need, whenever the series or the settings change.

Torch is loaded by the first of these, so that it is there when Start is pressed and was not when napari started.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_stinr.plugin.session.requirements import (
    Estimate,
    estimate_run,
    free_memory,
    memory_beside,
    trained_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.devices import DeviceInfo
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.session import Session
    from napari_stinr.training.estimates import Speed

_RETRY = 10_000
"""Time after which a run that did not fit is estimated again [ms]."""
_CALM = 300
"""Time without a change after which a run is estimated [ms]."""

_SPEEDS: dict[int, list[Speed]] = {}
"""Speed of this machine by number of threads, as it was measured so far."""
_ENOUGH = 4
"""Measurements of which the fastest counts: napari itself is busy when the first ones are taken."""


class RequirementsWatch(QObject):
    """Keeps the estimate of a session up to date; `run` is that of the `BackgroundTasks`."""

    devices_changed = Signal()

    def __init__(self, session: Session, run: Callable[..., Any], parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._run = session, run
        self.devices: tuple[DeviceInfo, ...] = ()
        self.problem = ""
        self._generation = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._estimate)
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self.look_again)
        self.look_again()

    def look_again(self) -> None:
        """Estimate after a moment without further changes."""
        self._generation += 1
        self._timer.start(_CALM)

    def _estimate(self) -> None:
        session, generation = self._session, self._generation
        if session.is_active:
            return
        draft, config, device, threads = session.draft, session.config, session.device, session.threads
        is_posed, folder = session.pose is not None, session.settings.autosave_folder
        path = Path(folder) / "run" if folder else None
        if draft is not None and draft.problem:
            draft = None

        def look(_: object) -> tuple[int, tuple[DeviceInfo, ...], Estimate | None]:
            return generation, *_look(draft, config, device=device, threads=threads, is_posed=is_posed, path=path)

        self._run("measure this machine", look, self._take, on_error=self._say, bar=not _SPEEDS)

    def _take(self, found: tuple[int, tuple[DeviceInfo, ...], Estimate | None]) -> None:
        generation, devices, estimate = found
        if devices != self.devices:
            self.devices = devices
            self.devices_changed.emit()
        if generation == self._generation and not self._session.is_active:
            self.problem = ""
            self._session.expect(estimate)
            if estimate is not None and estimate.problem:
                # Memory that was full may be free in a moment.
                self._again.start(_RETRY)

    def _say(self, problem: str) -> None:
        self.problem = problem
        self._session.expect(None)


def _look(
    draft: SeriesDraft | None,
    config: ReconstructionConfig,
    *,
    device: str,
    threads: int,
    is_posed: bool,
    path: Path | None,
) -> tuple[tuple[DeviceInfo, ...], Estimate | None]:
    from napari_stinr.devices import list_devices, resolve_device
    from napari_stinr.training.batching import blocks_for
    from napari_stinr.training.estimates import measure_speed

    devices = list_devices()
    is_cpu = resolve_device(device).type == "cpu"
    measured = _SPEEDS.setdefault(threads, [])
    if is_cpu and len(measured) < _ENOUGH:
        measured.append(measure_speed(threads))
    if draft is None:
        return devices, None
    speed = _fastest(measured) if is_cpu else None
    return devices, estimate_run(
        trained_shape(draft, config),
        blocks_for(config, resolve_device(device)),
        binning=draft.binning,
        available=free_memory(device),
        beside=memory_beside(device),
        speed=speed,
        reaches_edge=draft.edges.is_there,
        is_posed=is_posed,
        path=path,
    )


def _fastest(measured: list[Speed]) -> Speed:
    """Return the best of each kind of work: other programs only make a measurement slower."""
    names = [entry.name for entry in fields(measured[0])]
    return replace(measured[0], **{name: max(getattr(speed, name) for speed in measured) for name in names})
