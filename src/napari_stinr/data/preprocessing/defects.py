"""Images and pixels that show nothing of the specimen: beam off, half written, saturated, hot and dead pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.white_noise import white_noise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_BLANK = 0.1
"""Signal below which an image is blank, as a part of that of its neighbours in time."""
_NEIGHBOURS = 4
_ERRORS = 3.0
_SEEN = 31
"""Projections that tell which pixels are always hot or dead."""
_SHARP = 8.0
"""How far a hot pixel rises above what lies around, in units of its third most different neighbour: an atom is wider,
unless its deviation is below half a pixel."""
_DEVIATIONS = 12.0
_NOTHING = 1e-6
_HIGH = 2.0
"""How far a pixel that is hot once rises above the brightest of a typical image."""
_CUT = 2
"""Fewer rows than this are no half-written image."""
_ALIVE = 0.1
"""Variation of the neighbours of a dead pixel, as a part of that of pixels that see the specimen."""
_CHANGES = 0.5
"""In how many of the projections neighbours of a dead pixel change at least."""
_FULL = 1e-4
"""Part of an image that is saturated at least, and how much rarer the values just below the highest are."""
_FEWER = 1 / 3
_JUST_BELOW = 0.02


@dataclass(frozen=True, eq=False)
class Defects:
    """Where projections show nothing of the specimen.

    Parameters
    ----------
    blank : ndarray
        `(n_tilts,)` bool, True where the beam was off, or there is nothing in an image.
    cut : dict of int to int
        Pixels in rows or columns at an edge of an image that were not written, by its position in the stack.
    pixels : ndarray or None
        `(n_tilts, height, width)` bool, True where a pixel is bad in an image that is not blank; None for none.
    n_hot, n_dead, n_spikes, n_saturated : int
        Detector pixels that are always too bright and always the same; pixels that are too bright or dark in one image;
        pixels at the upper end of what the detector counts.
    """

    blank: NDArray[np.bool_]
    cut: dict[int, int]
    pixels: NDArray[np.bool_] | None
    n_hot: int = 0
    n_dead: int = 0
    n_spikes: int = 0
    n_saturated: int = 0

    @classmethod
    def of(
        cls, projections: NDArray[np.float32], mask: NDArray[np.bool_] | None, times: NDArray[np.float64]
    ) -> Defects:
        """Look for them.

        Parameters
        ----------
        projections : ndarray
            `(n_tilts, height, width)` projections [the unit of the file].
        mask : ndarray or None
            `(n_tilts, height, width)` bool, True where a pixel counts.
        times : ndarray
            `(n_tilts,)` when each was recorded [any unit].

        Returns
        -------
        Defects
            What was found.
        """
        used = _used(projections, mask)
        bad = _Bad(projections.shape)
        hot, dead = _always(projections if used.all() else projections[used])
        for k in map(int, np.flatnonzero(used)):
            bad.add(k, hot | dead)
        blank = _blank(projections, used, np.argsort(times, kind="stable"), hot | dead)
        seen = np.flatnonzero(used & ~blank)
        n_spikes = _add_spikes(bad, projections, seen)
        n_saturated = _add_saturated(bad, projections, seen)
        cut = _cut_lines(projections, seen)
        for image, pixels in cut.items():
            bad.add(image, pixels)
        return cls(
            blank,
            {k: int(pixels.sum()) for k, pixels in cut.items()},
            bad.pixels,
            n_hot=int(hot.sum()),
            n_dead=int(dead.sum()),
            n_spikes=n_spikes,
            n_saturated=n_saturated,
        )


def blank_projections(
    projections: NDArray[np.float32], mask: NDArray[np.bool_] | None, times: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which projections show nothing, without a look at what else may be wrong with them.

    Parameters
    ----------
    projections, mask, times
        As for :meth:`Defects.of`.

    Returns
    -------
    ndarray
        `(n_tilts,)` bool, as :attr:`Defects.blank`.
    """
    used = _used(projections, mask)
    hot, dead = _always(projections if used.all() else projections[used])
    return _blank(projections, used, np.argsort(times, kind="stable"), hot | dead)


