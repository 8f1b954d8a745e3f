"""Say in text what a tilt series is and what a training does to it, in a moment: of a large one by a part or a copy.

What takes long is a look at every pixel. Where that would be too much, fewer projections are read, or they are binned
while they are, and the text says so. What a copy cannot tell, as it has other pixels or fewer projections, is left to
the training.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.data.checks import MINIMUM_TILTS
from napari_stinr.data.coverage import coverage_notes
from napari_stinr.data.margin import EdgeMatter
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.io.formats.containers import Images
    from napari_stinr.io.series.found import FoundSeries
    from napari_stinr.io.series.glance import Glance

_LABEL_WIDTH = 19
_MOST_WORK = 6_700_000
"""All that is done with pixels, in pixels of a series that is judged: about a second on a laptop."""
_READING_ALL, _READING_SOME = 0.5, 0.2
"""Part of that for which pixels are read where all projections are, and where only some can be: these may be few."""
_OF_BYTE, _OF_PACKED = 1 / 260, 1 / 10
"""Work of reading and binning a byte of pixels that lie in the file as they are, and a pixel that may be unpacked."""
_OF_IMAGE = 10_000
"""Work for every projection, however small."""
_CHAINED, _CHAIN_SIZE = 5, 128
"""Work of comparing a pixel with those of its neighbours, and the size to which images are binned for that [pixel]."""
_MOST_PROJECTIONS = 200
_CHANGED_BY_BINNING = re.compile(r" \([^()]*% of the height of the specimen\)|, and none is darker than [^:]*")
_LARGEST_IMAGE = 80_000_000
"""Image that is read whole where that is the only way [byte]."""


def labelled(label: str, text: str) -> str:
    """Return a line of a description."""
    return f"{label:<{_LABEL_WIDTH}}{text}"


def note_line(note: Note) -> str:
    """Return the line for a note: what is missing or a remark."""
    is_missing = note.kind in (NoteKind.PIXEL_SIZE_MISSING, NoteKind.ORDER_ASSUMED)
    return labelled("missing" if is_missing else "note", note)


def describe_found(found: FoundSeries) -> list[str]:
    """Describe a tilt series that was found; a StinrError says what is missing."""
    if isinstance(found.tilt_angles, StinrError):
        raise found.tilt_angles
    plan = _Plan.of(found.stack.images)
    if plan.is_whole:
        from napari_stinr.io.series.reading import load_series

        return describe_series(load_series(found))
    return _describe_at_a_glance(found, plan)


def describe_series(series: TiltSeries) -> list[str]:
    """Describe a tilt series, say where its angles, times and pixel size come from, and what a training does to it."""
    from napari_stinr.alignment.check import misalignment
    from napari_stinr.config import PreprocessingConfig
    from napari_stinr.data.preprocessing.prepare import prepare

    measured = series.projections if series.mask is None else series.projections[series.mask]
    lines = [
        *_facts(series, (series.height, series.width)),
        labelled("values", f"{measured.min():.4g} to {measured.max():.4g}, mean {measured.mean():.4g}"),
    ]
    if series.mask is not None:
        lines.append(_left_out(float(1 - series.mask.mean()), int((~series.used).sum())))
    prepared = prepare(series, PreprocessingConfig())
    shifted = misalignment(prepared)
    few = coverage_notes(prepared.tilt_angles, prepared.used)
    notes = [*prepared.notes, *few, *_margin_notes(prepared, prepared.width), *([shifted] if shifted else [])]
    return [*lines, *map(note_line, notes)]


def _describe_at_a_glance(found: FoundSeries, plan: _Plan) -> list[str]:
    """As :func:`describe_series`, by some projections that are binned while they are read."""
    from napari_stinr.io.series.glance import Glance

    series = _without_pixels(found)
    glance = Glance.of(found, plan.positions, binning=plan.binning) if plan.positions else None
    lines = [*_facts(series, found.stack.images.shape[1:]), labelled("values", _values(glance))]
    if glance is not None and glance.left_out:
        lines.append(_left_out(glance.left_out, glance.n_left_out, of=_of_part(glance)))
    judged = None if glance is None else _Judged.of(glance)
    used = series.used if judged is None or judged.used is None else judged.used
    notes = [*series.notes, *coverage_notes(series.tilt_angles, used)]
    remark = _WITHOUT_A_LOOK if judged is None else judged.remark
    return [*lines, *map(note_line, notes), labelled("note", remark), *map(note_line, judged.notes if judged else ())]


def _without_pixels(found: FoundSeries) -> TiltSeries:
    """Return a series with all that its headers say, whose projections are two pixels that are 0."""
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.io.series.reading import check_mask

    check_mask(found)
    assert not isinstance(found.tilt_angles, StinrError)
    n_tilts, mask = len(found.stack.images), found.stack.mask
    return TiltSeries(
        np.zeros((n_tilts, 1, 2), dtype=np.float32),
        found.tilt_angles.values,
        found.times.values,
        pixel_size=found.pixel_size,
        mask=None if mask is None else np.repeat(mask.any(axis=(1, 2)), 2).reshape(n_tilts, 1, 2),
        name=found.name,
        time_unit=found.times.unit,
        notes=found.notes,
    )


@dataclass(frozen=True)
class _Judged:
    """What projections tell that were looked at.

    `used` is `(n_tilts,)` which of all show something, None where not all were looked at.
    """

    notes: tuple[Note, ...]
    remark: str
    used: NDArray[np.bool_] | None

    @classmethod
    def of(cls, glance: Glance) -> _Judged | None:
        """Judge binned projections; None where these are too few."""
        from napari_stinr.alignment.check import misalignment
        from napari_stinr.config import PreprocessingConfig
        from napari_stinr.data.preprocessing.prepare import TURNED, prepare

        is_of_all, factor = glance.is_of_all, glance.way.factor
        try:
            series = glance.series()
        except StinrError:
            if is_of_all:
                raise
            return None  # what is wrong with some says nothing of the others
        # Hot pixels are no longer there; blank images and jumps of the exposure are seen beside their neighbours.
        some = {} if is_of_all else {"blank_images": "keep", "intensity": "keep"}
        prepared = prepare(series, PreprocessingConfig(bad_pixels="keep", **some))
        width = glance.way.height if TURNED in prepared.notes else glance.way.width
        notes = [_as_of_file(note) for note in prepared.notes if note.kind is not NoteKind.RADIANS]
        notes += _margin_notes(prepared, width)
        shifted = misalignment(prepared, pixel=factor) if is_of_all else None
        return cls((*notes, *([shifted] if shifted else [])), _remark(glance), prepared.used if is_of_all else None)


def _as_of_file(note: Note) -> Note:
    """Leave out of a note on a copy what binning changes, as it evens noise out: heights and darkest pixels."""
    return Note(note.kind, _CHANGED_BY_BINNING.sub("", note))


_WITHOUT_A_LOOK = (
    "To answer at once, the projections were not judged: what a training does to them is said when it starts."
)


def _remark(glance: Glance) -> str:
    binned = f"binned {glance.way.factor} x {glance.way.factor}"
    if glance.is_of_all:
        return (
            f"To answer at once, background, axis, exposures, margin and alignment were judged on a copy {binned}; bad "
            "pixels are looked for when the training starts."
        )
    how = f", {binned}," if glance.way.factor > 1 else ""
    return (
        f"To answer at once, background, axis and margin were judged on {_part(glance)}{how} alone; bad pixels, blank "
        "images, exposures and shifts between projections are looked for when the training starts."
    )


def _values(glance: Glance | None) -> str:
    if glance is None:
        return "not looked at, as it takes long to read a single projection"
    if np.isnan(glance.mean):
        return f"none that counts{_of_part(glance)}"
    return f"{glance.lowest:.4g} to {glance.highest:.4g}, mean {glance.mean:.4g}{_of_part(glance)}"


def _of_part(glance: Glance) -> str:
    return "" if glance.is_of_all else f", of {_part(glance)}"


def _part(glance: Glance) -> str:
    positions, n_tilts = glance.positions, len(glance.found.stack.images)
    first = "the first " if positions == tuple(range(len(positions))) else ""
    return f"{first}{len(positions)} of {n_tilts} projections"


@dataclass(frozen=True)
class _Plan:
    """Which projections are looked at, and how they are binned for that."""

    positions: tuple[int, ...]
    binning: int
    is_whole: bool = False

    @classmethod
    def of(cls, images: Images) -> _Plan:
        """Plan what can be done in a moment."""
        n_tilts, height, width = images.shape
        if _work(images.shape, 1, is_chained=True) <= _MOST_WORK:
            return cls(tuple(range(n_tilts)), 1, is_whole=True)
        of_image = height * width * (images.plain_itemsize * _OF_BYTE or _OF_PACKED)
        n_all, n_some = (int(part * _MOST_WORK / of_image) for part in (_READING_ALL, _READING_SOME))
        n = n_tilts if n_tilts <= min(_MOST_PROJECTIONS, n_all) else min(_MOST_PROJECTIONS, n_some)
        # With fewer, nothing can be judged.
        n = max(n, min(MINIMUM_TILTS, n_all, n_tilts))
        if not images.plain_itemsize and 4 * height * width > _LARGEST_IMAGE:
            n = 0
        # Those of a file that is unpacked from its beginning are the first.
        positions = np.arange(n) if images.choose is None else np.linspace(0, n_tilts - 1, n).round()
        return cls(tuple(map(int, positions)), _binning((n, height, width), n == n_tilts, _MOST_WORK - n * of_image))


def _binning(shape: tuple[int, int, int], is_chained: bool, most_work: float) -> int:
    """Return the binning that tells most of so many projections; the largest where all are too much work."""
    _, height, width = shape
    largest = max(1, min(height, width // 2))
    possible = [
        factor for factor in range(1, largest + 1) if _work(shape, factor, is_chained=is_chained) <= most_work
    ] or [largest]
    if not is_chained:
        return possible[0]
    # Images are binned once more to be compared: shifts are told by the pixels that are left.
    return min(possible, key=lambda factor: (factor * _once_more(height // factor, width // factor), factor))


def _once_more(height: int, width: int) -> int:
    return math.ceil(max(height, width) / _CHAIN_SIZE)


def _work(shape: tuple[int, int, int], factor: int, *, is_chained: bool) -> float:
    """Work of judging binned projections; also of comparing them with their neighbours."""
    n, height, width = shape[0], shape[1] // factor, shape[2] // factor
    smaller = _once_more(height, width)
    chained = _CHAINED * (height // smaller) * (width // smaller) if is_chained else 0
    return n * (_OF_IMAGE + height * width + chained)


def _facts(series: TiltSeries, size: tuple[int, int]) -> list[str]:
    """Return what is known of a series with images of a size `(height, width)` without its pixels."""
    angles = series.tilt_angles
    steps = np.abs(np.diff(np.sort(angles)))
    step = f"step {steps.mean():.4g}" if np.ptp(steps) < 0.05 else f"steps {steps.min():.4g} to {steps.max():.4g}"
    first, last = series.time_range
    unit = f" {series.time_unit}" if series.time_unit else ""
    height, width = size
    return [
        labelled("tilt series", series.name),
        labelled("size", f"{series.n_tilts} projections of {height} x {width} pixels (height x width)"),
        labelled("tilt angles", f"{angles.min():g} to {angles.max():g} degrees, {step}"),
        labelled("times", f"{first:g} to {last:g}{unit}, {_order(series)}"),
        labelled("pixel size", _pixel_size(series.pixel_size, height, width)),
    ]


def _left_out(part: float, n_projections: int, *, of: str = "") -> str:
    return labelled("left out", f"{100 * part:.3g} % of the pixels, {n_projections} whole projection(s){of}")


def _margin_notes(series: TiltSeries, width: int) -> list[Note]:
    """Return the note on matter at the edge of a view that is so wide [pixel of the file]."""
    edges = EdgeMatter.of_series(series)
    note = edges.note(edges.margin(width, None))
    return [] if note is None else [note]


def _order(series: TiltSeries) -> str:
    rank = np.argsort(np.argsort(series.times, kind="stable"), kind="stable")
    # Sequential last: a stack in the order of its times is that by definition, whatever the scheme of the angles.
    for order in (*ACQUISITION_ORDERS[1:], ACQUISITION_ORDERS[0]):
        if np.array_equal(rank, acquisition_rank(series.tilt_angles, order)):
            return f"{order} order"
    return "an order without a name"


def _pixel_size(size: float | None, height: int, width: int) -> str:
    if size is None:
        return "missing: give --pixel-size, in Å"
    return f"{size:g} Å, so the image is {width * size:.4g} Å wide and {height * size:.4g} Å high"
