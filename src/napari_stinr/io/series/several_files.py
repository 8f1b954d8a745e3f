"""A series with one file for every tilt: its images in the order in which they were taken."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.checks import is_same_size
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Images, Stack, checked_images, in_bands
from napari_stinr.io.formats.endings import ANGLE_ENDINGS
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES
from napari_stinr.io.series.sidecars import find_angle_file
from napari_stinr.io.series.sources import positions_by_name
from napari_stinr.io.series.timetables import DOSE_UNIT, dose_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.series.headers import Headers
    from napari_stinr.io.series.sources import Source

_SAME_ANGLE = 0.05
"""Frames of one tilt differ by less than this [degrees]."""


@dataclass(frozen=True, eq=False)
class OneFilePerTilt:
    """Files put together in the order of their times, or of their names where those tell no times."""

    stack: Stack
    given: NDArray[np.int64]  # `(n_tilts,)` position of every image in the list of files as given
    paths: tuple[Path, ...]


def read_files(sources: Sequence[Source], headers: Headers) -> OneFilePerTilt:
    """Put files of one series, in any order, together from their headers; frames of one file count as their mean."""
    # A StinrError names a file that cannot be read, is a series by itself, or differs from the others in size.
    if len(sources) > MAXIMUM_IMAGES:
        raise StinrError(f"{len(sources)} files", expected=f"at most {MAXIMUM_IMAGES}", cure="Give one series.")
    stacks = [headers.stack(source.path) for source in sources]
    _check_same(sources, stacks)
    angles = _numbers([_tilt_angle(s, stack) for s, stack in zip(sources, stacks, strict=True)])
    dates = _numbers([_first(s.timestamp, stack.timestamps) for s, stack in zip(sources, stacks, strict=True)])
    doses, tie = _doses(sources)
    names = np.argsort(positions_by_name([source.path for source in sources]))
    times, order, how = names.astype(np.float64), names, "of their names"
    known = next((values for values in (dates, doses) if values is not None and np.ptp(values) > 0), None)
    if known is not None:
        # Files of the same second stay in the order of their names.
        times, order, how = known, names[np.argsort(known[names], kind="stable")], "in which they were recorded"
    size = next((size for size in map(_pixel_size, sources, stacks) if size is not None), None)
    n_frames = max(len(stack.images) for stack in stacks)
    frames = (f"Files with several images: their mean counts (up to {n_frames} frames).",) if n_frames > 1 else ()
    files = [(sources[k].path, stacks[k]) for k in order]
    shape = (len(sources), *stacks[0].images.shape[1:])
    stack = Stack(
        Images(shape, partial(_read, files), choose=partial(_read_some, files)),
        tilt_angles=None if angles is None else angles[order],
        timestamps=times[order] if known is not None and known is dates else None,
        times=times[order] if known is not None and known is not dates else None,
        time_unit=DOSE_UNIT if known is not None and known is not dates else "",
        pixel_size=size,
        pixel_height=next((one.pixel_height for one in stacks if one.pixel_height is not None), None),
        place=f"{stacks[0].place} of every file" if not sources[0].place else ".mdoc of every file",
        complete=True,
        notes=(
            f"One file for every tilt: {len(sources)} files, in the order {how}.",
            *frames,
            *_notes(stacks),
            *_passed_over(sources),
            *(tie if known is None or known is doses else ()),
        ),
        stamps=tuple(stamp for k in order for stamp in stacks[k].stamps),
    )
    return OneFilePerTilt(stack, order, tuple(sources[k].path for k in order))


def _read(files: Sequence[tuple[Path, Stack]]) -> Iterator[NDArray[Any]]:
    for path, stack in files:
        if len(stack.images) == 1:
            yield from checked_images(stack.images, path)
            continue
        total = np.zeros(stack.images.shape[1:], dtype=np.float64)
        for frame in checked_images(stack.images, path):
            with np.errstate(over="ignore", invalid="ignore"):
                total += frame
        yield total / len(stack.images)


def _read_some(
    files: Sequence[tuple[Path, Stack]], positions: Sequence[int], bands: Sequence[slice]
) -> Iterator[NDArray[Any]]:
    for image in _read([files[k] for k in positions]):
        yield from in_bands(image, bands)


def _check_same(sources: Sequence[Source], stacks: Sequence[Stack]) -> None:
    first = stacks[0].images.shape[1:]
    for source, stack in zip(sources, stacks, strict=True):
        if stack.images.shape[1:] != first:
            raise StinrError(
                f"{source.path.name} has images of {stack.images.shape[1]} x {stack.images.shape[2]} pixels",
                expected=f"{first[0]} x {first[1]}, as in {sources[0].path.name}",
                cure="Leave out files that do not belong to the series.",
            )
        size, other = _pixel_size(source, stack), _pixel_size(sources[0], stacks[0])
        if size is not None and other is not None and not is_same_size(size, other):
            raise StinrError(
                f"{source.path.name} has a pixel size of {size:g} Å",
                expected=f"{other:g} Å, as in {sources[0].path.name}",
                cure="Leave out files of another magnification.",
            )


def _tilt_angle(source: Source, stack: Stack) -> float | None:
    own = stack.tilt_angles
    beside = find_angle_file(source.path) if len(stack.images) > 1 else None
    several = source.n_angles > 1 or (own is not None and np.ptp(own) > _SAME_ANGLE)
    if several or (beside is not None and beside.suffix.lower() in ANGLE_ENDINGS):
        raise StinrError(
            f"{source.path.name} is a series by itself: {len(stack.images)} images at different tilt angles",
            expected="files with one tilt each, or a single stack",
            cure="Give this file alone, or leave it out.",
        )
    return source.tilt_angle if source.tilt_angle is not None or own is None else float(own.mean())


def _pixel_size(source: Source, stack: Stack) -> float | None:
    return stack.pixel_size if stack.pixel_size is not None else source.pixel_size


def _first(value: float | None, values: NDArray[np.float64] | None) -> float | None:
    return value if value is not None or values is None else float(values.min())


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64] | None:
    numbers = [value for value in values if value is not None]
    return np.array(numbers, dtype=np.float64) if len(numbers) == len(values) else None


def _doses(sources: Sequence[Source]) -> tuple[NDArray[np.float64] | None, tuple[str, ...]]:
    """Return the dose before each file, in which few may be the same, and what is not known of them."""
    doses = _numbers([source.dose for source in sources])
    if doses is None or np.ptp(doses) == 0:
        return None, ()
    times, remark = dose_times(doses, _numbers([source.exposure for source in sources]))
    return times, (f"{remark.rstrip('.')}.",) if remark else ()


def _passed_over(sources: Sequence[Source]) -> tuple[str, ...]:
    reasons = [reason for source in sources for reason in source.passed_over]
    more = f", and {len(reasons) - 1} more like this" if len(reasons) > 1 else ""
    return (f"Passed over: {reasons[0]}{more}.",) if reasons else ()


def _notes(stacks: Sequence[Stack]) -> tuple[str, ...]:
    # The same remark about every file is made once.
    return tuple(dict.fromkeys(note for stack in stacks for note in stack.notes))
