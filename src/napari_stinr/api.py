"""The main job in one call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from napari_stinr.alignment.align import align as align_series
from napari_stinr.config import AS_RECORDED, preset_config
from napari_stinr.errors import StinrError
from napari_stinr.training.events import Event, Finished, Prepared, Reported
from napari_stinr.training.run import Order, drive

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.alignment.align import Alignment
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training import StepReport

logger = logging.getLogger(__name__)


def reconstruct(
    series: TiltSeries,
    *,
    preset: str = "growth",
    config: ReconstructionConfig | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    callback: Callable[[StepReport], Any] | None = None,
    align: str | Alignment = "off",
) -> Reconstruction:
    """Reconstruct a tilt series in space and time.

    Parameters
    ----------
    series : TiltSeries
        The data.
    preset : {"growth", "static", "paper"}
        The kind of field and how it is trained.
    config : ReconstructionConfig, optional
        All settings, instead of a preset.
    steps : int, optional
        Steps of training; from the settings by default.
    seconds : float, optional
        Train for this long instead [s].
    seed : int, optional
        Seed of everything that is random; from the settings by default (0).
    device : str
        ``auto``, ``cpu``, ``cuda:0`` or ``mps``.
    threads : int, optional
        CPU threads; all cores by default.
    callback : callable, optional
        Called with the :class:`StepReport` of every step.
    align : {"off", "coarse"} or Alignment
        ``coarse``: find the pose of every projection first, see :func:`napari_stinr.align`; or what that has found.

    Returns
    -------
    Reconstruction
        The trained field.

    Raises
    ------
    StinrError
        A setting is wrong.
    TrainingError
        The loss is not finite.
    """
    alignment = _alignment(series, align)
    if alignment is not None:
        for note in alignment.notes:
            logger.warning("%s", note)
        series = alignment.apply(series)
    chosen = (config or preset_config(preset)).with_training(steps=steps, seed=seed)

    if alignment is not None:
        # It is done, and the frames of the warped images are not empty parts.
        chosen = chosen.with_preprocessing(**AS_RECORDED.model_dump())

    def listen(event: Event) -> None:
        if isinstance(event, Prepared):
            for note in event.notes:
                logger.warning("%s", note)
        if callback is not None and isinstance(event, Reported):
            for report in event.reports:
                callback(report)

    order = Order(series, chosen, device=device, threads=threads, steps=steps, seconds=seconds)
    outcome = drive(order, listen, raises=True)
    assert isinstance(outcome, Finished)  # errors came out, and nobody else could stop it
    return outcome.reconstruction


def _alignment(series: TiltSeries, choice: str | Alignment) -> Alignment | None:
    if not isinstance(choice, str):
        return choice
    if choice not in ("off", "coarse"):
        raise StinrError(f"the alignment is {choice!r:.60}", expected="off or coarse", cure="Choose one of these.")
    return align_series(series) if choice == "coarse" else None
