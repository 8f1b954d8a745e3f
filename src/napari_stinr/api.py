"""The main job in one call."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.pose_files import read_pose
from napari_stinr.config import preset_config
from napari_stinr.errors import StinrError
from napari_stinr.training.events import Event, Finished, Prepared, Reported
from napari_stinr.training.jobs.asked import with_axis_of
from napari_stinr.training.run import Order, drive

if TYPE_CHECKING:
    import os
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
    align: str | Alignment | None = None,
    pose: Pose | str | os.PathLike[str] | None = None,
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
    align : {"coarse", "joint", "off"} or Alignment, optional
        How the projections are aligned first, see :func:`napari_stinr.align`, or what that has found; from the settings
        by default (``coarse``, which moves nothing in a series that looks aligned).
    pose : Pose, str or path-like, optional
        Where the projections were recorded, in place of an alignment: in pixels of `series`, or a file as for
        :func:`napari_stinr.alignment.pose_files.read_pose`.

    Returns
    -------
    Reconstruction
        The trained field.

    Raises
    ------
    StinrError
        A setting is wrong, both `align` and `pose` are given, or the pose is not that of the series.
    TrainingError
        The loss is not finite.
    """
    chosen = (config or preset_config(preset)).with_training(steps=steps, seed=seed)
    if align is not None and pose is not None:
        raise StinrError("both align and pose are given", expected="one of them at most", cure="Leave one out.")
    if isinstance(align, str):
        chosen = chosen.with_alignment(align)
    elif align is not None:
        pose, chosen = align.pose, chosen.with_preprocessing(**align.preprocessing.model_dump())
    if pose is not None and not isinstance(pose, Pose):
        chosen = with_axis_of(chosen, Path(pose))
        is_turned = chosen.preprocessing.axis == "horizontal"
        pose = read_pose(pose, shape=(series.height, series.width), tilt_angles=series.tilt_angles, turned=is_turned)

    def listen(event: Event) -> None:
        if isinstance(event, Prepared):
            for note in event.notes:
                logger.warning("%s", note)
        if callback is not None and isinstance(event, Reported):
            for report in event.reports:
                callback(report)

    order = Order(series, chosen, device=device, threads=threads, steps=steps, seconds=seconds, pose=pose)
    outcome = drive(order, listen, raises=True)
    assert isinstance(outcome, Finished)  # errors came out, and nobody else could stop it
    return outcome.reconstruction
