"""Open a project: read it in the background, then give what it holds to the session. No Qt in here."""

from __future__ import annotations

import json
import tempfile
import zipfile
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.alignment.pose import Pose
from napari_stinr.config import PreprocessingConfig, ReconstructionConfig
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import is_file, read_images, refusing
from napari_stinr.io.formats.guards.zip_archives import read_members
from napari_stinr.io.formats.registry import read_stack
from napari_stinr.plugin.session.alignment_pose import KnownPose
from napari_stinr.plugin.session.draft import SeriesDraft, matching_draft
from napari_stinr.plugin.session.new_draft import draft_of_stack, read_draft
from napari_stinr.plugin.session.project import CONTENT, FORMAT, LOG, READ_ANEW, STACK, VERSION
from napari_stinr.plugin.session.project_values import FileReference, decoded
from napari_stinr.plugin.session.run_log import RunLog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_stinr.pace import Update
    from napari_stinr.plugin.session.session import Session
    from napari_stinr.reconstruction import Reconstruction

_LONGEST_CONTENT = 64_000_000
"""No project says more than this beside its runs [byte]."""
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A run from a project: what it reached and when, its losses, its name, and whether it was worked on."""

    reconstruction: Reconstruction
    when: datetime
    log: RunLog
    name: str = ""
    is_current: bool = False
    contamination: float | None = None


@dataclass(frozen=True, eq=False)
class OpenedProject:
    """What was read of a project.

    Parameters
    ----------
    path : Path
        Its file.
    draft : SeriesDraft or None
        The series as it was corrected; None where there was none, or its files are missing.
    settings : mapping
        As :class:`Project` has them.
    pose : KnownPose or None
        Where the projections were recorded.
    runs : tuple of SavedRun
        Those that are there.
    view : mapping
        What the window showed.
    missing : tuple of str
        Names of files of the series that are not where they were.
    problems : tuple of str
        What else is not as it was, one sentence each.
    """

    path: Path
    draft: SeriesDraft | None
    settings: Mapping[str, Any]
    pose: KnownPose | None = None
    runs: tuple[SavedRun, ...] = ()
    view: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def give_to(self, session: Session) -> None:
        """Let a session have all of it; a StinrError says that a training is in progress."""
        draft, settings = self.draft, self.settings
        if draft is not None:
            session.set_draft(draft)
        session.device, session.threads = str(settings["device"]), int(settings["threads"])
        session.quality = str(settings["quality"])
        if settings["is_customised"]:
            session.customise(ReconstructionConfig.from_yaml(settings["config"]))
        else:
            session.choose(preset=str(settings["preset"]), quality=session.quality)
            session.align_first(bool(settings["aligns_first"]))
        if draft is not None and self.pose is not None:
            session.set_pose(self.pose)
        # What was worked on last is what is worked on again.
        for saved in sorted(self.runs, key=lambda saved: saved.is_current):
            session.show(saved.reconstruction, draft=matching_draft(draft, saved.reconstruction))
            run = session.runs.of(saved.reconstruction)
            if run is not None:
                session.runs.rename(run, saved.name)
                session.runs.measure(run, saved.contamination)
                session.runs.remember(run, when=saved.when, log=saved.log)
        current = session.runs.of(session.reconstruction)
        if self.runs and current is not None:
            session.come_back(current)


def open_project(
    path: Path,
    *,
    look_in: Path | None = None,
    runs: tuple[SavedRun, ...] | None = None,
    progress: Update | None = None,
) -> OpenedProject:
    """Read a project with its runs, and the headers of its series.

    Parameters
    ----------
    path : Path
        The file of the project.
    look_in : Path, optional
        A folder where files of the series are that were moved.
    runs : tuple of SavedRun, optional
        The runs where they have been read already: opened again with its series, a project shows them once.
    progress : callable, optional
        Called as ``progress(done, total)``; an error that it raises ends the reading.

    Returns
    -------
    OpenedProject
        What is there; what is missing or was changed is told.

    Raises
    ------
    StinrError
        The file is missing, damaged, or of a later version.
    """
    if not is_file(path):
        raise StinrError(f"{path} does not exist", expected="a project", cure="Check the name and the folder.")
    with refusing(path):
        return _opened(path.expanduser().absolute(), look_in, runs, progress or (lambda *_: None))


def _opened(path: Path, look_in: Path | None, known: tuple[SavedRun, ...] | None, tell: Update) -> OpenedProject:
    try:
        members = read_members(path)
    except StinrError as error:
        raise _damaged(path, "it is no archive, or incomplete") from error
    with zipfile.ZipFile(path) as archive:
        content = _content(path, archive, members)
        runs = content["runs"]
        total = 1 + len(runs)
        tell(0, total)
        problems: list[str] = []
        try:
            draft, missing = _series(path, content["series"], archive, look_in, problems)
            tell(1, total)
            saved = list(known or ())
            for number, run in enumerate(runs if known is None else (), 1):
                saved += _run(path, run, archive, problems)
                tell(1 + number, total)
            pose = _pose(content["pose"], draft)
            _check_settings(content["settings"])
        except StinrError:
            raise
        except _MALFORMED as error:
            raise _damaged(path, error) from error
    view = content["view"] if isinstance(content["view"], dict) else {}
    return OpenedProject(
        path, draft, content["settings"], pose, tuple(saved), view, tuple(missing), tuple(dict.fromkeys(problems))
    )


def _content(path: Path, archive: zipfile.ZipFile, members: Mapping[str, Any]) -> dict[str, Any]:
    if any(member.size != member.stored for member in members.values()):
        raise _damaged(path, "something in it is compressed")
    if CONTENT not in members or members[CONTENT].size > _LONGEST_CONTENT:
        raise _damaged(path, f"it has no {CONTENT}")
    try:
        content = json.loads(archive.read(CONTENT))
        is_ours, version = content["format"] == FORMAT, int(content["version"])
    except _MALFORMED as error:
        raise _damaged(path, error) from error
    if not is_ours or not {"series", "settings", "pose", "runs", "view"} <= content.keys():
        raise _damaged(path, "it is another kind of archive")
    if version > VERSION:
        raise StinrError(
            f"{path.name} was saved by a later version of napari-stinr",
            expected=f"a project of version {VERSION}",
            cure="Update napari-stinr, then open it again.",
        )
    return dict(content)


def _series(
    path: Path, series: Any, archive: zipfile.ZipFile, look_in: Path | None, problems: list[str]
) -> tuple[SeriesDraft | None, list[str]]:
    if series is None:
        return None, []
    values = {name: decoded(value) for name, value in series["values"].items()}
    files = [FileReference(**reference) for reference in series["files"]]
    if not files:
        return _corrected(_stack_inside(path, archive, str(values["name"])), values, problems), []
    found = [(file, file.found(path.parent, look_in)) for file in files]
    missing = [file.name for file, place in found if place is None]
    if missing:
        return None, missing
    places = [place for _, place in found if place is not None]
    changed = [file.name for file, place in found if place is not None and not file.is_same(place)]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        problems.append(f"{changed[0]}{more} changed since the project was saved: check angles, times and pixel size.")
    moved = {file.absolute: place for file, place in found if place is not None}
    fresh = read_draft(places if len(places) > 1 else places[0])
    return _corrected(fresh, _with_places(values, moved), problems), []


def _corrected(fresh: SeriesDraft, values: dict[str, Any], problems: list[str]) -> SeriesDraft:
    """Put the corrections of a person in place of what the files say."""
    if len(values["tilt_angles"]) != fresh.n_tilts:
        problems.append(
            f"{fresh.name} has {fresh.n_tilts} projections and had {len(values['tilt_angles'])}: "
            "its corrections are not taken."
        )
        return fresh
    known = {one.name for one in fields(SeriesDraft)} - READ_ANEW
    kept = {name: value for name, value in values.items() if name in known}
    for name, value in kept.items():
        own = getattr(fresh, name)
        # The same object: by that a draft knows what is as it was found.
        if isinstance(value, np.ndarray) and np.array_equal(own, value, equal_nan=value.dtype.kind == "f"):
            kept[name] = own
    return replace(fresh, **kept)


def _with_places(values: dict[str, Any], moved: Mapping[str, Path]) -> dict[str, Any]:
    """Let what lay beside the stack be where that is now, if it is there."""
    old, new = next(iter(moved.items()))
    was, now = Path(old).parent, new.parent

    def place(path: Path) -> Path:
        there = now / path.name
        return there if path.parent == was and there.is_file() else path

    described = tuple(place(path) for path in values["described_by"])
    arguments = {name: values[name] for name in ("angles_argument", "times_argument")}
    arguments = {name: str(place(Path(text))) if Path(text).is_absolute() else text for name, text in arguments.items()}
    return {**values, "described_by": described, **arguments}


def _stack_inside(path: Path, archive: zipfile.ZipFile, name: str) -> SeriesDraft:
    with tempfile.TemporaryDirectory(prefix="stinr-") as folder:
        place = _taken_out(archive, STACK, Path(folder) / STACK)
        projections = read_images(read_stack(place).images, place)
    return draft_of_stack(projections, name=name)


def _run(path: Path, run: dict[str, Any], archive: zipfile.ZipFile, problems: list[str]) -> Sequence[SavedRun]:
    from napari_stinr.reconstruction import load_reconstruction

    name, contamination = str(run["name"]), run["contamination"]
    amount = None if contamination is None else float(contamination)
    try:
        if "member" in run:
            with tempfile.TemporaryDirectory(prefix="stinr-") as folder:
                place = _taken_out(archive, str(run["member"]), Path(folder) / "run.stinr")
                reconstruction = load_reconstruction(place)
        else:
            reference = FileReference(**run["file"])
            found = reference.found(path.parent)
            if found is None:
                problems.append(f"The run {reference.name} is not where it was, and left out.")
                return []
            reconstruction = load_reconstruction(found)
    except StinrError as error:
        problems.append(str(error))
        return []
    steps, losses, held_out, stages = (list(decoded(run["log"][name])) for name in LOG)
    log = RunLog(steps, losses, held_out, stages)
    when = datetime.fromisoformat(run["when"])
    return [SavedRun(reconstruction, when, log, name, bool(run["is_current"]), amount)]


def _taken_out(archive: zipfile.ZipFile, member: str, place: Path) -> Path:
    with archive.open(member) as source, place.open("wb") as target:
        while piece := source.read(2**20):
            target.write(piece)
    return place


def _pose(values: Any, draft: SeriesDraft | None) -> KnownPose | None:
    if values is None or draft is None:
        return None
    height, width = (int(n) for n in values["shape"])
    return KnownPose(
        Pose.from_yaml(values["pose"]),
        str(values["origin"]),
        draft,
        PreprocessingConfig.model_validate(values["preprocessing"]),
        (height, width),
        bool(values["is_turned"]),
        remarks=tuple(map(str, values["remarks"])),
    )


def _check_settings(settings: Mapping[str, Any]) -> None:
    ReconstructionConfig.from_yaml(settings["config"])
    names = ("preset", "quality", "is_customised", "aligns_first", "device")
    if not all(name in settings for name in names) or int(settings["threads"]) < 1:
        raise ValueError("the settings are not complete")


def _damaged(path: Path, reason: object) -> StinrError:
    return StinrError(
        f"{path.name} cannot be read ({str(reason)[:120] or type(reason).__name__})",
        expected="a project that napari-stinr saved",
        cure="Copy it again from where it came from, or open an earlier one.",
    )
