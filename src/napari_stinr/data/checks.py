"""What a tilt series must be, and the messages for what it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

MINIMUM_TILTS = 3
_SAME_SIZE = 1e-3
"""Pixels or voxels whose sizes differ by no more than this part are of the same size."""
_ENOUGH_TILTS, _HALF_TURN = 5, np.pi + 0.005
"""So many tilts, none of them beyond half a turn in radians (3.14, 3.142, ...), may be a series in radians."""


def is_same_size(size: float, other: float) -> bool:
    """Return whether pixels or voxels count as equally large.

    Parameters
    ----------
    size, other : float
        Their edges, in the same unit.

    Returns
    -------
    bool
        True where they differ by a thousandth or less.
    """
    return abs(size / other - 1) <= _SAME_SIZE


def checked_projections(values: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Return the stack `(n_tilts, height, width)` as float32, NaN left in, or say what is wrong with it."""
    # An array that nobody can write to any more is shared, as a second copy may not fit into memory.
    final = (
        isinstance(values, np.ndarray)
        and values.dtype == np.float32
        and values.flags.owndata
        and not values.flags.writeable
    )
    projections = values if final else np.array(values, dtype=np.float32)
    if projections.ndim != 3 or 0 in projections.shape:
        raise StinrError(
            f"{name} has the shape {projections.shape}",
            expected="three axes (projections, height, width), none of them empty",
            cure="Save the projections as one stack.",
        )
    if len(projections) < MINIMUM_TILTS:
        raise StinrError(
            f"{name} has {len(projections)} projection(s)",
            expected=f"at least {MINIMUM_TILTS}",
            cure="Give the whole tilt series, with the projections along the first axis.",
        )
    check_finite(projections, name)
    return projections


def check_finite(projections: NDArray[np.float32], name: str) -> None:
    """Refuse projections with infinite pixels.

    Parameters
    ----------
    projections : ndarray
        `(n_tilts, height, width)` [the unit of the file].
    name : str
        Name of the series, for the message.

    Raises
    ------
    StinrError
        A pixel is infinite; NaN stands for what was not measured.
    """
    infinite = int(np.isinf(projections).sum())
    if infinite:
        raise StinrError(
            f"{name} has {infinite} infinite pixel(s)",
            expected="finite numbers, or NaN where nothing was measured",
            cure="Set these pixels to NaN to leave them out.",
        )


def check_shows_something(
    projections: Iterable[NDArray[np.generic]], mask: NDArray[np.bool_] | None, name: str
) -> None:
    """Refuse projections of which next to none shows anything; no more are looked at than needed.

    Parameters
    ----------
    projections : iterable of ndarray
        `(height, width)` projections, NaN where nothing was measured [any unit].
    mask : ndarray or None
        `(n_tilts, height, width)` bool, True where a pixel counts.
    name : str
        Name of the series, for the message.

    Raises
    ------
    StinrError
        All pixels that count are equal in all projections but two or fewer.
    """
    n_used, n_showing, value = 0, 0, np.nan
    for k, image in enumerate(projections):
        pixels = image if mask is None else image[mask[k]]
        low, high = _range(pixels)
        if np.isnan(low):
            continue
        n_used, n_showing, value = n_used + 1, n_showing + (high > low), low
        if n_showing >= MINIMUM_TILTS:
            return
    n_blank = n_used - n_showing
    which = "all" if not n_showing else f"{n_blank} of {n_used}"
    raise StinrError(
        f"{which} projections of {name} are blank: all pixels of each are equal ({value:.6g} in the last)",
        expected=f"at least {MINIMUM_TILTS} that show a specimen",
        cure="Check that this is the right stack, and that the beam was on.",
    )


def checked_angles(values: NDArray[np.float64], n_tilts: int) -> NDArray[np.float64]:
    """Return the tilt angles, or say what is wrong with them.

    Parameters
    ----------
    values : array_like
        `(n_tilts,)` tilt angles [degrees].
    n_tilts : int
        Number of projections.

    Returns
    -------
    ndarray
        `(n_tilts,)` float64 copy [degrees].

    Raises
    ------
    StinrError
        With the value found, the value expected and the cure.
    """
    angles = np.array(values, dtype=np.float64)
    _check_vector(angles, "tilt angles", n_tilts)
    if np.abs(angles).max() > 180:
        raise StinrError(
            f"a tilt angle is {angles[np.abs(angles).argmax()]:g} degrees",
            expected="all within -180 to 180",
            cure="Angles are in degrees; check the file or the sign.",
        )
    if np.ptp(angles) == 0:
        raise StinrError(
            f"all tilt angles are {angles[0]:g} degrees",
            expected="different angles",
            cure="Give the angles as a file or as START:STEP.",
        )
    return angles


