"""Poses from files and to files, and the same pose for another channel: in the background, each with its way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_stinr.plugin.canvas.telling import show_info
from napari_stinr.plugin.session.alignment_files import (
    other_channel,
    pose_of_channel,
    read_known_pose,
    save_pose,
    write_channel,
)
from napari_stinr.plugin.session.alignment_history import Act
from napari_stinr.plugin.session.alignment_run import view_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_stinr.plugin.session.alignment_files import WrittenFiles
    from napari_stinr.plugin.session.alignment_pose import KnownPose
    from napari_stinr.plugin.session.draft import SeriesDraft


class PoseFiles:
    """What a person does with files on the page `Align`, for the aligner that owns it; `run` of `BackgroundTasks`."""

    def __init__(self, aligner: Any, run: Callable[..., Any]) -> None:
        self._aligner, self._session, self._run = aligner, aligner.session, run

    def load(self, path: Path) -> None:
        """Take the pose of the series from a file."""
        session, view = self._session, self._aligner.view
        draft, config = session.draft, session.config
        if draft is None:
            return

        def read(_: Any) -> KnownPose:
            return read_known_pose(path, view or view_of(draft, config))

        def take(known: KnownPose) -> None:
            if known.fits(session.draft, session.config) and not session.is_active:
                self._aligner.take(known, f"load {path.name}")
            else:
                show_info(f"{path.name} was not taken: the series was changed while it was read.")

        self._run(f"open {path.name}", read, take, reads=path.name)

    def save(self, path: Path) -> None:
        """Write the known pose; a StinrError says why that is not possible."""
        known = self._aligner.known
        if known is None:
            return
        written, remarks = save_pose(path, known)
        self._aligner.done(Act(f"save {path.name}", written.undo))
        show_info("\n".join([f"Wrote {', '.join(file.name for file in written.stamps)}", *remarks]))

    def write_channel(self, path: Path, out: Path) -> None:
        """Write another channel as an aligned stack."""
        known, preprocessing = self._aligner.known, self._session.config.preprocessing
        if known is None:
            return

        def done(written: WrittenFiles) -> None:
            self._aligner.done(Act(f"write {out.name}", written.undo))
            show_info(f"Wrote {', '.join(file.name for file in written.stamps)}")

        self._run(f"write {out.name}", lambda _: write_channel(path, out, known, preprocessing), done)

    def open_channel(self, path: Path) -> None:
        """Let another channel be the series, with the same pose."""
        known = self._aligner.known
        if known is not None:
            self._run(
                f"open {path.name}",
                lambda _: other_channel(path, known),
                lambda other: self._show_channel(other, known),
                reads=path.name,
            )

    def _show_channel(self, other: SeriesDraft, known: KnownPose) -> None:
        session, aligner = self._session, self._aligner
        if session.is_active or session.draft is None or session.draft.preview is not known.draft.preview:
            show_info(f"{other.name} was not taken: the series was changed while it was read.")
            return
        draft, before, config, was_customised = session.draft, session.known_pose, session.config, session.is_customised

        def undo() -> None:
            session.set_draft(draft)
            if was_customised:
                session.customise(config)
            session.set_pose(before)
            aligner.series_swapped.emit()

        session.set_draft(other)
        aligner.take(pose_of_channel(other, known, session.config.preprocessing), f"open {other.name}")
        # One act and not two: the series, and with it its pose.
        aligner.history.replace_newest(Act(f"open {other.name}", undo))
        aligner.changed.emit()
        aligner.series_swapped.emit()
