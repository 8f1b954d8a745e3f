"""Find the tilt angles, times and pixel size of a series before its pixels are read.

They may be given, stand in a file beside the stack, or in the file itself; they are looked for in that order, and the
notes say where each was found. Time is never guessed in silence: where nothing tells when the images were taken, their
order in the file is used, and marked as assumed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.data.checks import MINIMUM_TILTS, checked_angles, checked_times
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import is_file
from napari_stinr.io.formats.three_angles import angles_of_array
from napari_stinr.io.series import sidecars
from napari_stinr.io.series.assigned import angles_of_files, as_named, contradiction
from napari_stinr.io.series.found import Found, FoundSeries, NoAngles
from napari_stinr.io.series.headers import Headers
from napari_stinr.io.series.mdoc import Montage, is_mdoc
from napari_stinr.io.series.names import angles_in_names
from napari_stinr.io.series.several_files import read_files
from napari_stinr.io.series.sources import find_sources, lost_fields, own_mdoc, rows_of, series_name
from napari_stinr.io.series.timetables import dose_times, fitted, timetable_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_stinr.io.formats.containers import Stack
    from napari_stinr.io.series.mdoc import Mdoc
    from napari_stinr.io.series.timetables import Timetable

    PathLike = str | os.PathLike[str]

_SQUARE_WITHIN = 0.01
"""Width and height of a pixel differ by no more than this part where it counts as square."""
_HOW_TO_GIVE_ANGLES = "Give them as a file (one angle a line), as START:STEP in degrees (e.g. -60:2), or as an array."
_HOW_TO_GIVE_TIMES = f"a file with the times, or the acquisition order ({', '.join(ACQUISITION_ORDERS)})"
NO_PIXEL_SIZE = Note(
    NoteKind.PIXEL_SIZE_MISSING,
    "Pixel size is not known: lengths are in pixels and the potential is per pixel until it is given, in Å.",
)
TIMES_ASSUMED = Note(
    NoteKind.ORDER_ASSUMED,
    f"Times are not in the files and were assumed to be stack order; otherwise give {_HOW_TO_GIVE_TIMES}.",
)


def find_series(
    path: PathLike | Sequence[PathLike],
    *,
    tilt_angles: PathLike | ArrayLike | None = None,
    times: PathLike | ArrayLike | None = None,
    pixel_size: float | None = None,
    headers: Headers | None = None,
) -> FoundSeries:
    """Find everything about a tilt series except its pixels.

    Parameters
    ----------
    path : path-like or sequence of path-like
        A stack, a folder or several files with one tilt each, or an ``.mdoc`` that describes some.
    tilt_angles, times, pixel_size
        As for :func:`napari_stinr.read_tilt_series`.
    headers : Headers, optional
        What has been read of the files already.

    Returns
    -------
    FoundSeries
        Where angles are missing or do not fit, it says why in their place.

    Raises
    ------
    StinrError
        A file is missing, damaged or of another kind, or what was given does not fit the stack.
    """
    place = _Place.of(path, headers or Headers())
    # Pieces of a montage are no tilts, unless somebody says at which angles they were taken.
    if place.montage is not None and tilt_angles is None:
        raise place.montage
    table = place.given_table(times)
    angles = place.angles(tilt_angles, table)
    when = place.times(times, table, angles)
    size, size_note = place.pixel_size(pixel_size)
    return FoundSeries(place.name, place.paths, place.stack, angles, when, size, size_note)


@dataclass(frozen=True, eq=False)
class _Place:
    """A stack and where to look for what belongs to it."""

    name: str
    paths: tuple[Path, ...]
    stack: Stack
    beside: Path
    headers: Headers
    mdoc: Mdoc | None = None
    mdoc_name: str = ""
    montage: Montage | None = None  # what an .mdoc for as many images as there are says
    given: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, path: PathLike | Sequence[PathLike], headers: Headers) -> _Place:
        """Return the files, their stack and the .mdoc that describes it."""
        listed = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        paths = [Path(one).expanduser() for one in listed]
        if not paths:
            raise StinrError("no file was given", expected="a tilt series", cure="Give a file, or several.")
        sources = find_sources(paths, headers)
        name = series_name(paths, sources)
        if len(sources) > 1:
            files = read_files(sources, headers)
            folder = sources[0].path.parent
            return cls(name, files.paths, files.stack, folder, headers, given=files.given)
        file = sources[0].path
        stack, described = headers.stack(file), next(filter(is_mdoc, paths), None)
        own: tuple[Path | None, tuple[str, ...], Montage | None] = (described, (), None)
        described, problems, montage = own_mdoc(file, headers) if described is None else own
        mdoc = None if described is None else headers.mdoc(described)
        if described is not None and mdoc is not None:
            problems = (*problems, *lost_fields(mdoc, described))
        stack = replace(stack, notes=(*stack.notes, *(f"Passed over: {problem}." for problem in problems)))
        montage = None if montage is None or montage.n_images != len(stack.images) else montage
        return cls(name, (file,), stack, file, headers, mdoc, described.name if described else "", montage)

    @property
    def label(self) -> str:
        return self.paths[0].name if len(self.paths) == 1 else f"the {len(self.paths)} files of {self.name}"

    @property
    def n_tilts(self) -> int:
        return len(self.stack.images)

    def given_table(self, times: PathLike | ArrayLike | None) -> Timetable | None:
        """Read the table that is given as the times, None where none is."""
        if not isinstance(times, (str, os.PathLike)) or times in ACQUISITION_ORDERS:
            return None
        file = Path(times).expanduser()
        if not is_file(file):
            raise StinrError(
                f"times are {str(times)!r}, which is no file",
                expected=_HOW_TO_GIVE_TIMES,
                cure="Check the name, or give an array of times.",
            )
        return self._table(file)

    def angles(self, given: PathLike | ArrayLike | None, table: Timetable | None) -> Found | StinrError:
        """Find the `(n_tilts,)` tilt angles [degrees], or say why there are none."""
        if given is not None:
            found = self._given_angles(given)
            problem = self._count_problem(found, "tilt angles")
            if problem is not None:
                raise problem
        else:
            chosen, problem = self._first_fitting(self._angle_places(table), "tilt angles")
            if chosen is None:
                return problem or NoAngles(
                    f"no tilt angles for {self.label}: neither a file beside it nor its header has them",
                    expected=f"{self.n_tilts} angles",
                    cure=_HOW_TO_GIVE_ANGLES,
                )
            found = chosen
        if table is not None:
            fitted(table, found.values)
        return found

    def times(self, given: PathLike | ArrayLike | None, table: Timetable | None, angles: Found | StinrError) -> Found:
        """Find the `(n_tilts,)` times, in stack order where nothing tells."""
        found: Found | None
        if table is not None:
            found = self._table_times(table, angles)
        elif isinstance(given, str):
            if isinstance(angles, StinrError):
                raise angles
            rank = acquisition_rank(angles.values, given).astype(np.float64)
            found = Found(rank, _times(f"from the acquisition order {given}"))
        elif given is not None:
            values = _numbers(given, "times", f"Give {_HOW_TO_GIVE_TIMES}.")
            found = Found(self._in_order(values), _times("as given"))
        else:
            chosen, problem = self._first_fitting(self._time_places(angles), "times")
            order = np.arange(self.n_tilts, dtype=np.float64)
            return chosen or Found(order, _with_passed_over(TIMES_ASSUMED, problem))
        assert found is not None  # a table that was given has times
        problem = self._count_problem(found, "times")
        if problem is not None:
            raise problem
        return found

    def pixel_size(self, given: float | None) -> tuple[float | None, Note]:
        """Find the pixel size [Å], and say where it comes from."""
        stack = self.stack
        oblong = _oblong(stack.pixel_size, stack.pixel_height)
        if given is not None:
            return given, _size(given, "as given", oblong and f"According to the {stack.place}, p{oblong[1:]}")
        if stack.pixel_size is not None:
            return stack.pixel_size, _size(stack.pixel_size, f"from the {stack.place}", oblong)
        if self.mdoc is not None and self.mdoc.pixel_size is not None:
            return self.mdoc.pixel_size, _size(self.mdoc.pixel_size, f"from {self.mdoc_name}")
        return None, NO_PIXEL_SIZE

    def _given_angles(self, given: PathLike | ArrayLike) -> Found:
        if not isinstance(given, (str, os.PathLike)):
            listed = angles_of_array(_numbers(given, "tilt angles", _HOW_TO_GIVE_ANGLES))
            values = self._in_order(listed.values)
            against = contradiction(self.paths, values, is_measured=False)
            return Found(values, _angles("as given", listed.remark, against))
        text = os.fspath(given)
        values_of_range = sidecars.parse_angle_range(text, self.n_tilts)
        if values_of_range is not None:
            values, remark = angles_of_files(self.paths, values_of_range)
            return Found(values, _angles(f"from {text} (start:step, degrees)", remark))
        return self._angles_of(sidecars.angles_file(text))

    def _angle_places(self, table: Timetable | None) -> Iterator[Callable[[], Found | None]]:
        """Yield what reads the angles, in the order of how much they are to be trusted."""
        stack, own = self.stack, self.stack.tilt_angles
        remark = "" if own is None or len(self.paths) < 2 else contradiction(self.paths, own, is_measured=True)
        in_stack = (
            None
            if own is None
            else Found(own, _angles(f"from the {stack.angle_place or stack.place}", stack.angle_remark, remark))
        )
        if stack.complete:
            yield lambda: in_stack
        for beside in sidecars.find_angle_files(self.beside):
            if not is_mdoc(beside):
                yield partial(self._angles_of, beside)
        if self.mdoc is not None and self.mdoc.tilt_angles is not None:
            in_mdoc = Found(self.mdoc.tilt_angles, _angles(f"from {self.mdoc_name}"))
            yield lambda: in_mdoc
        yield lambda: in_stack
        for read in (lambda: table,) if table is not None else self._tables_beside():
            yield partial(self._listed_angles, read)
        named = angles_in_names(self.paths)
        if named is not None:
            yield lambda: Found(named.values, _angles("from the names of the files"))

    def _time_places(self, angles: Found | StinrError) -> Iterator[Callable[[], Found | None]]:
        if self.stack.complete:
            yield self._own_times
        for read in self._tables_beside():
            yield lambda read=read: self._table_times(read(), angles)  # type: ignore[misc]
        yield lambda: self._mdoc_times(angles)
        yield self._own_times

    def _first_fitting(
        self, places: Iterator[Callable[[], Found | None]], what: str
    ) -> tuple[Found | None, StinrError | None]:
        """Return the first values that fit the stack, and why those before them were passed over."""
        problem: StinrError | None = None
        for read in places:
            try:
                found = read()
                wrong = None if found is None else self._count_problem(found, what) or self._value_problem(found, what)
            except StinrError as error:
                found, wrong = None, error
            if found is not None and wrong is None:
                # A list for another stack may lie beside this one: to take what fits is right, and must be seen.
                return replace(found, note=_with_passed_over(found.note, problem)), problem
            problem = problem or wrong
        return None, problem

    def _tables_beside(self) -> list[Callable[[], Timetable]]:
        return [partial(self._table, beside) for beside in sidecars.find_timetables(self.beside)]

    def _table(self, file: Path) -> Timetable:
        return self.headers.timetable(file).reordered(rows_of(self.paths, file, self.headers))

    def _table_times(self, table: Timetable | None, angles: Found | StinrError) -> Found | None:
        if table is None:
            return None
        if not isinstance(angles, StinrError) and len(table.times) == self.n_tilts:
            table = fitted(table, angles.values)
        return Found(table.times, _times(f"from {table.source}", table.remark), table.unit)

    def _own_times(self) -> Found | None:
        stack = self.stack
        if stack.timestamps is not None:
            return Found(stack.timestamps - stack.timestamps.min(), _times(f"from the {stack.place}"), "s")
        return None if stack.times is None else Found(stack.times, _times(f"from the {stack.place}"), stack.time_unit)

    def _mdoc_times(self, angles: Found | StinrError) -> Found | None:
        table = None if self.mdoc is None else timetable_of(self.mdoc, self.mdoc_name)
        if table is None and self.mdoc is not None and self.mdoc.doses is not None:
            why = dose_times(self.mdoc.doses, self.mdoc.exposures)[1]
            raise StinrError(f"{why} ({self.mdoc_name})", expected="other doses", cure=f"Give {_HOW_TO_GIVE_TIMES}.")
        return self._table_times(table, angles)

    def _in_order(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        # An array belongs to the files as they were listed beside it.
        return values if self.given is None or values.shape != (self.n_tilts,) else values[self.given]

    def _angles_of(self, file: Path) -> Found:
        values, remark = angles_of_files(self.paths, self.headers.angles(file), file=file, headers=self.headers)
        return Found(values, _angles(f"from {file.name}", remark))

    def _listed_angles(self, read: Callable[[], Timetable]) -> Found | None:
        table = read()
        if table.tilt_angles is None:
            return None
        values, remark = as_named(self.paths, table.tilt_angles)
        return Found(values, _angles(f"from {table.source}", table.angle_remark, remark))

    def _value_problem(self, found: Found, what: str) -> StinrError | None:
        """Say what is wrong with values that nobody gave: others may be right."""
        if self.n_tilts < MINIMUM_TILTS or (self.stack.complete and what == "times"):
            return None
        check = checked_angles if what == "tilt angles" else checked_times
        try:
            check(found.values, self.n_tilts)
        except StinrError as error:
            where = found.note.rstrip(".")
            return StinrError(f"{error.found} ({where})", expected=error.expected, cure=error.cure)
        return None

    def _count_problem(self, found: Found, what: str) -> StinrError | None:
        if found.values.shape == (self.n_tilts,):
            return None
        return StinrError(
            f"{found.values.size} {what} for {self.label} ({found.note.partition('. ')[0].rstrip('.')})",
            expected=f"{self.n_tilts}, one for every projection" if self.n_tilts > 1 else "1: it holds 1 image",
            cure="Add or remove lines, or give the right file."
            if self.n_tilts > 1
            else "Give the whole stack, all files with one tilt each, or their folder.",
        )


def _angles(origin: str, *remarks: str) -> Note:
    return Note(NoteKind.ANGLES, " ".join((f"Tilt angles {origin}.", *filter(None, remarks))))


def _times(origin: str, remark: str = "") -> Note:
    return Note(NoteKind.TIMES, f"Times {origin}. {remark}".strip())


def _size(size: float, origin: str, remark: str = "") -> Note:
    return Note(NoteKind.PIXEL_SIZE, f"Pixel size {size:g} Å {origin}. {remark}".strip())


def _oblong(width: float | None, height: float | None) -> str:
    """Return what is to be said of pixels [Å] that are not square, "" of others."""
    if width is None or height is None or abs(height / width - 1) <= _SQUARE_WITHIN:
        return ""
    return (
        f"Pixels are not square: {width:g} Å wide and {height:g} Å high. The width counts, so that lengths along y are"
        f" wrong by a factor of {height / width:.3g}; resample the images to square pixels."
    )


def _with_passed_over(note: Note, problem: StinrError | None) -> Note:
    return note if problem is None else Note(note.kind, f"{note} Passed over: {problem.found}.")


def _numbers(values: object, what: str, cure: str) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StinrError(f"the {what} are {str(values)[:60]}", expected="numbers", cure=cure) from error
