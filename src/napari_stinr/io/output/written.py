"""Volumes that this program wrote, told by what stands in the file: they open again at their size and time.

Tilt series that it wrote are none: they have one slice and many times, or call themselves an image stack.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged, is_file, refusing
from napari_stinr.io.formats.endings import TIFF_ENDINGS
from napari_stinr.io.formats.guards.tiff_contents import check_ome
from napari_stinr.io.formats.guards.tiff_directories import check_directories
from napari_stinr.io.formats.limits import check_stored
from napari_stinr.io.formats.mrc_headers import HEADER_BYTES, OUR_LABEL, checked_header
from napari_stinr.io.formats.stamps import FileStamp
from napari_stinr.io.formats.stored import StoredImages
from napari_stinr.io.formats.tiff_facts import described_facts
from napari_stinr.io.output.tiff_descriptions import OME_CREATOR

if TYPE_CHECKING:
    from pathlib import Path

_START_BYTES = 65_536
"""The first description lies here, before the pixels."""
_ISPG, _LABEL, _IS_VOLUME = slice(88, 92), 224, (1).to_bytes(4, "little")
_MRC_ENDING = ".mrc"
_SIZE = re.compile(r'Size([TZYX])="(\d{1,9})"')
_TIMES = re.compile(r"<Description>times=([^<]*)</Description>")


@dataclass(frozen=True, eq=False)
class WrittenVolumes:
    """Volumes in a file of ours; their pixels are read when they are wanted.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Times, slices, rows and columns: (t, z, y, x).
    voxel_size : float or None
        Edge of a voxel [Å]; None where the file does not tell.
    images : StoredImages
        All slices `(t * z, y, x)`, one volume after the other [V].
    times : tuple of float
        Time of every volume, as the file says; empty where it does not.
    """

    path: Path
    shape: tuple[int, int, int, int]
    voxel_size: float | None
    images: StoredImages
    times: tuple[float, ...] = ()

    def volume(self, step: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
        """Read one volume.

        Parameters
        ----------
        step : int
            Which of the times.

        Returns
        -------
        ndarray
            `(z, y, x)` float32 values [V].

        Raises
        ------
        StinrError
            The file is lost, cut off or another one by now.
        """
        volume = np.empty(self.shape[1:], dtype=np.float32)
        for z in range(self.shape[1]):
            volume[z] = self.images[step * self.shape[1] + z]
        return volume


def is_written_volume(path: Path) -> bool:
    """Return whether a file says that this program wrote it as a volume, or as volumes over time.

    Parameters
    ----------
    path : Path
        Any name.

    Returns
    -------
    bool
        False as well for what cannot be opened. Only the start of the file is read.
    """
    if path.suffix.lower() not in (*TIFF_ENDINGS, _MRC_ENDING) or not is_file(path):
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(_START_BYTES)
    except OSError:
        return False
    if path.suffix.lower() == _MRC_ENDING:
        label = start[_LABEL : _LABEL + len(OUR_LABEL)]
        return label == OUR_LABEL.encode() and start[_ISPG] == _IS_VOLUME
    before, _, after = start.partition(OME_CREATOR)
    return b"<OME" in before and _holds_volumes(_shape_of(after.decode("ascii", errors="replace")))


def open_written(path: Path) -> WrittenVolumes:
    """Find out what is in a file that :func:`is_written_volume` knows.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    WrittenVolumes
        Its volumes, not read yet.

    Raises
    ------
    StinrError
        The file is damaged, or was changed by another program.
    """
    with refusing(path):
        return _opened_mrc(path) if path.suffix.lower() == _MRC_ENDING else _opened_tiff(path)


def _opened_mrc(path: Path) -> WrittenVolumes:
    stamp, header = FileStamp.of(path), checked_header(path)
    depth, height, width = header.shape
    images = StoredImages.of(path, header.shape, dtype=np.dtype("<f4"), offset=HEADER_BYTES + header.extended_bytes)
    if header.mode != 2:
        raise damaged(path, "the numbers that napari-stinr writes (mode 2)", f"the data mode is {header.mode}")
    return WrittenVolumes(path, (1, depth, height, width), header.voxel_size or None, _stamped(images, stamp))


def _opened_tiff(path: Path) -> WrittenVolumes:
    stamp = FileStamp.of(path)
    n_directories = check_directories(path)
    with tifffile.TiffFile(path, _multifile=False) as file:
        check_ome(file, n_directories, path)
        xml, pages = file.ome_metadata or "", file.series[0]
        shape, facts = _shape_of(xml), described_facts(file, pages.keyframe)
        offset, dtype = pages.dataoffset, np.dtype(pages.dtype).newbyteorder(file.byteorder)
    is_as_written = dtype.kind == "f" and dtype.itemsize == 4
    if offset is None or shape is None or not is_as_written or math.prod(pages.shape) != math.prod(shape):
        raise StinrError(
            f"{path.name} was written by napari-stinr and changed since",
            expected="the volumes as they were written",
            cure="Export it again, or open it with File > Open in napari.",
        )
    check_stored(offset + 4 * math.prod(shape), path, what="the volumes")
    n_times, depth, height, width = shape
    images = StoredImages.of(path, (n_times * depth, height, width), dtype=dtype, offset=offset)
    return WrittenVolumes(path, shape, facts.pixel_size, _stamped(images, stamp), _times_of(xml, n_times))


def _stamped(images: StoredImages, stamp: FileStamp) -> StoredImages:
    return replace(images, stamp=stamp)


def _shape_of(xml: str) -> tuple[int, int, int, int] | None:
    """Return (t, z, y, x) of the first image that OME-XML describes; None where it does not."""
    sizes: dict[str, int] = {}
    for axis, length in _SIZE.findall(xml):
        sizes.setdefault(axis, int(length))
    t, z, y, x = (sizes.get(axis, 0) for axis in "TZYX")
    return (t, z, y, x) if min(t, z, y, x) > 0 else None


def _holds_volumes(shape: tuple[int, int, int, int] | None) -> bool:
    return shape is not None and (shape[1] > 1 or shape[0] == 1)


def _times_of(xml: str, n_times: int) -> tuple[float, ...]:
    match = _TIMES.search(xml)
    try:
        times = tuple(float(text) for text in match[1].split()) if match else ()
    except ValueError:
        return ()
    is_ascending = all(later > earlier for earlier, later in itertools.pairwise(times))
    return times if len(times) == n_times and is_ascending and all(map(math.isfinite, times)) else ()
