"""Read a tilt series from the files that microscopes and other programs write.

A format is one function ``(path) -> Stack`` and one entry in :data:`napari_stinr.io.formats.registry.READERS`. Angles,
times and pixel size are found by :mod:`napari_stinr.io.series.discovery`; here the pixels are read, image by image, and
binned on the way, so that a stack larger than the memory can be opened.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.data.preprocessing.contrast import invert_contrast as inverted
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import checked_images
from napari_stinr.io.formats.limits import check_memory
from napari_stinr.io.series.discovery import find_series

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from napari_stinr.io.series.found import FoundSeries

logger = logging.getLogger(__name__)


def read_tilt_series(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    tilt_angles: str | os.PathLike[str] | ArrayLike | None = None,
    times: str | os.PathLike[str] | ArrayLike | None = None,
    pixel_size: float | None = None,
    flip_tilt: bool = False,
    axis_offset: float = 0.0,
    exclude: Iterable[int] = (),
    binning: int = 1,
    invert_contrast: bool = False,
    crop: tuple[int, int, int, int] | None = None,
) -> TiltSeries:
    """Read a tilt series with its tilt angles, times and pixel size.

    Parameters
    ----------
    path : str, path-like or sequence of these
        A stack: MRC (``.mrc .mrcs .st .ali .preali``), TIFF (plain, ImageJ or OME; the first axis is the tilt), DM3 and
        DM4, HDF5 (EMD of Velox, Berkeley and tomviz, Data Exchange, NXtomo), ``.mat``, ``.npz``, ``.npy``; or a folder
        or several files with one tilt each; or an ``.mdoc`` with its images beside it. Files of one series may come in
        any order: they are sorted by the dates or doses in them, else by their names.
    tilt_angles : str, path-like or array_like, optional
        `(n_tilts,)` tilt angles [degrees], a file with them, or ``"START:STEP"``. Default: a file beside the stack
        (``.rawtlt``, ``.tlt``, ``.mdoc``, ...), else the header. For several files, an array belongs to them as they
        are listed in `path`, a file or range as they are sorted by name.
    times : str, path-like or array_like, optional
        `(n_tilts,)` times in any unit, a file with them (header ``tilt_angle_deg,time`` or one number a line), or the
        acquisition order: ``"sequential"``, ``"bidirectional"``, ``"dose-symmetric"``, ``"interleaved"``. Default: a
        table beside the stack (``times.csv``, ...), else DateTime or PriorRecordDose of its ``.mdoc``, else the header,
        else stack order, with a warning.
    pixel_size : float, optional
        Width of a detector pixel [Å]. Default: from the header.
    flip_tilt : bool
        Use the opposite handedness of the tilt.
    axis_offset : float
        Position of the rotation axis relative to the centre of the image [pixel of the file].
    exclude : iterable of int
        Positions of projections to leave out, from 0.
    binning : int
        Edge of the squares of pixels whose mean becomes one pixel [pixel of the file].
    invert_contrast : bool
        Matter is dark in the projections: turn them round, see `invert_contrast`.
    crop : tuple of int, optional
        Rows and columns of every image that are read: (top, bottom, left, right), from 0, `bottom` and `right` left out
        [pixel of the file]. The axis offset is that of the whole image.

    Returns
    -------
    TiltSeries
        Checked data; `notes` says where angles, times and pixel size come from and what was changed or assumed.

    Raises
    ------
    StinrError
        The file is missing, damaged or of another kind, there are no tilt angles, the lists do not fit the stack, or
        the binning is too large, or the crop is not within the images.
    """
    found = find_series(path, tilt_angles=tilt_angles, times=times, pixel_size=pixel_size)
    if found.times.assumed:
        logger.warning("%s: %s", found.name, found.times.note)
    return load_series(
        found,
        flip_tilt=flip_tilt,
        axis_offset=axis_offset,
        exclude=exclude,
        binning=binning,
        invert_contrast=invert_contrast,
        crop=None if crop is None else Crop(*crop),
    )


def load_series(
    found: FoundSeries,
    *,
    flip_tilt: bool = False,
    axis_offset: float = 0.0,
    exclude: Iterable[int] = (),
    binning: int = 1,
    invert_contrast: bool = False,
    crop: Crop | None = None,
    pixels: tuple[NDArray[np.float32], NDArray[np.bool_] | None] | None = None,
) -> TiltSeries:
    """Read the pixels of a series that was found.

    Parameters
    ----------
    found : FoundSeries
        From :func:`~napari_stinr.io.series.discovery.find_series`.
    flip_tilt, axis_offset, exclude, binning, invert_contrast
        As for :func:`read_tilt_series`.
    crop : Crop, optional
        Part of every image that is read.
    pixels : tuple, optional
        What :func:`read_projections` gives with this binning and crop, where it was read before: not read or copied
        again.

    Returns
    -------
    TiltSeries
        Checked data.

    Raises
    ------
    StinrError
        Tilt angles are missing or do not fit, a file is damaged or has changed since the series was found, or the
        memory does not suffice.
    """
    if isinstance(found.tilt_angles, StinrError):
        raise found.tilt_angles
    height, width = found.stack.images.shape[1:]
    if crop is not None:
        crop.check(height, width)
    way = Binning.of(*((height, width) if crop is None else crop.shape), binning)
    projections, mask = read_projections(found, way, crop) if pixels is None else pixels
    turned = None if crop is None else way.turned_axis_offset(crop.turned_axis_offset(axis_offset, height))
    series = TiltSeries(
        projections,
        found.tilt_angles.values,
        found.times.values,
        pixel_size=None if found.pixel_size is None else found.pixel_size * binning,
        mask=mask,
        axis_offset=way.axis_offset(axis_offset if crop is None else crop.axis_offset(axis_offset, width)),
        turned_axis_offset=turned,
        flip_tilt=flip_tilt,
        name=found.name,
        time_unit=found.times.unit,
        notes=(*found.notes, *(() if crop is None else (crop.note,)), *way.notes),
    )
    excluded = list(exclude)
    series = series.exclude(excluded) if excluded else series
    return inverted(series) if invert_contrast else series


def read_projections(
    found: FoundSeries, way: Binning, crop: Crop | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Read, crop and bin the images of a series one after the other.

    Parameters
    ----------
    found : FoundSeries
        The series.
    way : Binning
        How its images, or the parts of them, are binned.
    crop : Crop, optional
        Part of every image that is read; all of it by default.

    Returns
    -------
    projections : ndarray
        `(n_tilts, height, width)` float32 that nobody can write to, so that it need not be copied [the unit of the
        file].
    mask : ndarray or None
        `(n_tilts, height, width)` bool, False where nothing was measured; None where everything was.

    Raises
    ------
    StinrError
        A file is damaged or has changed since its header was read, or the memory does not suffice.
    """
    images, path = found.stack.images, found.path
    _check_unchanged(found)
    check_mask(found)
    height, width = way.shape
    # Beside the stack itself: one image as it is, and in double precision while it is binned.
    needed = 4 * len(images) * height * width + 16 * way.height * way.width
    check_memory(needed, path, shape=images.shape)
    projections = np.empty((len(images), height, width), dtype=np.float32)
    mask: NDArray[np.bool_] | None = None
    for k, image in enumerate(checked_images(images, path)):
        values = np.asarray(image)
        counts = None if found.stack.mask is None else found.stack.mask[k]
        if crop is not None:
            values, counts = crop.image(values), None if counts is None else crop.image(counts)
        if values.dtype.kind == "f" and (missing := np.isnan(values)).any():
            values = np.where(missing, 0, values)
            counts = ~missing if counts is None else counts & ~missing
        with np.errstate(over="ignore", invalid="ignore"):
            projections[k], counting = way.image(values, counts)
        # Infinite pixels of the file itself are said later.
        if values.dtype.itemsize > 4 and np.isinf(projections[k]).any() and np.isfinite(values).all():
            raise beyond_single_precision(path, float(np.abs(values).max()))
        if counting is not None and mask is None:
            mask = np.ones(projections.shape, dtype=bool)
        if mask is not None and counting is not None:
            mask[k] = counting
    # While they were read, too: new pixels must not come with the angles of the old ones.
    _check_unchanged(found)
    projections.setflags(write=False)
    return projections, mask


def beyond_single_precision(path: Path, largest: float) -> StinrError:
    """Return the error for a file whose largest pixel no float32 holds."""
    return StinrError(
        f"{path.name} holds numbers beyond single precision, up to {largest:.3g}",
        expected="at most 3.4e38",
        cure="Rescale the projections.",
    )


def check_mask(found: FoundSeries) -> None:
    """Refuse a mask that is not that of the projections."""
    mask, shape = found.stack.mask, found.stack.images.shape
    if mask is not None and mask.shape != shape:
        raise StinrError(
            f"{found.path.name} has a mask of the shape {mask.shape}",
            expected=f"that of the projections, {shape}",
            cure="Store one True or False for every pixel, or no mask.",
        )


def _check_unchanged(found: FoundSeries) -> None:
    for stamp in found.stack.stamps:
        stamp.check()
