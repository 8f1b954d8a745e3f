"""Find the tilt angles, times and pixel size of a series before its pixels are read.

They may be given, stand in a file beside the stack, or in the file itself; they are looked for in that order, and the
notes say where each was found. Time is never guessed in silence: where nothing tells when the images were taken, their
order in the file is used, and marked as assumed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.errors import StinrError
from napari_stinr.io import sidecars
from napari_stinr.io.containers import is_file
from napari_stinr.io.found import Found, FoundSeries
from napari_stinr.io.mdoc import read_mdoc
from napari_stinr.io.several_files import read_files
from napari_stinr.io.sources import MDOC_ENDING, find_sources, series_name
from napari_stinr.io.stacks import read_stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_stinr.io.containers import Stack
    from napari_stinr.io.mdoc import Mdoc

    PathLike = str | os.PathLike[str]

_HOW_TO_GIVE_ANGLES = "Give them as a file (one angle a line), as START:STEP in degrees (e.g. -60:2), or as an array."
_HOW_TO_GIVE_TIMES = f"a file with the times, or the acquisition order ({', '.join(ACQUISITION_ORDERS)})"
NO_PIXEL_SIZE = "Pixel size is not known: lengths are in pixels and the potential is per pixel until it is given, in Å."
TIMES_ASSUMED = f"Times are not in the files and were assumed to be stack order; otherwise give {_HOW_TO_GIVE_TIMES}."


def find_series(
    path: PathLike | Sequence[PathLike],
    *,
    tilt_angles: PathLike | ArrayLike | None = None,
    times: PathLike | ArrayLike | None = None,
    pixel_size: float | None = None,
) -> FoundSeries:
    """Find everything about a tilt series except its pixels.

    Parameters
    ----------
    path : path-like or sequence of path-like
        A stack, a folder or several files with one tilt each, or an ``.mdoc`` that describes some.
    tilt_angles, times, pixel_size
        As for :func:`napari_stinr.read_tilt_series`.

    Returns
    -------
    FoundSeries
        Where angles are missing or do not fit, it says why in their place.

    Raises
    ------
    StinrError
        A file is missing, damaged or of another kind, or what was given does not fit the stack.
    """
    place = _Place.of(path)
    timetable = place.timetable(times)
    angles = place.angles(tilt_angles, timetable)
    when = place.times(times, timetable, angles)
    size, size_note = place.pixel_size(pixel_size)
    return FoundSeries(place.name, place.paths, place.stack, angles, when, size, size_note)


@dataclass(frozen=True, eq=False)
class _Place:
    """A stack and where to look for what belongs to it."""

    name: str
    paths: tuple[Path, ...]
    stack: Stack
    beside: Path
    mdoc: Mdoc | None = None
    mdoc_name: str = ""
    given: NDArray[np.int64] | None = None
    by_name: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, path: PathLike | Sequence[PathLike]) -> _Place:
        listed = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        paths = [Path(one).expanduser() for one in listed]
        if not paths:
            raise StinrError("no file was given", expected="a tilt series", cure="Give a file, or several.")
        sources = find_sources(paths)
        name = series_name(paths, sources)
        if len(sources) > 1:
            files = read_files(sources)
            folder = sources[0].path.parent
            return cls(name, files.paths, files.stack, folder, given=files.given, by_name=files.by_name)
        file = sources[0].path
        described = next((one for one in paths if one.suffix.lower() == MDOC_ENDING), None) or sidecars.find_mdoc(file)
        stack = read_stack(file)
        mdoc = None if described is None else read_mdoc(described)
        return cls(name, (file,), stack, file, mdoc, "" if described is None else described.name)

    @property
    def label(self) -> str:
        return self.paths[0].name if len(self.paths) == 1 else f"the {len(self.paths)} files of {self.name}"

    @property
    def n_tilts(self) -> int:
        return len(self.stack.images)

    def timetable(self, times: PathLike | ArrayLike | None) -> sidecars.Timetable | None:
        if isinstance(times, (str, os.PathLike)):
            if times in ACQUISITION_ORDERS:
                return None
            file = Path(times).expanduser()
            if not is_file(file):
                raise StinrError(
                    f"times are {str(times)!r}, which is no file",
                    expected=_HOW_TO_GIVE_TIMES,
                    cure="Check the name, or give an array of times.",
                )
        elif times is not None or (self.stack.complete and self._own_times() is not None):
            return None
        else:
            beside = sidecars.find_timetable(self.beside)
            if beside is None:
                return None
            file = beside
        return sidecars.read_timetable(file).reordered(self.by_name)

    def angles(self, given: PathLike | ArrayLike | None, timetable: sidecars.Timetable | None) -> Found | StinrError:
        if given is not None:
            found = self._given_angles(given)
            problem = self._count_problem(found, "tilt angles")
            if problem is not None:
                raise problem
        else:
            chosen = self._fitting(self._angles_found(timetable))
            if isinstance(chosen, StinrError):
                return chosen
            found = chosen
        if timetable is not None and timetable.tilt_angles is not None:
            sidecars.check_agreement(found.values, timetable.tilt_angles, timetable.source)
        return found

    def times(
        self, given: PathLike | ArrayLike | None, timetable: sidecars.Timetable | None, angles: Found | StinrError
    ) -> Found:
        if timetable is not None:
            found = Found(timetable.times, f"Times from {timetable.source}.", timetable.unit)
        elif isinstance(given, str):
            if isinstance(angles, StinrError):
                raise angles
            rank = acquisition_rank(angles.values, given).astype(np.float64)
            found = Found(rank, f"Times from the acquisition order {given}.")
        elif given is not None:
            found = Found(self._in_order(_numbers(given, "times", f"Give {_HOW_TO_GIVE_TIMES}.")), "Times as given.")
        else:
            own = self._own_times()
            found = (own if self.stack.complete else None) or self._mdoc_times() or own or self._assumed_times()
        problem = self._count_problem(found, "times")
        if problem is not None:
            raise problem
        return found

    def pixel_size(self, given: float | None) -> tuple[float | None, str]:
        if given is not None:
            return given, f"Pixel size {given:g} Å as given."
        if self.stack.pixel_size is not None:
            return self.stack.pixel_size, f"Pixel size {self.stack.pixel_size:g} Å from the {self.stack.place}."
        if self.mdoc is not None and self.mdoc.pixel_size is not None:
            return self.mdoc.pixel_size, f"Pixel size {self.mdoc.pixel_size:g} Å from {self.mdoc_name}."
        return None, NO_PIXEL_SIZE

    def _given_angles(self, given: PathLike | ArrayLike) -> Found:
        if not isinstance(given, (str, os.PathLike)):
            values = _numbers(given, "tilt angles", _HOW_TO_GIVE_ANGLES)
            return Found(self._in_order(values), "Tilt angles as given.")
        text = os.fspath(given)
        values_of_range = sidecars.parse_angle_range(text, self.n_tilts)
        if values_of_range is not None:
            return Found(self._by_name(values_of_range), f"Tilt angles from {text} (start:step, degrees).")
        file = Path(text).expanduser()
        if not is_file(file):
            raise StinrError(
                f"tilt angles are {text!r}, which is no file",
                expected="a file or START:STEP",
                cure=_HOW_TO_GIVE_ANGLES,
            )
        return Found(self._by_name(sidecars.read_angles(file)), f"Tilt angles from {file.name}.")

    def _angles_found(self, timetable: sidecars.Timetable | None) -> Iterator[Found]:
        """Yield the angles in the order of how much they are to be trusted."""
        stack, place = self.stack, self.stack.place
        in_stack = None if stack.tilt_angles is None else Found(stack.tilt_angles, f"Tilt angles from the {place}.")
        if stack.complete and in_stack is not None:
            yield in_stack
        beside = sidecars.find_angle_file(self.beside)
        if beside is not None and beside.suffix.lower() != MDOC_ENDING:
            yield Found(self._by_name(sidecars.read_angles(beside)), f"Tilt angles from {beside.name}.")
        if self.mdoc is not None and self.mdoc.tilt_angles is not None:
            yield Found(self.mdoc.tilt_angles, f"Tilt angles from {self.mdoc_name}.")
        if in_stack is not None:
            yield in_stack
        if timetable is not None and timetable.tilt_angles is not None:
            yield Found(timetable.tilt_angles, f"Tilt angles from {timetable.source}.")

    def _fitting(self, candidates: Iterator[Found]) -> Found | StinrError:
        problem: StinrError | None = None
        for found in candidates:
            wrong = self._count_problem(found, "tilt angles")
            if wrong is None:
                # A list for another stack may lie beside this one: to take what fits is right, and must be seen.
                passed_over = f" Passed over: {problem.found}." if problem is not None else ""
                return replace(found, note=found.note + passed_over)
            problem = problem or wrong
        return problem or StinrError(
            f"no tilt angles for {self.label}: neither a file beside it nor its header has them",
            expected=f"{self.n_tilts} angles",
            cure=_HOW_TO_GIVE_ANGLES,
        )

    def _own_times(self) -> Found | None:
        stack = self.stack
        if stack.timestamps is not None:
            return Found(stack.timestamps - stack.timestamps.min(), f"Times from the {stack.place}.", "s")
        return None if stack.times is None else Found(stack.times, f"Times from the {stack.place}.", stack.time_unit)

    def _mdoc_times(self) -> Found | None:
        if self.mdoc is None:
            return None
        if self.mdoc.seconds is not None:
            return Found(self.mdoc.seconds, f"Times from the DateTime of {self.mdoc_name}.", "s")
        if self.mdoc.doses is not None:
            return Found(self.mdoc.doses, f"Times from the PriorRecordDose of {self.mdoc_name}.", sidecars.DOSE_UNIT)
        return None

    def _assumed_times(self) -> Found:
        return Found(np.arange(self.n_tilts, dtype=np.float64), TIMES_ASSUMED, assumed=True)

    def _in_order(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        # An array belongs to the files as they were listed beside it.
        return values if self.given is None or values.shape != (self.n_tilts,) else values[self.given]

    def _by_name(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        # A list in a file belongs to the files as a folder lists them.
        return values if self.by_name is None or values.shape != (self.n_tilts,) else values[self.by_name]

    def _count_problem(self, found: Found, what: str) -> StinrError | None:
        if found.values.shape == (self.n_tilts,):
            return None
        return StinrError(
            f"{found.values.size} {what} for {self.label} ({found.note.rstrip('.')})",
            expected=f"{self.n_tilts}, one for every projection" if self.n_tilts > 1 else "1: it holds 1 image",
            cure="Add or remove lines, or give the right file."
            if self.n_tilts > 1
            else "Give the whole stack, all files with one tilt each, or their folder.",
        )


def _numbers(values: object, what: str, cure: str) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StinrError(f"the {what} are {str(values)[:60]}", expected="numbers", cure=cure) from error
