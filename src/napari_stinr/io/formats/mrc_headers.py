"""What the headers of an MRC file say: sizes and kind of the numbers, tilt angles, times and pixel size.

The main header follows Cheng et al., J. Struct. Biol. 192 (2015) 146 (MRC2014); the extended headers follow IMOD's
``mrc_format.txt`` (SERI and Agard/FEI) and the EPU manual (FEI1, FEI2, decoded by :mod:`mrcfile`).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged
from napari_stinr.io.formats.limits import check_stored

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.formats.containers import Stack

HEADER_BYTES = 1024
OUR_LABEL = "Created by napari-stinr"
"""First label in the header of every MRC file that this program writes."""
_MODE_ITEMSIZE = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
_REFUSED_MODES = {3: "complex 16-bit numbers", 4: "complex numbers", 16: "colour images", 101: "4-bit numbers"}
_IMOD_STAMP = b"IMOD"
_SECONDS_PER_DAY = 86400.0
_FEI_KINDS = ("FEI1", "FEI2")
_OLE_EPOCH = -2209161600.0
"""Midnight of 30 December 1899, from which FEI1 and FEI2 count days, as seconds since 1970."""
_LARGEST_EXTENDED_HEADER = 100_000_000
"""Beyond the records of any tilt series [byte]."""
_ANGSTROM_PER_METRE = 1e10
_LEAST_TOTAL_DOSE = 2.0
"""The total dose of the last image is more than this many times that of the first."""
_LARGEST_NUMBER = 1e6
"""Beyond any tilt angle in degrees and any date in days."""
_LARGEST_CLOCK = 1e30
"""Beyond any dose in electrons per square metre and any date."""
_SERI_FIELD_BYTES = {1: 2, 2: 6, 4: 4, 8: 2, 16: 2, 32: 4}
_PIECES = 2
"""Flag of the piece coordinates, which stand behind the tilt angle where there is one."""
_AGARD_TILT, _AGARD_PIXEL_SIZE = 0, 11
"""Places of the tilt angle [degrees] and the pixel size [m] among the numbers of an Agard record."""


@dataclass(frozen=True)
class MrcHeader:
    """The fields of the main header that decide how the rest is read."""

    order: str
    shape: tuple[int, int, int]
    mode: int
    extended_bytes: int
    kind: str
    n_int: int
    n_real: int
    imod_flags: int | None
    voxel_size: float
    voxel_height: float | None
    has_map_string: bool

    @property
    def is_fei(self) -> bool:
        """Whether the extended header is one that mrcfile decodes."""
        return self.kind in _FEI_KINDS

    @property
    def is_old_fei(self) -> bool:
        """Whether it is as FEI's programs wrote files before EPU: with Agard's extended header or without ``MAP``."""
        return self.imod_flags is None and not _is_seri(self) and (_is_agard(self) or not self.has_map_string)


def checked_header(path: Path) -> MrcHeader:
    """Read the main header and compare it with the size of the file.

    Parameters
    ----------
    path : Path
        MRC file.

    Returns
    -------
    MrcHeader
        Its fields.

    Raises
    ------
    StinrError
        It is too short, its sizes are impossible or larger than the file, or its numbers are not real ones.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        raw = stream.read(HEADER_BYTES)
    if len(raw) < HEADER_BYTES:
        raise damaged(path, f"an MRC file of at least {HEADER_BYTES} bytes", f"it has {size} bytes")
    header = _parse_header(raw)
    if header.mode not in _MODE_ITEMSIZE:
        found = _REFUSED_MODES.get(header.mode)
        if found is None:
            raise damaged(path, "an MRC file", f"the data mode is {header.mode}")
        raise StinrError(
            f"{path.name} holds {found} (MRC mode {header.mode})",
            expected="real numbers (mode 0, 1, 2, 6 or 12)",
            cure="Convert it to mode 2 (floating point), for instance with IMOD's newstack -mode 2.",
        )
    if min(header.shape) < 1 or header.extended_bytes < 0:
        raise damaged(
            path, "positive sizes", f"{header.shape} pixels, extended header of {header.extended_bytes} bytes"
        )
    if header.extended_bytes > _LARGEST_EXTENDED_HEADER:
        raise damaged(path, "the records of a tilt series", f"an extended header of {header.extended_bytes} bytes")
    check_stored(HEADER_BYTES + header.extended_bytes + math.prod(header.shape) * _MODE_ITEMSIZE[header.mode], path)
    return header