def asked_about_radians(notes: tuple[Note, ...], angles: NDArray[np.float64]) -> tuple[Note, ...]:
    """Return the notes with a question where the angles look like radians, else without it.

    Parameters
    ----------
    notes : tuple of Note
        Notes of the series.
    angles : ndarray
        `(n_tilts,)` tilt angles [degrees].

    Returns
    -------
    tuple of Note
        The others in their order, the question last.
    """
    # A question: so small a range can be meant, and nothing is refused.
    kept = tuple(note for note in notes if note.kind is not NoteKind.RADIANS)
    if len(angles) < _ENOUGH_TILTS or np.abs(angles).max() > _HALF_TURN:
        return kept
    question = f"The tilt angles span only {np.ptp(angles):.3g} degrees: are they in radians? Give them in degrees."
    return (*kept, Note(NoteKind.RADIANS, question))


def checked_times(values: NDArray[np.float64] | None, n_tilts: int) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the times scaled to 0..1 and their range, or say what is wrong with them.

    Parameters
    ----------
    values : array_like or None
        `(n_tilts,)` times in any unit; None: stack order.
    n_tilts : int
        Number of projections.

    Returns
    -------
    times : ndarray
        `(n_tilts,)` float64, 0 to 1 [t].
    time_range : tuple of float
        First and last time in the unit given.

    Raises
    ------
    StinrError
        With the value found, the value expected and the cure.
    """
    times = np.arange(n_tilts, dtype=np.float64) if values is None else np.array(values, dtype=np.float64)
    _check_vector(times, "times", n_tilts)
    first, last = float(times.min()), float(times.max())
    if not np.isfinite(last - first):
        raise StinrError(
            f"the times range from {first:g} to {last:g}",
            expected="a range that is a number",
            cure="Give the times in another unit, or from another origin.",
        )
    if first == last:
        raise StinrError(
            f"all times are {first:g}",
            expected="the time of each projection",
            cure="Give the acquisition order (" + ", ".join(ACQUISITION_ORDERS) + ") or a file with the times.",
        )
    return (times - first) / (last - first), (first, last)


def _range(pixels: NDArray[np.generic]) -> tuple[float, float]:
    """Lowest and highest of the pixels that are numbers, NaN where there are none."""
    if not pixels.size:
        return np.nan, np.nan
    values = pixels.ravel()
    return float(np.fmin.reduce(values)), float(np.fmax.reduce(values))


def _check_vector(values: NDArray[np.float64], what: str, n_tilts: int) -> None:
    if values.ndim != 1 or len(values) != n_tilts:
        found = f"{len(values)}" if values.ndim == 1 else f"an array of shape {values.shape}"
        raise StinrError(
            f"there are {found} {what} for {n_tilts} projections",
            expected=f"{n_tilts} {what}, one for every projection",
            cure="Remove the extra ones, or give them as START:STEP or as a file with one number a line.",
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise StinrError(
            f"number {bad[0] + 1} of the {what} is {values[bad[0]]}",
            expected="finite numbers",
            cure="Correct it, or exclude that projection and give any finite number.",
        )


def checked_pixel_size(value: float | None) -> float | None:
    """Return the pixel size, or say what is wrong with it.

    Parameters
    ----------
    value : float or None
        Pixel size [Å].

    Returns
    -------
    float or None
        The same.

    Raises
    ------
    StinrError
        With the value found, the value expected and the cure.
    """
    if value is None:
        return None
    size = float(value)
    if not np.isfinite(size) or size <= 0:
        raise StinrError(
            f"the pixel size is {size:g} Å",
            expected="a positive number of Å",
            cure="Give --pixel-size, in Å (1 nm = 10 Å).",
        )
    return size


def check_axis_offset(offset: float, width: int) -> None:
    """Refuse a rotation axis that lies outside the images.

    Parameters
    ----------
    offset : float
        Its position from the centre [pixel].
    width : int
        Width of the images [pixel].

    Raises
    ------
    StinrError
        With the value found, the value expected and the cure.
    """
    if not np.isfinite(offset) or abs(offset) >= width / 2:
        raise StinrError(
            f"the axis offset is {offset:g} pixels",
            expected=f"less than half the image width of {width} pixels",
            cure="Give the distance of the rotation axis from the centre of the image, and crop images about it.",
        )


def mask_unmeasured(
    projections: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return the stack with NaN as 0, in place if it may be, and the mask without them, None if all count."""
    if mask is not None and mask.shape != projections.shape:
        raise StinrError(
            f"the mask has the shape {mask.shape}",
            expected=f"that of the projections, {projections.shape}",
            cure="Give one True or False for every pixel, or no mask.",
        )
    missing = np.isnan(projections)
    if not missing.any():
        return projections, None if mask is None else np.array(mask, dtype=bool)
    if projections.flags.writeable:
        projections[missing] = 0.0
    else:
        projections = np.where(missing, np.float32(0), projections)
    return projections, ~missing if mask is None else np.asarray(mask, dtype=bool) & ~missing
