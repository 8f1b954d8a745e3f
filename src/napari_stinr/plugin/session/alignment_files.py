"""Poses in files, and the same pose for another channel of the series; what was written can be taken back."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_stinr.alignment.aligned_files import write_aligned
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.pose_files import POSES, read_pose, write_pose
from napari_stinr.alignment.warp import aligned
from napari_stinr.errors import StinrError
from napari_stinr.io.output.atomic import atomic_output
from napari_stinr.io.output.targets import lists_beside
from napari_stinr.plugin.session.alignment_run import prepared_series
from napari_stinr.plugin.session.draft import EDITED
from napari_stinr.plugin.session.new_draft import read_draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_stinr.config import PreprocessingConfig
    from napari_stinr.plugin.session.alignment_pose import KnownPose
    from napari_stinr.plugin.session.alignment_run import SeriesView
    from napari_stinr.plugin.session.draft import SeriesDraft

POSE_FILTER = (
    f"Poses ({' '.join(f'*{ending}' for ending in POSES)});;STINR (*.yaml *.yml);;IMOD (*.xf);;AreTomo (*.aln);;"
    "All files (*)"
)
STACK_FILTER = "Aligned stack (*.mrc)"
_LISTS_OF_IMOD = (".tlt", ".xtilt")


@dataclass(frozen=True)
class WrittenFiles:
    """Files that were written, and what there was before.

    Parameters
    ----------
    before : dict
        Content of each file before, None where there was none.
    stamps : dict
        Size and time of each file as it was written.
    """

    before: dict[Path, bytes | None]
    stamps: dict[Path, tuple[int, int]]

    @classmethod
    def of(cls, before: dict[Path, bytes | None]) -> WrittenFiles:
        """Remember files that have just been written."""
        return cls(before, {path: _stamp(path) for path in before if path.exists()})

    def undo(self) -> None:
        """Put back what there was; a StinrError says that a file was changed by somebody else since then."""
        for path, stamp in self.stamps.items():
            if path.exists() and _stamp(path) != stamp:
                raise StinrError(
                    f"{path.name} was changed after it was written",
                    expected="the file as it was written",
                    cure="Remove it by hand if it is not wanted.",
                )
        for path in self.stamps:
            content = self.before[path]
            if content is None:
                path.unlink(missing_ok=True)
            else:
                with atomic_output(path) as temporary:
                    temporary.write_bytes(content)


def read_known_pose(path: Path, view: SeriesView) -> KnownPose:
    """Read the pose of a series.

    Parameters
    ----------
    path : Path
        As for :func:`napari_stinr.alignment.pose_files.read_pose`.
    view : SeriesView
        The series.

    Returns
    -------
    KnownPose
        The pose, with a remark for all that the file says and a pose cannot hold.

    Raises
    ------
    StinrError
        It is no pose, or that of another series.
    """
    nobodys = view.known(_identity(view), "")
    with _remarks() as remarks:
        pose = read_pose(path, shape=nobodys.shape_in_file, tilt_angles=view.series.tilt_angles, turned=view.is_turned)
    return replace(nobodys, pose=pose, origin=f"read from {path.name}", remarks=tuple(remarks))


def save_pose(path: Path, known: KnownPose) -> tuple[WrittenFiles, tuple[str, ...]]:
    """Write a pose.

    Parameters
    ----------
    path : Path
        As for :func:`napari_stinr.alignment.pose_files.write_pose`; replaced if it is there.
    known : KnownPose
        The pose.

    Returns
    -------
    written : WrittenFiles
        To take it back.
    remarks : tuple of str
        What the format cannot hold.

    Raises
    ------
    StinrError
        The ending is another one, or the file cannot be written.
    """
    beside = [path.with_suffix(ending) for ending in _LISTS_OF_IMOD] if path.suffix.lower() == ".xf" else []
    before = {file: file.read_bytes() if file.is_file() else None for file in (path, *beside)}
    angles = known.draft.filled_angles
    with _remarks() as remarks:
        write_pose(path, known.pose, shape=known.shape_in_file, tilt_angles=angles, turned=known.is_turned)
    return WrittenFiles.of(before), tuple(remarks)


def other_channel(path: Path, known: KnownPose) -> SeriesDraft:
    """Read another channel of a series, recorded together with it.

    Parameters
    ----------
    path : Path
        Stack of the same size.
    known : KnownPose
        The pose, with the series that it was found for.

    Returns
    -------
    SeriesDraft
        With the angles, times, crop and binning of that series, and its tilt axis where that lay; its own pixels.

    Raises
    ------
    StinrError
        The file cannot be read, or is of another size.
    """
    draft, other = known.draft, read_draft(path)
    if other.shape != draft.shape:
        n_tilts, height, width = draft.shape
        raise StinrError(
            f"{path.name} has {other.shape[0]} projections of {other.shape[1]} x {other.shape[2]} pixels",
            expected=f"{n_tilts} of {height} x {width}, as {draft.name} has",
            cure="Choose a channel that was recorded together with this series.",
        )
    axis = "horizontal" if known.is_turned else "vertical"
    return replace(
        other.prepared(axis=axis),
        tilt_angles=draft.filled_angles,
        angles_argument=draft.angles_argument or EDITED,
        times=draft.times,
        times_argument=draft.times_argument or EDITED,
        time_unit=draft.time_unit,
        time_assumed=draft.time_assumed,
        used=draft.used & other.used,
        pixel_size=draft.pixel_size if other.pixel_size is None else other.pixel_size,
        flip_tilt=draft.flip_tilt,
        axis_offset=draft.axis_offset,
        binning=draft.binning,
        crop=draft.crop,
    )


def pose_of_channel(other: SeriesDraft, known: KnownPose, preprocessing: PreprocessingConfig) -> KnownPose:
    """Return the pose of a series for another channel of it, prepared in its own way."""
    origin = f"taken over from {known.draft.name}"
    return replace(known, draft=other, origin=origin, preprocessing=preprocessing, alignment=None)


def write_channel(path: Path, out: Path, known: KnownPose, preprocessing: PreprocessingConfig) -> WrittenFiles:
    """Write another channel of a series as an aligned stack.

    Parameters
    ----------
    path : Path
        Stack of the same size.
    out : Path
        MRC stack to write, which must not exist; its angles and times are written beside it.
    known : KnownPose
        The pose.
    preprocessing : PreprocessingConfig
        What is done to the channel before it is warped, apart from its axis.

    Returns
    -------
    WrittenFiles
        To take it back.

    Raises
    ------
    StinrError
        The channel cannot be read, is of another size, or a file exists or cannot be written.
    """
    files = (out, *lists_beside(out))
    for file in files:
        if file.exists():
            raise StinrError(f"{file} exists", expected="a new name", cure="Choose another name for the aligned stack.")
    other = other_channel(path, known)
    settings = preprocessing.model_copy(update=dict(other.preprocessing))
    write_aligned(out, aligned(prepared_series(other, settings), known.pose), overwrite=False)
    return WrittenFiles.of(dict.fromkeys(files))


def _identity(view: SeriesView) -> Pose:
    return Pose.identity(view.series.n_tilts)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@contextmanager
def _remarks() -> Iterator[list[str]]:
    """Collect what readers and writers of poses warn of in this thread."""
    said, thread = list[str](), threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                said.append(record.getMessage())

    listener, log = Listener(logging.WARNING), logging.getLogger("napari_stinr.alignment")
    log.addHandler(listener)
    try:
        yield said
    finally:
        log.removeHandler(listener)
