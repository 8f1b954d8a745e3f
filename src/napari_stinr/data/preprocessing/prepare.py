"""All that is done to a tilt series before a field is fitted to it, in its order, each with a note that says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.ndimage import uniform_filter

from napari_stinr.data.checks import MINIMUM_TILTS, check_axis_offset, check_shows_something
from napari_stinr.data.margin import EdgeMatter
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.data.preprocessing.axis import AxisDirection
from napari_stinr.data.preprocessing.background import Background
from napari_stinr.data.preprocessing.defects import Defects, ranges
from napari_stinr.data.preprocessing.intensity import Intensity
from napari_stinr.data.white_noise import white_noise
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.config import PreprocessingConfig
    from napari_stinr.data.tilt_series import TiltSeries

TURNED = Note(NoteKind.AXIS, "The tilt axis lies along the rows: the projections were turned by 90 degrees.")
_Pixel = TypeVar("_Pixel", bound=np.generic)

_SMALLEST, _LARGEST = 1e-25, 1e27
"""Largest pixel of a series that can be reconstructed [the unit of the file]."""
_MOST_COUNT = 0.9
"""Part of an image that has to count where its mass is to be known."""


def prepare(series: TiltSeries, config: PreprocessingConfig) -> TiltSeries:
    """Do to a series what the settings ask for, where the data need it.

    Parameters
    ----------
    series : TiltSeries
        As recorded, matter bright.
    config : PreprocessingConfig
        What is to be done.

    Returns
    -------
    TiltSeries
        The same object where nothing had to be done; else with a note for everything that was.

    Raises
    ------
    StinrError
        No projection shows anything, or too few do; or the numbers are beyond single precision.
    """
    _check_size(series)
    check_shows_something(series.projections, series.mask, series.name)
    work = _Work(series)
    if config.blank_images == "mask" or config.bad_pixels == "mask":
        work.mask_defects(blank=config.blank_images == "mask", pixels=config.bad_pixels == "mask")
    work.subtract_background(config)
    if config.intensity == "auto":
        # Before the axis is looked for, which exposures would disturb, and after, as then other edges are the sides.
        work.equalise()
    is_turned = work.turn(config.axis)
    if is_turned and config.intensity == "auto":
        work.equalise()
    # Of a cropped series, this could not be asked before it was known which way the axis lies.
    check_axis_offset(work.series.axis_offset, work.series.width)
    return work.result()


def turned(series: TiltSeries) -> TiltSeries:
    """Return a series whose images are turned by 90 degrees, so that what pointed right points down.

    Parameters
    ----------
    series : TiltSeries
        Projections whose tilt axis lies along the rows.

    Returns
    -------
    TiltSeries
        With a vertical axis and a note: a positive tilt about the old axis is one about the new.
    """
    mask = None if series.mask is None else _turned(series.mask)
    offset = series.axis_offset if series.turned_axis_offset is None else series.turned_axis_offset
    return replace(
        series,
        projections=_final(_turned(series.projections)),
        mask=mask,
        axis_offset=offset,
        turned_axis_offset=None,
        notes=(*series.notes, TURNED),
    )


def _turned(stack: NDArray[_Pixel]) -> NDArray[_Pixel]:
    return np.ascontiguousarray(np.rot90(stack, k=-1, axes=(1, 2)))


def _final(projections: NDArray[np.float32]) -> NDArray[np.float32]:
    """Nobody writes to them any more, so that the series need not copy them."""
    projections.setflags(write=False)
    return projections


def _mass(image: NDArray[np.float32], counts: NDArray[np.bool_] | None) -> float:
    """Sum of an image, bad pixels as their surroundings; NaN where there are many."""
    if counts is None or counts.all():
        return float(image.sum(dtype=np.float64))
    if counts.mean() < _MOST_COUNT:
        return np.nan
    bad = ~counts
    share = uniform_filter(counts.astype(np.float32), 5, mode="constant")
    around = uniform_filter(np.where(counts, image, np.float32(0)), 5, mode="constant")
    filled = around[bad] / np.maximum(share[bad], 1e-6)
    return float(image[counts].sum(dtype=np.float64) + filled.sum(dtype=np.float64))


def _check_size(series: TiltSeries) -> None:
    """Refuse numbers whose products with small weights single precision does not hold."""
    largest = max(float(np.abs(image).max()) for image in series.projections)
    if largest and not _SMALLEST <= largest <= _LARGEST:
        raise StinrError(
            f"the largest pixel of {series.name} is {largest:.3g}",
            expected=f"between {_SMALLEST:g} and {_LARGEST:g}, as single precision holds them",
            cure="Rescale the projections.",
        )


def _check_enough(blank: NDArray[np.bool_], used: NDArray[np.bool_]) -> None:
    """Refuse a series of which too few projections show anything."""
    left = int((used & ~blank).sum())
    if left < MINIMUM_TILTS:
        raise StinrError(
            f"{int(blank.sum())} of {len(blank)} projections are blank ({ranges(np.flatnonzero(blank))})",
            expected=f"at least {MINIMUM_TILTS} that show the specimen",
            cure="Give more projections, or set preprocessing.blank_images to keep.",
        )


def _pixels_text(found: Defects) -> str:
    kinds = [
        (found.n_hot, "pixel(s) that are hot in all images"),
        (found.n_dead, "dead pixel(s), which never change"),
        (found.n_spikes, "outlier(s): single pixels far above or below the rest of their image"),
        (found.n_saturated, "saturated pixel(s), at the one highest value of several images"),
    ]
    parts = [f"{number} {what}" for number, what in kinds if number]
    if found.cut:
        n_pixels, which = sum(found.cut.values()), ranges(sorted(found.cut))
        parts.append(f"{n_pixels} pixel(s) at edges that were not written or not measured, in images {which} (from 0)")
    return f"Left out: {', '.join(parts)}."


@dataclass
class _Work:
    """A series in progress; the stack is copied once, when the first thing has to be changed."""

    series: TiltSeries

    def __post_init__(self) -> None:
        self._notes: list[Note] = []
        self._projections: NDArray[np.float32] | None = None
        self._mask: NDArray[np.bool_] | None = None
        self._background: Background | None = None

    @property
    def projections(self) -> NDArray[np.float32]:
        return self.series.projections if self._projections is None else self._projections

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        return self.series.mask if self._mask is None else self._mask

    def result(self) -> TiltSeries:
        """Return the series with what was done, the same object where nothing was."""
        changes: dict[str, object] = {}
        if self._projections is not None:
            changes["projections"] = _final(self._projections)
        if self._mask is not None:
            changes["mask"] = self._mask
        if not changes and not self._notes:
            return self.series
        return replace(self.series, **changes, notes=(*self.series.notes, *self._notes))  # type: ignore[arg-type]

    def mask_defects(self, *, blank: bool, pixels: bool) -> None:
        """Leave out images and pixels that show nothing."""
        found = Defects.of(self.projections, self.mask, self.series.times)
        bad = np.zeros(self.projections.shape, dtype=bool) if pixels and found.pixels is not None else None
        if bad is not None and found.pixels is not None:
            bad |= found.pixels
            self._say(NoteKind.DEFECTS, _pixels_text(found))
        if blank and found.blank.any():
            bad = np.zeros(self.projections.shape, dtype=bool) if bad is None else bad
            bad[found.blank] = True
            _check_enough(found.blank, self.series.used)
            n, which = int(found.blank.sum()), ranges(np.flatnonzero(found.blank))
            self._say(NoteKind.DEFECTS, f"{n} blank image(s), with next to no signal, left out: {which} (from 0).")
        if bad is not None:
            self._mask = ~bad if self.mask is None else self.mask & ~bad

    def subtract_background(self, config: PreprocessingConfig) -> None:
        """Subtract the level beside the specimen, or say why not."""
        if config.background_level is not None:
            self._subtract(np.full(len(self.projections), config.background_level), "as given")
            return
        if config.background == "off":
            return
        self._background = found = Background.of(self.projections, self.mask)
        if config.background == "each" and found.is_known:
            self._subtract(found.each, "one for every projection")
        elif found.is_bright(self.projections, self.mask):
            self._say(NoteKind.BACKGROUND, "What is empty is brighter than the specimen, so no background was "
                      "subtracted: if matter is dark in these projections, invert the contrast.")  # fmt: skip
        elif found.is_common:
            if found.common:
                self._subtract(np.full(len(self.projections), found.common), "found in the empty parts")
        else:
            self._say_unknown(found)

    def turn(self, axis: str) -> bool:
        """Turn the images where the axis lies along the rows; tell whether it was done."""
        direction = None
        if axis == "auto":
            direction = AxisDirection.of(self._seen(), self._angles())
        if axis == "horizontal" or (direction is not None and direction.is_horizontal):
            self.series = turned(self.result())
            self._notes, self._projections, self._mask = [], None, None
            return True
        if direction is not None and direction.is_doubtful:
            self._say(NoteKind.AXIS, "The tilt axis may lie along the rows (horizontal): it is taken as vertical. "
                      "Give --axis horizontal if the volume looks smeared.")  # fmt: skip
        return False

    def equalise(self) -> None:
        """Divide gain and exposures out, where all projections show all matter."""
        if EdgeMatter.of(self.projections, mask=self.mask).n_reaching:
            return  # what is in the view changes with the tilt
        found = Intensity.of(*self._masses(), self.series.tilt_angles, self.series.times)
        if (found.gains == 1).all():
            return
        projections = self._writable()
        projections /= found.gains[:, None, None].astype(np.float32)
        if found.follows_tilt:
            self._say(NoteKind.INTENSITY, "The exposures follow 1/cos of the tilt angle: divided out.")
        if found.scatter:
            self._say(NoteKind.INTENSITY, f"The intensity (gain) of single projections varies by {found.scatter:.1%} "
                      "beside what changes slowly: divided out.")  # fmt: skip

    def _subtract(self, levels: NDArray[np.float64], how: str) -> None:
        if not levels.any():
            return
        self._writable()[...] -= levels.astype(np.float32)[:, None, None]
        level, height = float(np.median(levels)), 0.0 if self._background is None else self._background.height
        part = f" ({level / height:.1%} of the height of the specimen)" if height else ""
        self._say(NoteKind.BACKGROUND, f"Background of {level:.6g}{part} subtracted, {how}.")

    def _say_unknown(self, found: Background) -> None:
        if found.is_missed:
            self._say(
                NoteKind.BACKGROUND,
                f"No part of the projections is clearly empty, and none is darker than {found.lowest:.6g}: no "
                "background was subtracted. Give --background LEVEL if it is known.",
            )

    def _seen(self) -> NDArray[np.float32]:
        if self.mask is None:
            return self.projections
        return np.where(self.mask, self.projections, np.float32(np.nan))

    def _angles(self) -> NDArray[np.float64]:
        angles = self.series.tilt_angles
        return angles if self.mask is None else np.where(self.mask.any(axis=(1, 2)), angles, np.nan)

    def _masses(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`(n_tilts,)` sum of every projection, NaN where much of it is not known, and what noise does to it."""
        masks = [None] * len(self.projections) if self.mask is None else self.mask
        found = [
            (_mass(image, counts), white_noise(image) * np.sqrt(image.size))
            for image, counts in zip(self.projections, masks, strict=True)
        ]
        masses, errors = np.array(found).T
        return masses, errors

    def _writable(self) -> NDArray[np.float32]:
        if self._projections is None:
            self._projections = self.series.projections.copy()
        return self._projections

    def _say(self, kind: NoteKind, text: str) -> None:
        self._notes.append(Note(kind, text))
