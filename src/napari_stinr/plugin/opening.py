"""What a person dropped or chose: which file is the stack, which its angles and times, which a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.sidecars import read_angles, read_timetable
from napari_stinr.plugin.draft_sources import angles_from, draft_of_stack, read_draft, times_from
from napari_stinr.plugin.layer_data import ANGSTROM_PER_NM, METADATA_KEY, entry_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_stinr.plugin.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

RUN_ENDING = ".stinr"
MOST_BINNING = 16
_SAME_SIZE = 1e-3
_TABLE_ENDINGS = (".rawtlt", ".tlt", ".mdoc", ".csv", ".txt")


@dataclass(frozen=True)
class Dropped:
    """Files by what they are.

    Parameters
    ----------
    stacks : tuple of Path
        Tilt series, or what may be some.
    tables : tuple of Path
        Files with angles or times.
    runs : tuple of Path
        Reconstructions.
    """

    stacks: tuple[Path, ...]
    tables: tuple[Path, ...]
    runs: tuple[Path, ...]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Dropped:
        """Sort files by their endings."""
        files = tuple(paths)
        tables = tuple(path for path in files if path.suffix.lower() in _TABLE_ENDINGS)
        runs = tuple(path for path in files if path.suffix.lower() == RUN_ENDING)
        return cls(tuple(path for path in files if path not in tables and path not in runs), tables, runs)

    def draft(self, current: SeriesDraft | None) -> SeriesDraft:
        """Read the stack, or take the current one, with the angles and times of the tables.

        Parameters
        ----------
        current : SeriesDraft or None
            What is open, for tables that come without a stack.

        Returns
        -------
        SeriesDraft
            The series.

        Raises
        ------
        StinrError
            A file cannot be read or does not fit.
        """
        with_times = [p for p in self.tables if p.suffix.lower() in (".csv", ".mdoc") and _holds(read_timetable, p)]
        with_angles = [p for p in self.tables if p not in with_times or p.suffix.lower() == ".mdoc"]
        # A table of both gives the angles only where no list was given and none is beside the stack.
        if self.stacks:
            draft = read_draft(self.stacks[0], angles=with_angles[0] if with_angles else None)
        else:
            assert current is not None
            draft = angles_from(current, str(with_angles[0])) if with_angles else current
        for path in with_times:
            if not np.isfinite(draft.tilt_angles).any() and _has_angles(path):
                draft = angles_from(draft, str(path))
            draft = times_from(draft, str(path))
        return draft


def _has_angles(path: Path) -> bool:
    return _holds(read_angles, path) and read_timetable(path).tilt_angles is not None


def _holds(read: Any, path: Path) -> bool:
    try:
        read(path)
    except StinrError:
        return False
    return True


def draft_of_layer(layer: Any) -> SeriesDraft:
    """Take a layer as a tilt series.

    Parameters
    ----------
    layer : napari.layers.Image
        One of the plugin, or any with the projections along its first axis.

    Returns
    -------
    SeriesDraft
        The series, with the pixel size of the layer where it has one.

    Raises
    ------
    StinrError
        The layer is not a stack.
    """
    own: SeriesDraft | None = entry_of(layer, "draft")
    if own is not None:
        return own
    unit, scale = layer.units[-1], float(layer.scale[-1])
    if abs(float(layer.scale[-2]) / scale - 1) > _SAME_SIZE or _is_turned(layer):
        raise StinrError(
            f"{layer.name} is turned, sheared or has pixels of {float(layer.scale[-2]):g} x {scale:g}",
            expected="square pixels in rows and columns",
            cure="Resample it, or open its file.",
        )
    size = None
    if unit.is_compatible_with("nm"):
        size = float((scale * unit).to("nm").magnitude) * ANGSTROM_PER_NM
    draft = draft_of_stack(layer.data, name=layer.name, pixel_size=size)
    return draft if layer.source.path is None else _with_file(draft, layer.source.path)


def contents_of(layer: Any) -> tuple[SeriesDraft | None, Reconstruction | None]:
    """Return what a reader or a sample has put into a layer for the docks.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any layer.

    Returns
    -------
    draft : SeriesDraft or None
        A tilt series.
    reconstruction : Reconstruction or None
        A reconstruction.
    """
    return entry_of(layer, "draft"), entry_of(layer, "reconstruction")


def may_be_series(layer: Any) -> bool:
    """Return whether a layer can be taken as a tilt series: three axes, or a fourth of length 1.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any layer.

    Returns
    -------
    bool
        True where :func:`draft_of_layer` may succeed.
    """
    if type(layer).__name__ != "Image" or layer.multiscale or layer.rgb:
        return False
    entries = layer.metadata.get(METADATA_KEY, {})
    if "draft" in entries:
        return True
    # Volumes that the plugin made, and the truth of its samples, are no tilt series.
    return not entries and sum(n > 1 for n in layer.data.shape) == 3


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


def _is_turned(layer: Any) -> bool:
    turn = np.asarray(getattr(layer, "rotate", np.eye(2)))
    shear = np.asarray(getattr(layer, "shear", np.zeros(1)))
    return not np.allclose(turn, np.eye(len(turn))) or not np.allclose(shear, 0)


def _with_file(draft: SeriesDraft, path: str) -> SeriesDraft:
    """Remember the file of a layer that another reader opened, where ours reads the same stack from it."""
    from napari_stinr.errors import StinrError

    try:
        own = read_draft(path)
    except (StinrError, OSError):
        return draft
    if not np.array_equal(own.stack, draft.stack):
        return draft
    return own
