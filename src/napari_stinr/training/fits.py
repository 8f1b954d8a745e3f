"""Whether a run fits: into memory, or with its volume on files; else what does."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.training.estimates import Memory

SCRIPT_CURE = "Read the series with binning={binning}"
"""How a larger binning is chosen where a script has read the series."""
_GB = 1e9


class DoesNotFitError(StinrError):
    """A run takes more memory or disk than there is; `binning` is one that fits, None where none does."""

    def __init__(self, found: str, *, expected: str, cure: str, binning: int | None) -> None:
        super().__init__(found, expected=expected, cure=cure)
        self.binning = binning


@dataclass(frozen=True)
class Room:
    """What a run takes, and where.

    Parameters
    ----------
    memory : int
        Memory of the device [bytes].
    disk : int
        Disk space; 0 where the volume is in memory [bytes].
    """

    memory: int
    disk: int = 0


def check_fits(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    *,
    binning: int,
    available: int,
    beside: int | None = None,
    reaches_edge: bool = False,
    path: Path | None = None,
    may_use_files: bool = True,
    cure: str = SCRIPT_CURE,
) -> Room:
    """Refuse a run that fits neither into the free memory nor on files; the cure names the binning that does.

    Parameters
    ----------
    shape, config, binning, available, beside, reaches_edge, cure
        As for :func:`~napari_stinr.training.requirements.estimate_run`.
    path : Path, optional
        File of the run; beside it are those of a volume that does not fit into memory. By default with the runs of this
        user.
    may_use_files : bool
        Whether the volume may lie on files; not where several processes share it out.

    Returns
    -------
    Room
        What it takes.

    Raises
    ------
    DoesNotFitError
        It does not fit.
    """
    from napari_stinr.training.estimates import Memory, fitting_binning, memory_of_run, memory_on_files

    def needs(factor: int) -> tuple[Memory, Memory | None]:
        binned = (shape[0], shape[1] // factor, shape[2] // factor)
        in_memory = memory_of_run(binned, config, reaches_edge=reaches_edge, on_gpu=beside is not None)
        on_files = memory_on_files(binned, config, reaches_edge=reaches_edge) if may_use_files else None
        return in_memory, on_files

    # A device with memory of its own trains what fits into that.
    may_use_files = may_use_files and beside is None
    free = Memory(available, beside, free_disk(path) if may_use_files else 0)
    in_memory, on_files = needs(binning)
    if in_memory.fits(free):
        return Room(in_memory.device)
    if on_files is not None and on_files.fits(free):
        return Room(on_files.device, on_files.disk)
    fitting: int | None = None
    try:
        fitting = fitting_binning(
            shape, config, available, beside_bytes=beside, reaches_edge=reaches_edge, disk_bytes=free.disk
        )
        fits_in_memory, other = needs(fitting)
        taken = size_text(fits_in_memory.device)
        if other is not None and not fits_in_memory.fits(free):
            taken = f"{size_text(other.device)} and {size_text(other.disk)} of disk"
        cure = f"{cure.format(binning=fitting)}, which takes {taken}."
    except StinrError:
        cure = "Close other programs, or cut the images down: no binning up to 16 fits."
    found, expected = _misfit(in_memory, on_files, free, files_folder(path))
    raise DoesNotFitError(found, expected=expected, cure=cure, binning=fitting)


def _misfit(in_memory: Memory, on_files: Memory | None, free: Memory, folder: Path) -> tuple[str, str]:
    """Return what a run takes and what there is."""
    from napari_stinr.training.estimates import USABLE_DISK, USABLE_FRACTION, Memory

    taken, usable, where = in_memory.device, free.device, ""
    if free.beside is not None:
        where = " on this device"
        if in_memory.beside is not None and Memory(in_memory.device).fits(free):
            taken, usable, where = in_memory.beside, free.beside, " beside this device"
    found = f"the reconstruction takes {size_text(taken)}{where}"
    expected = f"at most {USABLE_FRACTION:.0%} of the {size_text(usable)} of memory that are free"
    if on_files is not None:
        found += f" of memory, or {size_text(on_files.device)} and {size_text(on_files.disk)} of the disk of {folder}"
        expected += f", and {USABLE_DISK:.0%} of the {size_text(free.disk)} of that disk"
    return found, expected


def files_folder(path: Path | None) -> Path:
    """Return the folder for the files of a volume, which is there.

    Parameters
    ----------
    path : Path, optional
        File of the run, whose folder may not be there yet; by default it is that of the runs of this user.

    Returns
    -------
    Path
        It, or the nearest above it that is there.
    """
    from napari_stinr.training.checkpoints import automatic_folder

    place = (automatic_folder() if path is None else path.expanduser().parent).absolute()
    return next((above for above in (place, *place.parents) if above.is_dir()), place)


def free_disk(path: Path | None) -> int:
    """Return the space for the files of a run and of its volume [bytes].

    Parameters
    ----------
    path : Path, optional
        File of the run; one that is there already is replaced, and its space counts.

    Returns
    -------
    int
        0 where it cannot be asked.
    """
    try:
        free = shutil.disk_usage(files_folder(path)).free
    except OSError:
        return 0
    with contextlib.suppress(OSError):
        free += 0 if path is None else path.expanduser().stat().st_size
    return free


def size_text(n_bytes: float) -> str:
    """Return an amount of memory [bytes] as ``"1.3 GB"``."""
    return f"{n_bytes / _GB:.1f} GB" if n_bytes >= 0.1 * _GB else f"{n_bytes / 1e6:.0f} MB"
