"""What a person dropped or chose: a tilt series with its lists, lists for the one that is open, a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import RUN_ENDING
from napari_stinr.io.series.mdoc import read_mdoc
from napari_stinr.io.series.sidecars import read_angles
from napari_stinr.io.series.sources import MDOC_ENDING, find_sources
from napari_stinr.plugin.session.draft_sources import angles_from, times_from
from napari_stinr.plugin.session.given_files import (
    ANGLE_ENDINGS,
    TABLE_ENDINGS,
    GivenSeries,
    angle_list,
    given_series,
    holds,
    is_list,
    time_list,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

MOST_BINNING = 16
_SAME_SIZE = 1e-3


@dataclass(frozen=True)
class Dropped:
    """Files by their endings.

    Parameters
    ----------
    images : tuple of Path
        Tilt series, or what may be some: stacks, images, folders, and ``.mdoc`` files that come without any.
    tables : tuple of Path
        Files with angles or times.
    runs : tuple of Path
        Reconstructions.
    """

    images: tuple[Path, ...]
    tables: tuple[Path, ...]
    runs: tuple[Path, ...]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Dropped:
        """Sort files by their endings."""
        files = tuple(dict.fromkeys(paths))
        runs = tuple(path for path in files if path.suffix.lower() == RUN_ENDING)
        tables = tuple(path for path in files if path.suffix.lower() in (*ANGLE_ENDINGS, *TABLE_ENDINGS, MDOC_ENDING))
        images = tuple(path for path in files if path not in runs and path not in tables)
        if not images:
            # Without images it stands for those that it describes.
            images = tuple(path for path in tables if path.suffix.lower() == MDOC_ENDING)
            tables = tuple(path for path in tables if path not in images)
        return cls(images, tables, runs)

    @property
    def stacks(self) -> tuple[Path, ...]:
        """The first of the images, where there are any: it names what is opened."""
        return self.images[:1]

    def series(self) -> tuple[GivenSeries, ...]:
        """Find out which files belong together; their headers are read.

        Returns
        -------
        tuple of GivenSeries
            Every series with its lists; none where there are lists only.

        Raises
        ------
        StinrError
            A file cannot be read, two lists give the same, or a list belongs to none of several series.
        """
        lists = tuple(file for file in self.images if is_list(file))
        return given_series([file for file in self.images if file not in lists], [*self.tables, *lists])

    def draft(self, current: SeriesDraft | None) -> SeriesDraft:
        """Read the series, or take the current one, with the angles and times of the lists.

        Parameters
        ----------
        current : SeriesDraft or None
            What is open, for lists that come without images.

        Returns
        -------
        SeriesDraft
            The series.

        Raises
        ------
        StinrError
            A file cannot be read or does not fit, or there are several series.
        """
        lists = [*self.tables, *self.images]
        if current is not None and _tells_of(current, self.images):
            return _with_lists(current, lists)
        series = self.series()
        if len(series) > 1:
            raise StinrError(
                f"{len(series)} tilt series: " + ", ".join(one.paths[0].name for one in series[:4]),
                expected="one: a stack, a folder, or several files with one tilt each",
                cure="Drop one of them, with its lists.",
            )
        if series:
            return series[0].draft()
        if current is None:
            raise StinrError(
                f"{lists[0].name} is a list of angles or times",
                expected="the stack that it belongs to",
                cure="Open that first, or drop both together.",
            )
        return _with_lists(current, lists)


def matching_draft(draft: SeriesDraft | None, reconstruction: Reconstruction) -> SeriesDraft | None:
    """Return the series that a reconstruction was made from, as far as size, voxel size and times tell.

    To be sure, the whole stack would have to be hashed; for the place of a layer this is enough.

    Parameters
    ----------
    draft : SeriesDraft or None
        The series that is open.
    reconstruction : Reconstruction
        From a file.

    Returns
    -------
    SeriesDraft or None
        The series with the binning of the run; None where it is another one.
    """
    if draft is None or draft.problem:
        return None
    if (float(draft.times.min()), float(draft.times.max())) != tuple(reconstruction.time_range):
        return None
    for binning in range(1, MOST_BINNING + 1):
        binned = replace(draft, binning=binning)
        voxel = 1.0 if draft.pixel_size is None else draft.pixel_size * binning
        same_size = binned.binned_shape[1:] == reconstruction.grid.shape[1:]
        if same_size and abs(voxel / reconstruction.voxel_size - 1) < _SAME_SIZE:
            return draft if binning == draft.binning else binned
    return None


def _tells_of(draft: SeriesDraft, images: Sequence[Path]) -> bool:
    """Whether an ``.mdoc`` that comes alone tells of the series that is open, rather than stands for another."""
    if len(images) != 1 or images[0].suffix.lower() != MDOC_ENDING:
        return False
    return read_mdoc(images[0]).n_images == draft.n_tilts or not holds(lambda mdoc: find_sources([mdoc]), images[0])


def _with_lists(draft: SeriesDraft, lists: Sequence[Path]) -> SeriesDraft:
    angles, times = angle_list(lists), time_list(lists)
    if angles is None and times is not None and not np.isfinite(draft.tilt_angles).any() and holds(read_angles, times):
        # A table of both gives the angles only where there are no others.
        angles = times
    draft = draft if angles is None else angles_from(draft, str(angles))
    return draft if times is None else times_from(draft, str(times))
