"""TIFF stacks: plain, ImageJ and OME, read and described.

ImageJ takes lengths from the resolution tags and from an ``ImageDescription`` that starts with ``ImageJ=``; OME readers
take them from XML in the first ``ImageDescription``. ImageJ passes over descriptions that are not its own and OME
readers keep the first one, so one file serves both when it carries two: the XML, then ImageJ's.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Images, Stack, damaged, image_shape, in_bands
from napari_stinr.io.formats.guards.tiff_contents import check_ome, check_strips
from napari_stinr.io.formats.guards.tiff_directories import check_directories
from napari_stinr.io.formats.limits import check_expansion, check_stored
from napari_stinr.io.formats.stored import StoredImages
from napari_stinr.io.formats.tiff_checks import check_compression
from napari_stinr.io.formats.tiff_facts import black_is_zero, described_facts
from napari_stinr.io.formats.tiff_series import check_alike, left_out, n_images_of, series_of_stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Without a handler Python itself prints what tifffile says about every damaged tag, thousands of lines perhaps.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAXIMUM_STRIPS = 1_000_000
"""Strips or tiles of one image; more are made up."""


def read_tiff(path: Path) -> Stack:
    """Read a stack whose first axis is the tilt (or z), and the pixel size where a description gives it with a unit."""
    n_directories = check_directories(path)
    try:
        with _opened(path) as file:
            check_ome(file, n_directories, path)
            chosen = _checked_series(file, path)
            first = chosen[0]
            shape = image_shape(_shape(chosen), first.dtype, path)
            check_alike(chosen, path)
            convert, white_note = black_is_zero(first.keyframe)
            described = described_facts(file, first.keyframe)
            images = _images(file, path, chosen, shape)
            notes = (*left_out(file, chosen), *white_note)
    except (StinrError, OSError, MemoryError):
        raise
    # Damaged files end in almost any exception inside tifffile, failed assertions and divisions by zero among them.
    except Exception as error:
        raise damaged(path, "a TIFF stack, best without compression", error) from error
    times = described.times if described.times is not None and len(described.times) == shape[0] else None
    return Stack(
        images if convert is None else images.changed(convert),
        times=times,
        time_unit="" if times is None else described.time_unit,
        pixel_size=described.pixel_size,
        pixel_height=described.pixel_height,
        place=described.place,
        notes=notes,
    )


def _opened(path: Path) -> tifffile.TiffFile:
    # OME-XML may name other files: what is beside a file is read only when the user says so.
    return tifffile.TiffFile(path, _multifile=False)


def _images(
    file: tifffile.TiffFile, path: Path, chosen: list[tifffile.TiffPageSeries], shape: tuple[int, int, int]
) -> Images:
    first = chosen[0]
    if len(chosen) > 1 or first.dataoffset is None:
        return Images(shape, lambda: _read(path, shape), choose=partial(_read_some, path, shape))
    return StoredImages.of(path, shape, dtype=first.dtype.newbyteorder(file.byteorder), offset=first.dataoffset)


def _read(path: Path, shape: tuple[int, int, int]) -> Iterator[NDArray[Any]]:
    with _opened(path) as file:
        for series in _checked_series(file, path):
            for page in series.pages:
                if page is not None:
                    check_strips(page, path)
            n_images = n_images_of(series)
            if len(series.pages) == n_images:
                for page in series.pages:
                    yield np.zeros(shape[1:], series.dtype) if page is None else page.asarray().reshape(shape[1:])
            else:
                yield from series.asarray().reshape((n_images, *shape[1:]))


def _read_some(
    path: Path, shape: tuple[int, int, int], positions: Sequence[int], bands: Sequence[slice]
) -> Iterator[NDArray[Any]]:
    with _opened(path) as file:
        n_before = 0
        for series in _checked_series(file, path):
            n_images = n_images_of(series)
            chosen = [k - n_before for k in positions if 0 <= k - n_before < n_images]
            n_before += n_images
            if chosen and len(series.pages) != n_images:
                images = series.asarray().reshape((n_images, *shape[1:]))
                yield from (rows for k in chosen for rows in in_bands(images[k], bands))
                continue
            for k in chosen:
                page = series.pages[k]
                if page is not None:
                    check_strips(page, path)
                image = np.zeros(shape[1:], series.dtype) if page is None else page.asarray().reshape(shape[1:])
                yield from in_bands(image, bands)


def _shape(chosen: list[tifffile.TiffPageSeries]) -> tuple[int, ...]:
    shape = tuple(chosen[0].shape)
    return shape if len(chosen) == 1 else (len(chosen), *shape[-2:])


def _checked_series(file: tifffile.TiffFile, path: Path) -> list[tifffile.TiffPageSeries]:
    """Return the series that are the stack: one, or one of a single image for every page that was appended."""
    if not file.series:
        raise damaged(path, "a TIFF stack", "it has no images")
    chosen = series_of_stack(file.series)
    for series in chosen:
        _check_page(series, path)
    # A forged header can declare any size, so nothing is read before this.
    check_expansion(_shape(chosen), chosen[0].dtype.itemsize, path.stat().st_size, path)
    check_stored(max(map(_end_of_pixels, chosen)), path, what="the pixels")
    return chosen


def _check_page(series: tifffile.TiffPageSeries, path: Path) -> None:
    page = series.keyframe
    if "S" in series.axes or page.samplesperpixel > 1:
        raise StinrError(
            f"{path.name} holds colour images (or looks like it): shape {series.shape}, axes {series.axes}",
            expected="one grey-scale stack (projections, height, width)",
            cure="Convert it to grey scale, or save the projections as .npy or .mrc.",
        )
    check_compression(page, path)
    if any(len(offsets) > MAXIMUM_STRIPS for offsets in (page.dataoffsets, page.databytecounts)):
        raise damaged(path, f"at most {MAXIMUM_STRIPS} strips in an image", f"it has {len(page.dataoffsets)}")


def _end_of_pixels(series: tifffile.TiffPageSeries) -> int:
    # tifffile fills missing strips with zeros without a word, so a file that was cut off is noticed only here.
    if series.dataoffset is not None:
        return int(series.dataoffset) + int(series.nbytes)
    strips = [
        offset + n_bytes
        for page in series.pages
        if page is not None
        for offset, n_bytes in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    return max(strips, default=0)
