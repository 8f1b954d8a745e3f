"""A file of jobs: `defaults` for all of them, and `jobs`, each a tilt series with its own options.

Everything that is wrong with any of them is found before the first one begins, with the line where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_stinr.config.faults import first_fault, settings_fault
from napari_stinr.config.yaml_text import read_settings_text
from napari_stinr.config.yaml_words import MAXIMUM_BYTES, Words, parse_words
from napari_stinr.errors import StinrError
from napari_stinr.training.jobs.expansion import expanded
from napari_stinr.training.jobs.options import EXCLUDING, ExportOptions, JobOptions
from napari_stinr.training.jobs.paths import doubled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_stinr.config.yaml_words import Where

_PARTS = ("defaults", "jobs")
_ONLY_OF_ONE = ("name", "stack")
_SEE = "`stinr run --example` prints a file that works."


@dataclass(frozen=True)
class Job:
    """One training that a file asks for.

    Parameters
    ----------
    options : JobOptions
        What is asked for.
    place : str
        Where that stands, such as ``"jobs.yaml line 12"``.
    """

    options: JobOptions
    place: str

    @property
    def name(self) -> str:
        """What it is called."""
        return self.options.name


class FaultyJobsError(StinrError):
    """Something is wrong with one or several jobs; the text is about the first of `problems`."""

    def __init__(self, problems: Sequence[StinrError]) -> None:
        first = problems[0]
        super().__init__(first.found, expected=first.expected, cure=first.cure)
        self.problems = tuple(problems)


def read_jobs(path: Path) -> tuple[Job, ...]:
    """Read a file of jobs.

    Parameters
    ----------
    path : Path
        YAML file. Paths in it are relative to its folder.

    Returns
    -------
    tuple of Job
        In the order of the file, patterns and lists of seeds expanded; no two have one name or write one file.

    Raises
    ------
    FaultyJobsError
        All that is wrong in it.
    """
    path = path.expanduser().absolute()
    try:
        text = read_settings_text(path, longest=MAXIMUM_BYTES)
        words = parse_words(text, name=path.name, verbatim="config")
        return _Reader(path, words).jobs()
    except FaultyJobsError:
        raise
    except StinrError as error:
        raise FaultyJobsError([error]) from error


class _Reader:
    def __init__(self, path: Path, words: Words) -> None:
        self._file, self._folder, self._words = path.name, path.parent, words
        self._problems: list[StinrError] = []

    def jobs(self) -> tuple[Job, ...]:
        values = self._words.values
        for name in values.keys() - set(_PARTS):
            self._problems.append(self._unknown((name,), name, _PARTS))
        defaults, listed = values.get("defaults") or {}, values.get("jobs")
        if not isinstance(defaults, dict):
            raise self._error(("defaults",), "defaults have no names", "options as `name: value`", _SEE)
        for name in _ONLY_OF_ONE:
            if name in defaults:
                raise self._error(("defaults", name), f"defaults give a {name}", f"a {name} for every job", _SEE)
        if not isinstance(listed, list) or not listed:
            if self._problems:
                raise FaultyJobsError(self._problems)
            raise self._error(("jobs",), f"{self._file} lists no jobs", "`jobs:`, and one `- stack: FILE` each", _SEE)
        jobs = [job for number, given in enumerate(listed) for job in self._jobs(number, given, defaults)]
        self._problems += doubled([(job.place, job.options) for job in jobs])
        if self._problems:
            raise FaultyJobsError(self._problems)
        return tuple(jobs)

    def _jobs(self, number: int, given: Any, defaults: dict[str, Any]) -> Iterator[Job]:
        """Yield the jobs of one entry; what is wrong is noted."""
        where: Where = ("jobs", number)
        if not isinstance(given, dict):
            self._problems.append(self._error(where, f"job {number + 1} is {given!r:.60}", "`stack: FILE`", _SEE))
            return
        try:
            for options in expanded(_merged(defaults, given), self._folder):
                job = self._validated(where, given, options)
                _ = job.settings  # which may be refused
                yield Job(job, f"{self._file} line {self._words.line(where)}")
        except _PlacedError as error:
            self._problems.append(error.problem)
        except StinrError as error:
            found = f"{self._file} line {self._words.line(where)}: {error.found}"
            self._problems.append(StinrError(found, expected=error.expected, cure=error.cure))

    def _validated(self, where: Where, given: dict[str, Any], options: dict[str, Any]) -> JobOptions:
        try:
            return JobOptions.model_validate(options)
        except ValidationError as error:
            together = settings_fault(error)
            if together is not None:
                raise together from error
            fault = first_fault(error)
            name = str(fault.where[0])
            place: Where = (*where, *fault.where) if name in given else ("defaults", *fault.where)
            if error.errors()[0]["type"] == "extra_forbidden":
                known = ExportOptions if len(fault.where) > 1 else JobOptions
                raise _PlacedError(self._unknown(place, str(fault.where[-1]), tuple(known.model_fields))) from error
            what = ".".join(map(str, fault.where))
            raise _PlacedError(
                self._error(place, f"{what} is {fault.value!r:.60}", fault.expected, "Correct it there.")
            ) from error

    def _unknown(self, where: Where, name: str, known: Sequence[str]) -> StinrError:
        near = get_close_matches(name, known, n=1)
        cure = "It goes on with what it finds by itself." if name == "resume" else f"Remove it. {_SEE}"
        if near:
            cure = f"Write {near[0]}, if that is meant."
        return self._error(where, f"there is no option {name:.40}", ", ".join(known), cure)

    def _error(self, where: Where, found: str, expected: str, cure: str) -> StinrError:
        return StinrError(f"{self._file} line {self._words.line(where)}: {found}", expected=expected, cure=cure)


class _PlacedError(Exception):
    """A problem that says already where it is."""

    def __init__(self, problem: StinrError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _merged(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Put the options of a job over the defaults; nothing, given for a job, takes a default away."""
    kept = dict(defaults)
    for pair in EXCLUDING:
        for name, other in (pair, pair[::-1]):
            if given.get(name) is not None:
                kept.pop(other, None)
    return {name: value for name, value in (kept | given).items() if value is not None}
