"""A tilt series while it is being put together: what the `Tilt series` dock edits, valid or not yet.

A draft holds the stack untouched; binning, exclusion and contrast are applied when it becomes a `TiltSeries`, in the
order in which :func:`napari_stinr.read_tilt_series` applies them, so that a script gives the same series.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.data.checks import MINIMUM_TILTS, checked_angles, checked_pixel_size, checked_times
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.errors import StinrError
from napari_stinr.io.series.sources import positions_by_name, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

EDITED = "edited"
"""How a script must give angles or times that were typed into the table."""


@dataclass(frozen=True, eq=False)
class SeriesDraft:
    """A stack with what is known about it.

    Parameters
    ----------
    stack : ndarray
        `(n_tilts, height, width)` projections as in the file or layer [the unit of the file].
    tilt_angles : ndarray
        `(n_tilts,)` tilt angles, NaN where not known [degrees].
    times : ndarray
        `(n_tilts,)` when each projection was taken [time_unit].
    used : ndarray
        `(n_tilts,)` bool, False where a projection is left out.
    name : str
        Name shown to people.
    paths : tuple of Path
        Files that the stack was read from, in its order: one, or one for every tilt; none for one that is in the viewer
        only.
    described_by : tuple of Path
        ``.mdoc`` files that were given for them; a script must give them, too.
    sample : mapping, optional
        Settings of the simulation that the stack comes from.
    mask : ndarray, optional
        `(n_tilts, height, width)` bool, True where a pixel counts.
    time_unit : str
        Unit of `times`.
    pixel_size : float, optional
        Width of a pixel of the stack [Å].
    flip_tilt : bool
        Opposite handedness.
    axis_offset : float
        Position of the rotation axis from the centre of the image [pixel].
    binning : int
        Pixels along each edge that are averaged into one.
    invert_contrast : bool
        Background minus projections, for a specimen that is darker than its surroundings.
    angles_argument, times_argument : str
        How a script gives them: "" found with the stack, a file, ``START:STEP``, an acquisition order, or ``"edited"``.
    pixel_size_given : bool
        The pixel size was typed in, and a script must give it.
    time_assumed : bool
        Nothing says when the projections were taken; stack order was assumed.
    n_infinite : int
        Infinite pixels of the stack.
    notes : tuple of str
        What the reader found, assumed or changed.
    read_times : tuple of ndarray, optional
        `times` as they were read, and the same scaled to 0..1: back from the one to the other costs the last digit, and
        a script must find the same times.
    """

    stack: NDArray[Any]
    tilt_angles: NDArray[np.float64]
    times: NDArray[np.float64]
    used: NDArray[np.bool_]
    name: str = "tilt series"
    paths: tuple[Path, ...] = ()
    described_by: tuple[Path, ...] = ()
    sample: Mapping[str, Any] | None = None
    mask: NDArray[np.bool_] | None = None
    time_unit: str = ""
    pixel_size: float | None = None
    flip_tilt: bool = False
    axis_offset: float = 0.0
    binning: int = 1
    invert_contrast: bool = False
    angles_argument: str = ""
    times_argument: str = ""
    pixel_size_given: bool = False
    time_assumed: bool = False
    n_infinite: int = 0
    notes: tuple[str, ...] = ()
    read_times: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @property
    def n_tilts(self) -> int:
        """Number of projections, used or not."""
        return len(self.stack)

    @property
    def path(self) -> Path | None:
        """File that the stack was read from, the first of several; None for one that is in the viewer only."""
        return self.paths[0] if self.paths else None

    def listed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the `(n_tilts,)` values in the order of a list in a file: that of the names of several files."""
        return values if len(self.paths) < 2 else values[np.argsort(positions_by_name(self.paths))]

    def from_list(self, file: Path | None, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the `(n_tilts,)` values of a list in a file, or of a range, in the order of the stack."""
        rows = rows_of(self.paths, file)
        return values if rows is None or rows.shape != values.shape else values[rows]

    @property
    def binned_shape(self) -> tuple[int, int, int]:
        """`(n_tilts, height, width)` of the series after binning."""
        n_tilts, height, width = self.stack.shape
        return n_tilts, height // self.binning, width // self.binning

    @property
    def problem(self) -> str:
        """What is wrong and how to mend it, in one line; "" where the draft can be reconstructed."""
        try:
            self.check()
        except StinrError as error:
            return str(error)
        return ""

    def check(self) -> None:
        """Check everything that a person can change.

        Raises
        ------
        StinrError
            With the value found, the value expected and the cure.
        """
        usable = self.used if self.mask is None else self.used & self.mask.any(axis=(1, 2))
        n_used = int(usable.sum())
        if n_used < MINIMUM_TILTS:
            raise StinrError(
                f"{n_used} of {self.n_tilts} projections are used",
                expected=f"at least {MINIMUM_TILTS}",
                cure="Tick more of them in the table.",
            )
        missing = np.flatnonzero(~np.isfinite(self.tilt_angles) & self.used)
        if len(missing):
            raise StinrError(
                f"{len(missing)} of {n_used} projections have no tilt angle, the first is number {missing[0] + 1}",
                expected="an angle for each that is used",
                cure="Give a file with the angles, start and step, or type them into the table.",
            )
        if self.n_infinite:
            raise StinrError(
                f"{self.name} has {self.n_infinite} infinite pixel(s)",
                expected="finite numbers, or NaN where nothing was measured",
                cure="Correct the layer, or set these pixels to NaN.",
            )
        checked_angles(self.filled_angles, self.n_tilts)
        checked_times(self.times, self.n_tilts)
        checked_pixel_size(self.pixel_size)
        if not abs(self.axis_offset) < self.stack.shape[2] / 2:
            raise StinrError(
                f"the axis offset is {self.axis_offset:g} pixels",
                expected=f"less than half the image width of {self.stack.shape[2]} pixels",
                cure="Give the distance of the rotation axis from the centre of the image.",
            )
        _, height, width = self.binned_shape
        if height < 1 or width < 2:
            raise StinrError(
                f"{self.stack.shape[1]} x {self.stack.shape[2]} pixels binned by {self.binning}",
                expected="at least 1 x 2 pixels",
                cure="Choose a smaller binning.",
            )

    @property
    def summary(self) -> str:
        """What will be reconstructed, in one line; for a draft without a problem."""
        n_tilts, height, width = self.binned_shape
        angles = self.tilt_angles[self.used]
        size = ""
        if self.pixel_size is not None:
            edge = self.pixel_size * self.binning
            size = f" of {edge:.4g} Å ({width * edge / 10:.3g} × {height * edge / 10:.3g} × {width * edge / 10:.3g} nm)"
        assumed = ", time assumed to be the order in the file" if self.time_assumed else ""
        return (
            f"{int(self.used.sum())} of {n_tilts} projections, {angles.min():.4g} to {angles.max():.4g}°{assumed} → "
            f"{width} × {height} × {width} voxels{size}"
        )

    @property
    def filled_angles(self) -> NDArray[np.float64]:
        """`(n_tilts,)` tilt angles, with 0 for projections that are not used and have none [degrees]."""
        return np.where(np.isfinite(self.tilt_angles) | self.used, self.tilt_angles, 0.0)

    @property
    def scaled_times(self) -> NDArray[np.float64]:
        """`(n_tilts,)` times, 0 to 1 [t]."""
        return np.asarray((self.times - self.times.min()) / max(float(np.ptp(self.times)), 1e-300))

    @property
    def excluded(self) -> list[int]:
        """Positions of projections that are left out."""
        return [int(index) for index in np.flatnonzero(~self.used)]

    def series(self) -> TiltSeries:
        """Return the tilt series, with binning, exclusion and contrast applied.

        Returns
        -------
        TiltSeries
            What is reconstructed.

        Raises
        ------
        StinrError
            Something is wrong; see :meth:`check`.
        """
        from napari_stinr.data.preprocessing import bin_series, invert_contrast

        self.check()
        times = self.times
        if self.read_times is not None and times is self.read_times[0]:
            times = self.read_times[1]
        series = TiltSeries(
            self.stack,
            self.filled_angles,
            times,
            time_range=(float(self.times.min()), float(self.times.max())),
            pixel_size=self.pixel_size,
            mask=self.mask,
            axis_offset=self.axis_offset,
            flip_tilt=self.flip_tilt,
            name=self.name,
            time_unit=self.time_unit,
            notes=self.notes,
        )
        series = bin_series(series, self.binning)
        series = series.exclude(self.excluded) if self.excluded else series
        return invert_contrast(series) if self.invert_contrast else series

    def with_rows(
        self, angles: NDArray[np.float64], times: NDArray[np.float64], used: NDArray[np.bool_]
    ) -> SeriesDraft:
        """Take over an edited table.

        Parameters
        ----------
        angles : ndarray
            `(n_tilts,)` tilt angles, NaN where not known [degrees].
        times : ndarray
            `(n_tilts,)` times [time_unit].
        used : ndarray
            `(n_tilts,)` bool.

        Returns
        -------
        SeriesDraft
            With these values; what did not change keeps its source.
        """
        same_angles = np.array_equal(angles, self.tilt_angles, equal_nan=True)
        same_times = np.array_equal(times, self.times)
        draft = self if same_angles else self.with_angles(np.asarray(angles, dtype=np.float64), EDITED)
        if not same_times:
            times = np.asarray(times, dtype=np.float64)
            draft = replace(draft, times=times, times_argument=EDITED, time_assumed=False)
        return replace(draft, used=np.asarray(used, dtype=bool))

    def with_angles(self, angles: NDArray[np.float64], argument: str) -> SeriesDraft:
        """Take other tilt angles; times that depend on the angles follow.

        Parameters
        ----------
        angles : ndarray
            `(n_tilts,)` tilt angles [degrees].
        argument : str
            How a script must give them.

        Returns
        -------
        SeriesDraft
            With these angles.
        """
        draft = replace(self, tilt_angles=angles, angles_argument=argument)
        if self.times_argument in ACQUISITION_ORDERS and np.isfinite(angles).all():
            return replace(draft, times=acquisition_rank(angles, self.times_argument).astype(np.float64))
        if self.time_assumed or not np.isfinite(self.tilt_angles).any():
            return draft
        # A table of times may list the old angles, and would be refused together with the new ones.
        return replace(draft, times=self.times.copy(), times_argument=EDITED)
