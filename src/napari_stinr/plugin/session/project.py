"""A project: all that a person has done with a series, in one file. No Qt in here.

The file is an uncompressed zip archive of JSON (``project.json``), of runs as ``.stinr``, and of the projections where
no file has them. The stack itself stays where it is: the project knows its place and its fingerprint.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.output.atomic import atomic_output
from napari_stinr.io.output.targets import PROJECT_ENDING, RUN_ENDING
from napari_stinr.plugin.session.project_values import FileReference, encoded
from napari_stinr.plugin.session.run_log import RunLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_stinr.pace import Update
    from napari_stinr.plugin.session.alignment_pose import KnownPose
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.runs import Run
    from napari_stinr.plugin.session.session import Session

FORMAT, VERSION = "napari-stinr project", 1
CONTENT, STACK, RUNS = "project.json", "projections.npy", "runs"
"""Members of the archive."""
LOG = ("steps", "losses", "held_out", "stages")
"""What is kept of the course of a run."""
READ_ANEW = frozenset({"found", "preview"})
"""Fields of a draft that come from its files again."""
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that an archive can tell: the same project gives the same bytes."""


@dataclass(frozen=True, eq=False)
class Project:
    """What goes into the file; everything in it is frozen, so that it can be written in the background.

    Parameters
    ----------
    draft : SeriesDraft or None
        The series with its corrections.
    settings : mapping
        Preset, quality, settings, device and threads.
    pose : KnownPose or None
        Where the projections were recorded.
    runs : tuple of Run
        Those that have something to show.
    current : int or None
        Number of the run that is worked on.
    view : mapping
        What the window shows, as JSON has it.
    """

    draft: SeriesDraft | None
    settings: Mapping[str, Any]
    pose: KnownPose | None = None
    runs: tuple[Run, ...] = ()
    current: int | None = None
    view: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, view: Mapping[str, Any]) -> Project:
        """Take up what a session has now.

        Parameters
        ----------
        session : Session
            Of the window.
        view : mapping
            What the window shows, as JSON has it.

        Returns
        -------
        Project
            To be written.
        """
        settings = {
            "preset": session.preset,
            "quality": session.quality,
            "is_customised": session.is_customised,
            "aligns_first": session.aligns_first,
            "config": session.config.to_yaml(),
            "device": session.device,
            "threads": session.threads,
        }
        current = session.runs.of(session.reconstruction)
        number = None if current is None else current.number
        # A run that goes on has its checkpoint noted at its end only, and is told about while it is written.
        runs = tuple(
            replace(
                run,
                checkpoint=session.checkpoint if run.number == number else run.checkpoint,
                log=RunLog(**{name: list(getattr(run.log, name)) for name in LOG}),  # type: ignore[arg-type]
            )
            for run in session.runs.runs
        )
        return cls(session.draft, settings, session.known_pose, runs, number, view)

    def save(self, path: Path, *, keep_runs: bool = True, progress: Update | None = None) -> Path:
        """Write the project, whole or not at all, over one that is there.

        Parameters
        ----------
        path : Path
            File to write.
        keep_runs : bool
            Put the runs into the file. Else it knows where their checkpoints are; runs without one are left out.
        progress : callable, optional
            Called as ``progress(done, total)``; an error that it raises ends the writing.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        StinrError
            The ending is another one, or a file cannot be read or written.
        """
        if path.suffix.lower() != PROJECT_ENDING:
            raise StinrError(
                f"{path.name} ends in {path.suffix!r}", expected=PROJECT_ENDING, cure="Change the ending of the name."
            )
        tell = progress or (lambda *_: None)
        total = 2 + len(self.runs)
        tell(0, total)
        series = self._series(path.parent)
        with atomic_output(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
            if self.draft is not None and not self.draft.paths:
                self._write_stack(archive)
            tell(1, total)
            runs = []
            for number, run in enumerate(self.runs, 1):
                runs += self._run(archive, run, path.parent, keep_runs=keep_runs)
                tell(1 + number, total)
            content = {
                "format": FORMAT,
                "version": VERSION,
                "series": series,
                "settings": dict(self.settings),
                "pose": None if self.pose is None else _pose_values(self.pose),
                "runs": runs,
                "view": dict(self.view),
            }
            text = json.dumps(content, allow_nan=False, ensure_ascii=False, indent=1)
            archive.writestr(zipfile.ZipInfo(CONTENT, _FIRST_DATE), text.encode())
        tell(total, total)
        return path

    def _series(self, folder: Path) -> dict[str, Any] | None:
        draft = self.draft
        if draft is None:
            return None
        names = [one.name for one in fields(draft) if one.name not in READ_ANEW]
        try:
            files = [asdict(FileReference.of(path, folder)) for path in draft.paths]
        except OSError as error:
            raise StinrError(
                f"{draft.paths[0].name} cannot be read ({error.strerror or error})",
                expected="the files of the series",
                cure="Bring them back, or open the series again.",
            ) from error
        return {"files": files, "values": {name: encoded(getattr(draft, name)) for name in names}}

    def _write_stack(self, archive: zipfile.ZipFile) -> None:
        assert self.draft is not None
        projections = np.array(self.draft.projections(), dtype=np.float32)
        mask = self.draft.preview.mask
        if mask is not None:
            projections[~mask] = np.nan
        with archive.open(zipfile.ZipInfo(STACK, _FIRST_DATE), "w", force_zip64=True) as stream:
            np.lib.format.write_array(stream, projections, allow_pickle=False)

    def _run(self, archive: zipfile.ZipFile, run: Run, folder: Path, *, keep_runs: bool) -> list[dict[str, Any]]:
        reconstruction = run.reconstruction
        assert reconstruction is not None
        facts: dict[str, Any] = {
            "name": run.name,
            "when": run.when.isoformat(),
            "is_current": run.number == self.current,
            "contamination": run.contamination,
            "log": {name: encoded(getattr(run.log, name)) for name in LOG},
        }
        if not keep_runs:
            if run.checkpoint is None or not run.checkpoint.is_file():
                return []
            return [{**facts, "file": asdict(FileReference.of(run.checkpoint, folder))}]
        member = f"{RUNS}/{run.number}{RUN_ENDING}"
        with tempfile.TemporaryDirectory(prefix=".stinr-", dir=folder) as place:
            saved = Path(place) / "run.stinr"
            reconstruction.save(saved)
            info = zipfile.ZipInfo(member, _FIRST_DATE)
            with saved.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                while piece := source.read(2**20):
                    target.write(piece)
        return [{**facts, "member": member}]


def _pose_values(known: KnownPose) -> dict[str, Any]:
    return {
        "pose": known.pose.to_yaml(),
        "origin": known.origin,
        "preprocessing": known.preprocessing.model_dump(mode="json"),
        "shape": list(known.shape),
        "is_turned": known.is_turned,
        "remarks": list(known.remarks),
    }