def _used(projections: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """`(n_tilts,)` projections with a pixel that counts."""
    return np.ones(len(projections), dtype=bool) if mask is None else np.asarray(mask.any(axis=(1, 2)))


class _Bad:
    """Bad pixels, for which there is memory where there are any."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self.pixels: NDArray[np.bool_] | None = None

    def add(self, index: int, pixels: NDArray[np.bool_]) -> None:
        """Add `(height, width)` pixels of one image."""
        if not pixels.any():
            return
        if self.pixels is None:
            self.pixels = np.zeros(self._shape, dtype=bool)
        self.pixels[index] |= pixels


def _blank(
    projections: NDArray[np.float32], used: NDArray[np.bool_], in_time: NDArray[np.int64], bad: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """`(n_tilts,)` where an image has far less signal than its neighbours in time."""
    signal, errors = np.array(
        [_signal(np.where(bad, np.median(image), image) if bad.any() else image) for image in projections]
    ).T
    order = [k for k in in_time if used[k]]
    typical = float(np.median(signal[order]))
    blank = np.zeros(len(projections), dtype=bool)
    if typical < _ERRORS * float(np.median(errors[order])):
        return blank
    for place, k in enumerate(order):
        near = order[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS + 1]
        # Contamination may be far more than the specimen: then all of the first images have little signal.
        blank[k] = signal[k] < _BLANK * min(typical, float(np.median(signal[near])))
    # Of more than half, these would be the typical ones.
    return blank if not blank[order].all() else np.zeros_like(blank)


def _signal(image: NDArray[np.float32]) -> tuple[float, float]:
    """Return the standard deviation of an image without its white noise, and what is none."""
    variance, noise = float(image.var(dtype=np.float64)), white_noise(image)
    # The variance of n normal deviates is known to a part of sqrt(2 / n).
    return float(np.sqrt(max(variance - noise**2, 0.0))), noise * (2 / image.size) ** 0.25


def _always(projections: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """`(height, width)` pixels that are too bright in all images, and that never change while their neighbours do."""
    some = projections[:: max(1, len(projections) // _SEEN)]
    typical = np.median(some, axis=0)
    base = np.median(_ring(typical, 2), axis=0)
    difference = typical - base
    third = np.sort(np.abs(_ring(typical, 1) - base), axis=0)[-3]
    deviation = 1.4826 * float(np.median(np.abs(difference - np.median(difference))))
    steep = np.abs(difference) > _SHARP * third
    # Beside a pixel that is much too bright, nothing is.
    high = 0.5 * float(np.quantile(typical, 0.99) - typical.min())
    outlying = np.abs(difference) > max(_DEVIATIONS * deviation, high)
    hot = steep & outlying
    if hot.any() and not np.ptp(typical[~hot]) > _NOTHING * np.abs(difference[hot]).max():
        hot[:] = False  # a specimen of single pixels
    variation = np.ptp(some, axis=0)
    # Where counts are rare, most pixels show 0 most of the time.
    changes = (some[1:] != some[:-1]).mean(axis=0)
    alive = _ring(np.where(variation > _ALIVE * np.quantile(variation, 0.9), changes, 0), 1).min(axis=0) > _CHANGES
    dead = (variation == 0) & alive & ~hot
    return hot, dead & (np.ptp(projections, axis=0) == 0) if dead.any() else dead


def _ring(image: NDArray[np.floating], radius: int) -> NDArray[np.floating]:
    """`(8 radius, height, width)` pixels of the square about every pixel; beyond the edge as mirrored at it."""
    padded = np.pad(image, radius, mode="symmetric")
    height, width = image.shape
    return np.stack([padded[dy : dy + height, dx : dx + width] for dy, dx in radius + _square(radius)])


def _square(radius: int) -> NDArray[np.int64]:
    """`(8 radius, 2)` steps in y and x to the pixels of a square."""
    steps = np.argwhere(np.ones((2 * radius + 1,) * 2)) - radius
    chosen: NDArray[np.int64] = steps[np.abs(steps).max(axis=1) == radius]
    return chosen


def _add_spikes(bad: _Bad, projections: NDArray[np.float32], seen: NDArray[np.int64]) -> int:
    """Add pixels that stand out of one image alone, by a cosmic ray or a lost bit."""
    known = bad.pixels
    highest = [_limits(projections[k], None if known is None else known[k]) for k in seen]
    low, high = (float(np.median(values)) for values in np.array(highest).reshape(-1, 2).T)
    n_spikes = 0
    for k in seen:
        image = projections[k]
        outlying = (image - high > (_HIGH - 1) * (high - low)) | (low - image > (_HIGH - 1) * (high - low))
        if known is not None:
            outlying &= ~known[k]
        if not outlying.any():
            continue
        spikes = np.zeros_like(outlying)
        for y, x in np.argwhere(outlying):
            spikes[y, x] = _stands_alone(image, y, x)
        bad.add(k, spikes)
        n_spikes += int(spikes.sum())
    return n_spikes


def _limits(image: NDArray[np.float32], known: NDArray[np.bool_] | None) -> tuple[float, float]:
    values = image if known is None or known.all() else image[~known]
    return float(values.min()), float(values.max())


def _stands_alone(image: NDArray[np.float32], y: int, x: int) -> bool:
    """Whether a pixel is steeper than an atom can be: compared with its third most different neighbour."""

    def around(radius: int) -> NDArray[np.float64]:
        places = np.array([y, x]) + _square(radius)
        places = places[((places >= 0) & (places < image.shape)).all(axis=1)]
        values: NDArray[np.float64] = image[tuple(places.T)].astype(np.float64)
        return values

    base = float(np.median(around(2) if min(image.shape) > 2 else image))
    differences = np.sort(np.abs(around(1) - base))
    third = differences[max(0, len(differences) - 3)] if len(differences) else 0.0
    return bool(abs(float(image[y, x]) - base) > _SHARP * third)


def _add_saturated(bad: _Bad, projections: NDArray[np.float32], seen: NDArray[np.int64]) -> int:
    """Add pixels at the one highest value of several images, where it is more frequent than the values below."""
    if not len(seen):
        return 0
    known = bad.pixels
    good = {int(k): projections[k] if known is None else projections[k][~known[k]] for k in seen}
    top = max((float(values.max()) for values in good.values() if values.size), default=0.0)
    full = [(k, projections[k] == top) for k, values in good.items() if values.size and values.max() == top]
    full = [(k, pixels if known is None else pixels & ~known[k]) for k, pixels in full]
    # Where nothing else is to be seen, that is the specimen.
    full = [(k, pixels) for k, pixels in full if _varies(projections[k][~pixels])]
    numbers = [int(pixels.sum()) for _, pixels in full]
    if len(full) < 2 or sum(numbers) < max(10, _FULL * projections[0].size):
        return 0
    below = top - _JUST_BELOW * (top - min(float(values.min()) for values in good.values() if values.size))
    n_below = sum(int(((projections[k] >= below) & ~pixels).sum()) for k, pixels in full)
    if n_below > _FEWER * sum(numbers):
        return 0
    for k, pixels in full:
        bad.add(k, pixels)
    return sum(numbers)


def _varies(values: NDArray[np.float32]) -> bool:
    return values.size > 0 and bool(values.max() > values.min())


def _cut_lines(projections: NDArray[np.float32], seen: NDArray[np.int64]) -> dict[int, NDArray[np.bool_]]:
    """`(height, width)` rows and columns at an edge of an image that hold one number, while they hold more in most."""
    cut: dict[int, NDArray[np.bool_]] = {}
    for axis in (1, 2):
        constant = np.ptp(projections[seen], axis=axis) == 0 if len(seen) else np.zeros((0, 0), dtype=bool)
        usually = constant.mean(axis=0) > 0.5 if len(seen) else np.zeros(0, dtype=bool)
        for k, flags in zip(map(int, seen), constant & ~usually, strict=True):
            lines = _at_the_ends(projections[k].take(0, axis=axis - 1), flags)
            if lines.any():
                pixels = lines[:, None] if axis == 2 else lines[None]
                cut[k] = cut.get(k, np.zeros(projections[k].shape, dtype=bool)) | pixels
    return cut


def _at_the_ends(values: NDArray[np.float32], constant: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(n,)` lines at both ends of an image that are constant and equal, where there are enough of them."""
    found = np.zeros(len(constant), dtype=bool)
    for step in (1, -1):
        flags = constant[::step] & (values[::step] == values[::step][0])
        n_lines = len(flags) if flags.all() else int(np.argmin(flags))
        if n_lines >= _CUT:
            found[::step][:n_lines] = True
    return found


def ranges(positions: Iterable[int]) -> str:
    """Return positions in the stack as a person writes them: ``3, 7-9``, at most six groups."""
    groups: list[list[int]] = []
    for position in positions:
        if groups and int(position) == groups[-1][1] + 1:
            groups[-1][1] = int(position)
        else:
            groups.append([int(position)] * 2)
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in groups]
    return ", ".join(texts[:6]) + (f" and {len(texts) - 6} more" if len(texts) > 6 else "")
