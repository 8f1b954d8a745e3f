"""Find out before a long computation whether its result can be written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.endings import OME_ZARR_ENDING, written_ending
from napari_stinr.io.output.atomic import check_target, temporary_beside, write_problem

_PROBE_BYTES = 2**16


RUN_ENDING = ".stinr"
"""Ending of the file of a reconstruction."""
PROJECT_ENDING = ".stinr-project"
"""Ending of the file of a project: all that a person has done with a series in the window."""


def lists_beside(path: Path) -> tuple[Path, Path]:
    """Return where the tilt angles and the times of a series are written, beside a file of it.

    Parameters
    ----------
    path : Path
        The stack, or the settings that go with it.

    Returns
    -------
    angles, times : Path
        ``NAME.rawtlt`` and ``NAME_times.csv``: reading ``NAME.mrc`` finds both.
    """
    return path.with_name(f"{path.stem}.rawtlt"), path.with_name(f"{path.stem}_times.csv")


def check_output(path: Path, *, endings: tuple[str, ...] = (RUN_ENDING,)) -> None:
    """Find out before a long computation whether its result can be written.

    Parameters
    ----------
    path : Path
        File that will be written, or folder where it ends in ``.ome.zarr``.
    endings : tuple of str
        File endings that make sense, in lower case.

    Raises
    ------
    StinrError
        The ending is another one, the folder is missing or cannot be written, the disk is full, or `path` is a folder
        that must stay.
    """
    target = Path(os.path.realpath(path.expanduser()))
    ending = written_ending(target)
    if os.path.isdir(target) and ending != OME_ZARR_ENDING:
        raise StinrError(f"{target} is a folder", expected="the name of a file", cure="Add a file name to it.")
    if ending not in endings:
        raise StinrError(
            f"{target.name} ends in {target.suffix!r}",
            expected="one of " + ", ".join(endings) if len(endings) > 1 else endings[0],
            cure="Change the ending of the name.",
        )
    _probe(target)
    if ending == OME_ZARR_ENDING:
        from napari_stinr.io.output.ome_zarr import check_installed, check_store_target

        check_installed()
        check_store_target(target, overwrite=True)
    else:
        check_target(target, overwrite=True)


def check_folder(path: Path) -> None:
    """Find out before a long computation whether files can be written to a folder that may not exist yet.

    Parameters
    ----------
    path : Path
        Folder that will be made, and its parents with it.

    Raises
    ------
    StinrError
        It is a file, its nearest parent that exists cannot be written, or the disk is full.
    """
    folder = Path(os.path.realpath(path.expanduser()))
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise StinrError(f"{folder} is a file", expected="a folder", cure="Choose the name of a folder.")
    _probe(folder / "probe")


def _probe(target: Path) -> None:
    probe = temporary_beside(target)
    try:
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as error:
        raise write_problem(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
