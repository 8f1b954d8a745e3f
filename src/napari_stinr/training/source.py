"""What a training takes from its series, before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.data.geometry import grid_of
from napari_stinr.data.margin import EdgeMatter
from napari_stinr.data.measurements import Measurements
from napari_stinr.data.only_noise import matter_notes, noise_notes
from napari_stinr.projection.views import Views
from napari_stinr.training.held_out import HeldOut, held_out_tilts

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.notes import Note
    from napari_stinr.data.tilt_series import TiltSeries


@dataclass(frozen=True, eq=False)
class Source:
    """What a training takes from its series.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings of the run, as the data allow them.
    grid : VoxelGrid
        The voxels, with their margin.
    views : Views
        What every tilt of the stack sees.
    measurements : Measurements
        What is fitted.
    held_tilts : ndarray
        `(m,)` positions in the stack, ascending, of projections that are held out.
    held_out : HeldOut, optional
        What of them is predicted.
    notes : tuple of Note
        What was found in the data.
    """

    config: ReconstructionConfig
    grid: VoxelGrid
    views: Views
    measurements: Measurements
    held_tilts: NDArray[np.int64]
    held_out: HeldOut | None
    notes: tuple[Note, ...]

    @classmethod
    def of(
        cls, series: TiltSeries, config: ReconstructionConfig, *, device: torch.device, margin: int | None = None
    ) -> Source:
        """Take it from a series.

        Parameters
        ----------
        series : TiltSeries
            The data, prepared and aligned.
        config : ReconstructionConfig
            The settings.
        device : torch.device
            Where the projections are put.
        margin : int, optional
            Voxels beyond the view that are fitted; from settings and data by default.

        Returns
        -------
        Source
            What the training takes.

        Raises
        ------
        StinrError
            Too many projections are to be held out, or they show nothing but noise.
        """
        training, edges = config.training, EdgeMatter.of_series(series)
        margin = edges.margin(series.width, training.margin) if margin is None else margin
        note = edges.note(margin)
        held_out = held_out_tilts(series.times, series.used, training.held_out, early=training.early_tilts)
        # Nothing about the held-out projections may decide anything, not even their contrast the learning rate.
        measurements = Measurements.of(series, device=device, without=held_out)
        notes = matter_notes(measurements)
        if training.suppress_noise and training.batches == "blocks":
            notes += noise_notes(measurements, series.name)
        return cls(
            # A specimen that goes on beyond the view has no closed surface in it.
            config.voxelwise() if margin else config,
            grid_of(series, margin=margin),
            Views.of(series),
            measurements,
            held_out,
            HeldOut.of(series, held_out),
            notes if note is None else (*notes, note),
        )
