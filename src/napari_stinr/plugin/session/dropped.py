"""What a person dropped or chose: a tilt series with its lists, lists for the one that is open, a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.io.output.targets import RUN_ENDING
from napari_stinr.io.series.grouping import (
    SeriesFiles,
    angle_list,
    group_files,
    no_stack_for,
    only_series,
    sorted_by_ending,
    time_list,
)
from napari_stinr.io.series.headers import Headers, holds
from napari_stinr.io.series.mdoc import is_mdoc
from napari_stinr.io.series.sources import find_sources
from napari_stinr.plugin.session.corrections import angles_from, times_from
from napari_stinr.plugin.session.new_draft import read_draft

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft


@dataclass(frozen=True, eq=False)
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
    headers : Headers
        What has been read of them.
    """

    images: tuple[Path, ...]
    tables: tuple[Path, ...]
    runs: tuple[Path, ...]
    headers: Headers = field(default_factory=Headers)

    @classmethod
    def of(cls, paths: Iterable[Path], headers: Headers | None = None) -> Dropped:
        """Sort files by their endings."""
        files = tuple(dict.fromkeys(paths))
        runs = tuple(path for path in files if path.suffix.lower() == RUN_ENDING)
        images, tables = sorted_by_ending(path for path in files if path not in runs)
        return cls(images, tables, runs, headers or Headers())

    @property
    def stacks(self) -> tuple[Path, ...]:
        """The first of the images, where there are any: it names what is opened."""
        return self.images[:1]

    def series(self) -> tuple[SeriesFiles, ...]:
        """Find out which files belong together, from their headers; a StinrError says what is wrong with them."""
        return group_files(self.images, self.tables, headers=self.headers)

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
        if current is not None and self._tells_of(current):
            return _with_lists(current, lists, self.headers)
        files = only_series(self.series())
        if files is not None:
            return read_files(files)
        if current is None:
            raise no_stack_for(lists[0])
        return _with_lists(current, lists, self.headers)

    def _tells_of(self, draft: SeriesDraft) -> bool:
        """Whether an ``.mdoc`` that comes alone tells of the series that is open, rather than stands for another."""
        images, headers = self.images, self.headers
        if len(images) != 1 or not is_mdoc(images[0]):
            return False
        n_images = headers.mdoc(images[0]).n_images
        return n_images == draft.n_tilts or not holds(lambda mdoc: find_sources([mdoc], headers), images[0])


def read_files(files: SeriesFiles) -> SeriesDraft:
    """Read the series that some files are.

    Parameters
    ----------
    files : SeriesFiles
        Images with the lists that belong to them.

    Returns
    -------
    SeriesDraft
        What was found.

    Raises
    ------
    StinrError
        A file is missing or damaged, or belongs to none of the others.
    """
    return read_draft(files.paths, angles=files.angles, times=files.times, headers=files.headers)


def _with_lists(draft: SeriesDraft, lists: Sequence[Path], headers: Headers) -> SeriesDraft:
    angles, times = angle_list(lists, headers), time_list(lists, headers)
    if angles is None and times is not None and not np.isfinite(draft.tilt_angles).any():
        # A table of both gives the angles only where there are no others.
        angles = times if holds(headers.angles, times) else None
    draft = draft if angles is None else angles_from(draft, str(angles), headers)
    return draft if times is None else times_from(draft, str(times), headers)
