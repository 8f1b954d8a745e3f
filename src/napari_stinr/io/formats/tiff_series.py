"""Which of the image series that tifffile finds in a TIFF are the stack.

A series is pages that were written together: a stack, or every page by itself where a program appended them one by one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

    import tifffile

_WHITE_IS_ZERO = 0


def series_of_stack(series: list[tifffile.TiffPageSeries]) -> list[tifffile.TiffPageSeries]:
    """Return the first series with all of its size; a single image before equal ones is a thumbnail or an overview."""
    groups: dict[tuple[int, int], list[tifffile.TiffPageSeries]] = {}
    for one in series:
        if _is_grey(one):
            groups.setdefault(_size(one), []).append(one)
    first = groups.get(_size(series[0]), []) if _is_grey(series[0]) else [series[0]]
    n_first = sum(map(n_images_of, first))
    largest = max(
        groups.values(), key=lambda group: (sum(map(n_images_of, group)), math.prod(_size(group[0]))), default=first
    )
    n_largest = sum(map(n_images_of, largest))
    # Where every image brings its thumbnail, there are as many of both.
    is_thumbnail = n_largest == n_first and math.prod(_size(largest[0])) > math.prod(_size(first[0]))
    return largest if is_thumbnail or n_largest > n_first == 1 else first


def check_alike(chosen: list[tifffile.TiffPageSeries], path: Path) -> None:
    """Refuse several series of images of one size, unless each is one image, and all are alike."""
    if len(chosen) == 1:
        return
    kinds = list(dict.fromkeys(map(_kind, chosen)))
    n_images = [n_images_of(one) for one in chosen]
    if len(kinds) == 1 and max(n_images) == 1:
        return
    found = (
        f"the pages of {path.name} differ in data type ({', '.join(kinds[:5])})"
        if len(kinds) > 1
        else f"{path.name} holds {len(chosen)} series of images of the same size ({_listed(n_images)} images)"
    )
    raise StinrError(
        found,
        expected="one stack, all pages alike",
        cure="Save all projections with one data type and one compression, and nothing else, in one file.",
    )


def left_out(file: tifffile.TiffFile, chosen: list[tifffile.TiffPageSeries]) -> tuple[str, ...]:
    """Return what is to be said of series that are not the stack."""
    n_others = len(file.series) - len(chosen)
    if n_others == 0:
        return ()
    if file.series[0] is not chosen[0]:
        height, width = _size(file.series[0])
        kept = f"{sum(map(n_images_of, chosen))} image(s) of {' x '.join(map(str, _size(chosen[0])))} pixels"
        return (f"The file begins with an image of {height} x {width} pixels, which was left out; {kept} were read.",)
    if len(chosen) == 1:
        return (f"The file holds {len(file.series)} image series; the first was read.",)
    return (f"The file also holds {n_others} image(s) of another size, which were left out.",)


def n_images_of(series: tifffile.TiffPageSeries) -> int:
    """Return the number of images in a series."""
    return math.prod(series.shape[:-2]) if series.keyframe.samplesperpixel == 1 else len(series.pages)


def _is_grey(series: tifffile.TiffPageSeries) -> bool:
    page = series.keyframe
    return page.samplesperpixel == 1 and not page.is_reduced and not page.is_mask


def _size(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    return int(series.keyframe.imagelength), int(series.keyframe.imagewidth)


def _kind(series: tifffile.TiffPageSeries) -> str:
    tag = series.keyframe.tags.get("PhotometricInterpretation")
    return f"{series.dtype}{', white is 0' if tag is not None and tag.value == _WHITE_IS_ZERO else ''}"


def _listed(numbers: list[int]) -> str:
    return " and ".join(map(str, numbers)) if len(numbers) < 4 else f"{', '.join(map(str, numbers[:3]))}, ..."