def _parse_header(raw: bytes) -> MrcHeader:
    order = ">" if raw[212:214] == b"\x11\x11" else "<"
    known = (*_MODE_ITEMSIZE, *_REFUSED_MODES)
    if struct.unpack_from(f"{order}i", raw, 12)[0] not in known:
        swapped = "<" if order == ">" else ">"
        order = swapped if struct.unpack_from(f"{swapped}i", raw, 12)[0] in known else order
    nx, ny, nz, mode, _, _, _, mx, my = struct.unpack_from(f"{order}9i", raw, 0)
    cell_width, cell_height = struct.unpack_from(f"{order}2f", raw, 40)
    (extended_bytes,) = struct.unpack_from(f"{order}i", raw, 92)
    n_int, n_real = struct.unpack_from(f"{order}2h", raw, 128)
    (imod_flags,) = struct.unpack_from(f"{order}i", raw, 156)
    kind = raw[104:108].decode("ascii", errors="replace").strip("\0 ")
    is_imod = raw[152:156] in (_IMOD_STAMP, _IMOD_STAMP[::-1])
    voxel_size, voxel_height = (cell / n if n > 0 else 0.0 for cell, n in ((cell_width, mx), (cell_height, my)))
    return MrcHeader(
        order=order,
        shape=(nz, ny, nx),
        mode=mode,
        extended_bytes=extended_bytes,
        kind=kind,
        n_int=n_int,
        n_real=n_real,
        imod_flags=imod_flags if is_imod else None,
        voxel_size=_rounded(voxel_size) or 0.0,
        voxel_height=_rounded(voxel_height),
        has_map_string=raw[208:211] == b"MAP",
    )


def with_extended_header(stack: Stack, extended: bytes, header: MrcHeader, path: Path) -> Stack:
    """Return a stack with tilt angles and pixel size of SerialEM's or FEI's old extended header."""
    if _is_seri(header):
        return _with_seri(stack, extended, header, path)
    return _with_agard(stack, extended, header) if _is_agard(header) else stack


def _is_seri(header: MrcHeader) -> bool:
    implied = sum(n_bytes for flag, n_bytes in _SERI_FIELD_BYTES.items() if header.n_real & flag)
    return header.kind == "SERI" or (not header.kind and header.n_int > 0 and header.n_int == implied)


def _is_agard(header: MrcHeader) -> bool:
    record = 4 * (header.n_int + header.n_real)
    fits = header.n_int >= 0 and header.n_real > _AGARD_TILT and record * header.shape[0] <= header.extended_bytes
    return header.kind in ("", "AGAR") and fits


def _shorts(records: NDArray[np.uint8], start: int, count: int, header: MrcHeader) -> NDArray[np.int16]:
    """Return `(n_tilts, count)` numbers of two bytes that stand somewhere in every record."""
    shorts: NDArray[np.int16] = records[:, start : start + 2 * count].copy().view(f"{header.order}i2")
    return shorts


def _check_pieces(places: NDArray[np.int16], path: Path) -> None:
    """Refuse several images of one section that lie side by side; `(n_tilts, 3)` are their x, y and section."""
    pieces = np.unique(places, axis=0)
    if len(np.unique(pieces[:, 2])) < len(pieces):
        raise StinrError(
            f"{path.name} is a montage: its SerialEM extended header gives {len(pieces)} pieces of"
            f" {len(np.unique(pieces[:, 2]))} section(s)",
            expected="one image for every tilt",
            cure="Blend the montage first, for instance with IMOD's blendmont.",
        )


