"""How volumes lie in an OME-Zarr: resolution levels, blocks, axes and what the metadata says of them.

A file of the store (a shard) holds a block of rows of one volume, whole along z and x: that is what a field is sampled
in, so that each is written once and no more than one must be in memory. Inside, it is cut into slabs along z (chunks):
a slice that somebody looks at is read alone. Every coarser level averages blocks of 2 x 2 x 2 voxels of the one before.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.units import in_angstrom

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from yaozarrs.v05 import Image

PROGRAM = "napari-stinr"
ATTRIBUTES = "stinr"
"""Name of what this program says of a store beyond OME-Zarr."""
_SHARD_BYTES = 2**26
_CHUNK_BYTES = 2**20
_COARSEST = 128
"""Levels are added until no axis is longer [voxels]: a volume of this size is shown in a moment."""
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "second"),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), "millisecond"),
    **dict.fromkeys(("min", "minute", "minutes"), "minute"),
    **dict.fromkeys(("h", "hour", "hours"), "hour"),
}
"""Times as this program names them, and as OME does; it has none for a dose."""
_EVEN = 1e-6
"""Times whose gaps differ by less than this part of the whole are evenly spaced."""
_SHOWN = (0.001, 0.999)
"""Parts of the voxels that are black and not white."""


@dataclass(frozen=True)
class Level:
    """One resolution: voxels (z, y, x), those of a chunk and of a shard, and where they are by voxels of the finest."""

    shape: tuple[int, int, int]
    chunk: tuple[int, int, int]
    shard: tuple[int, int, int]
    factors: tuple[int, int, int]

    @property
    def offsets(self) -> tuple[float, float, float]:
        """Centre (z, y, x) of the first voxel from that of the finest level [voxels of that]."""
        z, y, x = ((factor - 1) / 2 for factor in self.factors)
        return z, y, x


@dataclass(frozen=True)
class StoreLayout:
    """Volumes of one size at one or several times.

    Parameters
    ----------
    shape : tuple of int
        Voxels (z, y, x).
    voxel_size : float
        Edge of a voxel [length_unit].
    length_unit : str
        ``"Å"``, ``"nm"``, ``"µm"``, ..., or ``"pixel"`` where the size is not known.
    times : tuple of float
        Time of every volume; a single one has no time axis [t].
    time_range : tuple of float
        Times that t = 0 and t = 1 stand for [time_unit].
    time_unit : str
        Unit of `time_range`; "" for a bare order of acquisition.
    """

    shape: tuple[int, int, int]
    voxel_size: float
    length_unit: str = "Å"
    times: tuple[float, ...] = (0.0,)
    time_range: tuple[float, float] = (0.0, 1.0)
    time_unit: str = ""

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or len(self.times) < 1:
            raise StinrError(
                f"{len(self.times)} volumes of the shape {self.shape}",
                expected="(t, z, y, x), none of them 0",
                cure="Give at least one time and three lengths.",
            )
        in_angstrom(self.voxel_size, self.length_unit)

    @property
    def has_time(self) -> bool:
        """Whether there are several volumes, on an axis t."""
        return len(self.times) > 1

    @property
    def levels(self) -> tuple[Level, ...]:
        """Resolution levels, the finest first; two at least where there is more than one voxel."""
        sizes, scales = [self.shape], [(1, 1, 1)]
        while (len(sizes) < 2 or max(sizes[-1]) > _COARSEST) and max(sizes[-1]) > 1:
            longer = [n > 1 for n in sizes[-1]]
            sizes.append(_triple(-(-n // 2) for n in sizes[-1]))
            scales.append(_triple(2 * k if is_halved else k for k, is_halved in zip(scales[-1], longer, strict=True)))
        depth, height, width = self.shape
        # A row of a block must not be halved away, nor one coarse row come from two blocks.
        rows = max(_power_of_two(_SHARD_BYTES // (4 * depth * width)), 2 ** (len(sizes) - 1))
        rows = min(rows, _covering(height))
        levels = enumerate(zip(sizes, scales, strict=True))
        return tuple(_level(size, scale, max(1, rows >> number)) for number, (size, scale) in levels)

    @property
    def blocks(self) -> tuple[slice, ...]:
        """Rows that are written together, all of them in turn."""
        height, rows = self.shape[1], self.levels[0].shard[1]
        return tuple(slice(start, min(start + rows, height)) for start in range(0, height, rows))

    @property
    def voxel_size_in_angstrom(self) -> float | None:
        """Edge of a voxel [Å]; None where it is not known."""
        return in_angstrom(self.voxel_size, self.length_unit)

    def array_shape(self, level: Level) -> tuple[int, ...]:
        """Return the shape of the array of a level, (t, z, y, x) or (z, y, x)."""
        return (len(self.times), *level.shape) if self.has_time else level.shape


def halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the averages of blocks of 2 x 2 x 2 voxels; where an end of an odd axis has no partner, it stays."""
    for axis in range(values.ndim):
        first, second = (values[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
        mean = first.copy()
        paired = mean[(slice(None),) * axis + (slice(second.shape[axis]),)]
        paired += second
        paired *= np.float32(0.5)
        values = mean
    return values


def image_of(layout: StoreLayout, name: str, *, window: tuple[float, float, float, float] | None = None) -> Image:
    """Return the metadata of OME-Zarr 0.5.

    Parameters
    ----------
    layout : StoreLayout
        The volumes.
    name : str
        Name of the image.
    window : tuple of float, optional
        Values that are black and white, lowest and highest value [V].

    Returns
    -------
    Image
        Checked by the library that it comes from.
    """
    from yaozarrs import v05

    size = layout.voxel_size_in_angstrom
    edge, unit = (layout.voxel_size, None) if size is None else (float(f"{size:.12g}"), "angstrom")
    spacing, start, time_unit = _time_axis(layout)
    axes: list[Any] = [v05.TimeAxis(name="t", unit=time_unit)] if layout.has_time else []
    axes += [v05.SpaceAxis(name=axis, unit=unit) for axis in "zyx"]
    datasets = []
    for number, level in enumerate(layout.levels):
        scale = [*([spacing] if layout.has_time else []), *(edge * factor for factor in level.factors)]
        offset = [*([start] if layout.has_time else []), *(edge * offset for offset in level.offsets)]
        transforms = [v05.ScaleTransformation(scale=scale), v05.TranslationTransformation(translation=offset)]
        datasets.append(v05.Dataset(path=str(number), coordinateTransformations=transforms))
    multiscale = v05.Multiscale(name=name, axes=axes, datasets=datasets, type="mean")
    return v05.Image(multiscales=[multiscale], omero=None if window is None else _omero(window))


def shown_range(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the values that are black and white [V], never the same; NaN and infinite ones do not count."""
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, _SHOWN) if finite.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1.0)


def _omero(window: tuple[float, float, float, float]) -> Any:
    from yaozarrs import v05

    start, end, low, high = window
    channel = v05.OmeroChannel(
        window=v05.OmeroWindow(start=start, end=end, min=low, max=high), label="potential", color="FFFFFF", active=True
    )
    return v05.Omero(channels=[channel], rdefs=v05.OmeroRenderingDefs(model="greyscale"))


def _time_axis(layout: StoreLayout) -> tuple[float, float, str | None]:
    """Return spacing and start of the axis t and OME's name of their unit: None for t itself, or bare numbers."""
    times = np.asarray(layout.times, dtype=np.float64)
    first, last = layout.time_range
    unit = _SECONDS.get(layout.time_unit.strip().lower())
    if unit is not None and last > first:
        times = first + times * (last - first)
    else:
        unit = None
    if not is_even(times.tolist()):
        # The transforms of OME-Zarr are linear: they count the volumes then, and the attributes tell the times.
        return 1.0, 0.0, None
    return float(times[-1] - times[0]) / max(1, len(times) - 1), float(times[0]), unit


def is_even(times: Sequence[float]) -> bool:
    """Return whether times ascend by equal steps."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    return bool(gaps) and min(gaps) > 0 and max(gaps) - min(gaps) <= _EVEN * (times[-1] - times[0])


def _level(shape: tuple[int, int, int], factors: tuple[int, int, int], rows: int) -> Level:
    depth, _, width = shape
    slab = min(_power_of_two(_CHUNK_BYTES // (4 * rows * width)), _covering(depth))
    return Level(shape, (slab, rows, width), (-(-depth // slab) * slab, rows, width), factors)


def _triple(numbers: Iterable[int]) -> tuple[int, int, int]:
    z, y, x = numbers
    return z, y, x


def _power_of_two(n: int) -> int:
    """Return the largest power of two up to a number, 1 at least."""
    return 1 << (max(n, 1).bit_length() - 1)


def _covering(n: int) -> int:
    """Return the smallest power of two that is no less than a number."""
    return 1 << (n - 1).bit_length()
