"""The measured data: projections with the tilt angle and the time of each.

Angles are in degrees and lengths in Å here and at every other border of the package. Time is scaled so that the first
projection was taken at 0 and the last at 1. No file is opened here; see :mod:`napari_stinr.io`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.checks import (
    MINIMUM_TILTS,
    asked_about_radians,
    check_axis_offset,
    checked_angles,
    checked_pixel_size,
    checked_projections,
    checked_times,
    mask_unmeasured,
)
from napari_stinr.data.notes import Note, as_note
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TiltSeries:
    """A tilt series: stack of projections with angle and time of each, checked on construction.

    Parameters
    ----------
    projections : ndarray
        `(n_tilts, height, width)` measured projections; the tilt axis is the image's y (vertical) axis. [V·Å for
        simulated data, else the unit of the file]. NaN means "not measured" and ends in `mask`.
    tilt_angles : ndarray
        `(n_tilts,)` tilt angles [degrees].
    times : ndarray, optional
        `(n_tilts,)` when each projection was taken, in any unit and with any origin (seconds, dose, order of
        acquisition). Stored scaled to 0..1; the first and last value are kept in `time_range`. Default: stack order.
    pixel_size : float, optional
        Width of a detector pixel [Å]. None when it is not known: lengths are then in pixels.
    mask : ndarray, optional
        `(n_tilts, height, width)` bool, True where the pixel was measured and counts. None: everything counts.
    axis_offset : float
        Position of the rotation axis relative to the centre of the image, index ``(width - 1) / 2`` [pixel].
    turned_axis_offset : float, optional
        The same for a rotation axis that is horizontal, once the images are turned; by default it is `axis_offset`.
        Another number where an image was cropped [pixel].
    flip_tilt : bool
        Use the opposite handedness: the sign of every tilt angle is reversed when rays are computed.
    name : str
        Name shown to people, usually the stem of the file.
    time_unit : str
        Unit of `time_range`, "" for a bare order of acquisition.
    time_range : tuple of float, optional
        First and last time [time_unit]. Taken from `times` where not given.
    notes : tuple of Note
        What a reader found, assumed or changed, one sentence each, to be shown to the user; plain strings are taken,
        too. Tilt angles that look like radians are asked about here.

    Raises
    ------
    StinrError
        Counts differ, numbers are not finite, angles are all equal or beyond 180 degrees, times are constant, the
        pixel size is not positive, or fewer than three projections are used.
    """

    projections: NDArray[np.float32]
    tilt_angles: NDArray[np.float64]
    times: NDArray[np.float64] = None  # type: ignore[assignment]  # never None after construction
    pixel_size: float | None = None
    mask: NDArray[np.bool_] | None = None
    axis_offset: float = 0.0
    flip_tilt: bool = False
    name: str = "tilt series"
    time_unit: str = ""
    time_range: tuple[float, float] = None  # type: ignore[assignment]  # never None after construction
    notes: tuple[Note, ...] = field(default=())
    turned_axis_offset: float | None = None

    def __post_init__(self) -> None:
        projections = checked_projections(self.projections, self.name)
        n_tilts = len(projections)
        angles = checked_angles(self.tilt_angles, n_tilts)
        times, time_range = checked_times(self.times, n_tilts)
        pixel_size = checked_pixel_size(self.pixel_size)
        projections, mask = mask_unmeasured(projections, self.mask)
        used = n_tilts if mask is None else int(mask.any(axis=(1, 2)).sum())
        if used < MINIMUM_TILTS:
            raise StinrError(
                f"{used} of {n_tilts} projections can be used",
                expected=f"at least {MINIMUM_TILTS}",
                cure="Give more projections, or exclude fewer.",
            )
        if self.turned_axis_offset is None or abs(self.turned_axis_offset) >= projections.shape[1] / 2:
            check_axis_offset(self.axis_offset, projections.shape[2])
        for array in (projections, angles, times, mask):
            if array is not None:
                array.setflags(write=False)
        for name, value in {
            "projections": projections,
            "tilt_angles": angles,
            "times": times,
            "pixel_size": pixel_size,
            "mask": mask,
            "notes": asked_about_radians(tuple(map(as_note, self.notes)), angles),
            "time_range": time_range
            if self.time_range is None
            else (float(self.time_range[0]), float(self.time_range[1])),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def n_tilts(self) -> int:
        """Number of projections in the stack, used or not."""
        return len(self.projections)

    @property
    def height(self) -> int:
        """Number of detector rows."""
        return int(self.projections.shape[1])

    @property
    def width(self) -> int:
        """Number of detector columns."""
        return int(self.projections.shape[2])

    @property
    def voxel_size(self) -> float:
        """Edge of a voxel in `length_unit`: the pixel size, or 1 where that is not known."""
        return 1.0 if self.pixel_size is None else self.pixel_size

    @property
    def length_unit(self) -> str:
        """``"Å"``, or ``"pixel"`` where the pixel size is not known."""
        return "pixel" if self.pixel_size is None else "Å"

    @property
    def ray_angles_rad(self) -> NDArray[np.float64]:
        """`(n_tilts,)` angles of the rays, with `flip_tilt` applied [radians]."""
        return np.deg2rad(-self.tilt_angles if self.flip_tilt else self.tilt_angles)

    @property
    def used(self) -> NDArray[np.bool_]:
        """`(n_tilts,)` True where a projection has at least one pixel that counts."""
        if self.mask is None:
            return np.ones(self.n_tilts, dtype=bool)
        return np.asarray(self.mask.any(axis=(1, 2)))

    @property
    def measured(self) -> NDArray[np.float32]:
        """`(n_tilts, height, width)` projections, with 0 where a pixel does not count."""
        return self.projections if self.mask is None else self.projections * self.mask

    def exclude(self, tilts: Iterable[int]) -> TiltSeries:
        """Leave projections out: they stay in the stack and are masked.

        Parameters
        ----------
        tilts : iterable of int
            Positions in the stack, from 0; negative ones count from the end.

        Returns
        -------
        TiltSeries
            The same series with these projections masked.

        Raises
        ------
        StinrError
            A position is not in the stack, or fewer than three projections would be left.
        """
        indices = list(tilts)
        for index in indices:
            if not -self.n_tilts <= index < self.n_tilts:
                raise StinrError(
                    f"projection {index} is to be excluded",
                    expected=f"a position from 0 to {self.n_tilts - 1}",
                    cure="Positions count from 0 in stack order.",
                )
        mask = np.ones(self.projections.shape, dtype=bool) if self.mask is None else self.mask.copy()
        mask[indices] = False
        return replace(self, mask=mask)

    def fingerprint(self) -> str:
        """Return a short text that differs when data, angles, times, mask or geometry differ.

        Returns
        -------
        str
            32 hexadecimal digits (BLAKE2b); stored with a reconstruction so that it is not resumed with other data.
        """
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.projections, self.tilt_angles, self.times, self.mask):
            if array is not None:
                digest.update(str(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        digest.update(repr((self.pixel_size, self.axis_offset, self.flip_tilt)).encode())
        return digest.hexdigest()

    def __repr__(self) -> str:
        size = f"{self.pixel_size:g} Å" if self.pixel_size is not None else "unknown"
        return (
            f"<TiltSeries {self.name!r}: {self.n_tilts} tilts of {self.height} x {self.width}, "
            f"{self.tilt_angles.min():g} to {self.tilt_angles.max():g} degrees, pixel size {size}>"
        )