def _with_seri(stack: Stack, extended: bytes, header: MrcHeader, path: Path) -> Stack:
    n_tilts, length = header.shape[0], header.n_int
    has_angles, has_pieces = bool(header.n_real & 1), bool(header.n_real & _PIECES)
    if length < 2 * has_angles + 6 * has_pieces or length < 2 or length * n_tilts > len(extended):
        return stack
    records = np.frombuffer(extended, dtype=np.uint8)[: length * n_tilts].reshape(n_tilts, length)
    if has_pieces:
        _check_pieces(_shorts(records, 2 * has_angles, 3, header), path)
    if not has_angles:
        return stack
    # The tilt angle is the first short of every record, in hundredths of a degree.
    hundredths = _shorts(records, 0, 1, header)[:, 0]
    return replace(stack, tilt_angles=_useful(hundredths / 100.0), place="SerialEM extended header")


def _with_agard(stack: Stack, extended: bytes, header: MrcHeader) -> Stack:
    # FEI reserves 1024 records and fills the first n_tilts; the main header then gives a voxel size of 1.
    n_tilts, length = header.shape[0], header.n_int + header.n_real
    words = np.frombuffer(extended[: 4 * length * n_tilts], dtype=f"{header.order}f4").reshape(n_tilts, length)
    with np.errstate(invalid="ignore"):  # bytes that are no number are judged below
        real = words[:, header.n_int :].astype(np.float64)
    pixel_size = stack.pixel_size if stack.pixel_size != 1.0 else None
    if pixel_size is None and header.n_real > _AGARD_PIXEL_SIZE:
        pixel_size = _rounded(float(real[0, _AGARD_PIXEL_SIZE]) * _ANGSTROM_PER_METRE)
    # The record has one size for both edges.
    height = stack.pixel_height if pixel_size is not None and pixel_size == stack.pixel_size else None
    return replace(
        stack,
        tilt_angles=_useful(real[:, _AGARD_TILT]),
        pixel_size=pixel_size,
        pixel_height=height,
        place="FEI extended header",
    )


def with_fei_records(stack: Stack, records: NDArray[Any]) -> Stack:
    """Return a stack with what `(n_tilts,)` records of an extended header of the kinds FEI1 and FEI2 tell."""
    pixel_size = stack.pixel_size if stack.pixel_size != 1.0 else None
    days, doses = _clock(records, "Timestamp"), _clock(records, "Dose")
    if doses is not None and doses.max() < _LEAST_TOTAL_DOSE * doses.min():
        doses = None  # that of each image alone, which says nothing about their order
    ticks = _clock(records, "Acquisition time stamp") if doses is None else doses
    sizes = (float(records[name][0]) * _ANGSTROM_PER_METRE for name in ("Pixel size X", "Pixel size Y"))
    width, height = map(_rounded, sizes) if pixel_size is None else (pixel_size, stack.pixel_height)
    return replace(
        stack,
        tilt_angles=_useful(records["Alpha tilt"]),
        timestamps=None if days is None else days * _SECONDS_PER_DAY + _OLE_EPOCH,
        times=ticks,
        time_unit="" if doses is None else "e/m²",
        pixel_size=width,
        pixel_height=height,
        place="FEI extended header",
    )


def _clock(records: NDArray[Any], name: str) -> NDArray[np.float64] | None:
    """Return the `(n_tilts,)` numbers of a field where each is another."""
    values = None if name not in (records.dtype.names or ()) else np.asarray(records[name], dtype=np.float64)
    if values is None or not (np.abs(values) < _LARGEST_CLOCK).all():  # no comparison with NaN is true
        return None
    return values if len(np.unique(values)) == len(values) > 1 else None


def _useful(values: NDArray[Any]) -> NDArray[np.float64] | None:
    # Unfilled records are zeros and damaged ones hold huge numbers: both mean "not in the header".
    numbers = np.asarray(values, dtype=np.float64)
    return numbers if np.isfinite(numbers).all() and 0 < np.abs(numbers).max() < _LARGEST_NUMBER else None


def _rounded(pixel_size: float) -> float | None:
    # Headers hold single precision: six digits bring 33.6 back from 33.60000252723694.
    return float(f"{pixel_size:.6g}") if math.isfinite(pixel_size) and pixel_size > 0 else None
