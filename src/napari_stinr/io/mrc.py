"""MRC files and their relatives: SerialEM and IMOD (``.st``, ``.ali``, ``.preali``), FEI, RELION (``.mrcs``).

The header follows Cheng et al., J. Struct. Biol. 192 (2015) 146 (MRC2014); the extended headers follow IMOD's
``mrc_format.txt`` (SERI and Agard/FEI) and the EPU manual (FEI1, FEI2, through :mod:`mrcfile`).
"""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.atomic import atomic_output
from napari_stinr.io.containers import Stack, as_projections, check_memory, damaged

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER_BYTES = 1024
_MODE_ITEMSIZE = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
_REFUSED_MODES = {3: "complex 16-bit numbers", 4: "complex numbers", 16: "colour images", 101: "4-bit numbers"}
_LABEL = "Created by napari-stinr"
_IMOD_STAMP = b"IMOD"
_UNSIGNED_OFFSET = 32768.0
_MEAN_OF_OFFSET_DATA = -8192.0
"""Signed 16-bit data with a mean below this are unsigned data stored with an offset of -32768."""
_SECONDS_PER_DAY = 86400.0
_ANGSTROM_PER_METRE = 1e10
_LARGEST_NUMBER = 1e6
"""Beyond any tilt angle in degrees and any date in days."""
_SERI_FIELD_BYTES = {1: 2, 2: 6, 4: 4, 8: 2, 16: 2, 32: 4}
_AGARD_TILT, _AGARD_PIXEL_SIZE = 0, 11
"""Places of the tilt angle [degrees] and the pixel size [m] among the numbers of an Agard record."""


@dataclass(frozen=True)
class _Header:
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


def read_mrc(path: Path) -> Stack:
    """Read an MRC stack or volume with the angles, times and pixel size of its headers.

    Parameters
    ----------
    path : Path
        File to read. Files without the ``MAP`` string or with a wrong machine stamp are read as well.

    Returns
    -------
    Stack
        Pixel values with offsets and signs put right, and whatever the extended header tells.

    Raises
    ------
    StinrError
        The sizes in the header are impossible or larger than the file, the data are complex, coloured or packed, or
        memory is short.
    """
    header = _checked_header(path)
    # mrcfile warns about defects that _checked_header has already judged.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mrcfile.mmap(path, mode="r", permissive=True) as file:
            if file.data is None:
                raise damaged(path, "an MRC file", "the image data cannot be found")
            check_memory(header.shape, file.data.dtype.itemsize, path)
            projections, notes = _signed(np.asarray(file.data).reshape(header.shape), header, file.header, path)
            records = file.indexed_extended_header if header.kind in ("FEI1", "FEI2") else None
    stack = Stack(projections, pixel_size=header.voxel_size or None, notes=notes)
    if records is not None:
        return _with_fei_records(stack, records)
    if header.extended_bytes == 0:
        return stack
    with path.open("rb") as stream:
        stream.seek(HEADER_BYTES)
        extended = stream.read(header.extended_bytes)
    if _is_seri(header):
        return _with_seri(stack, extended, header)
    return _with_agard(stack, extended, header) if _is_agard(header) else stack


def write_mrc(path: Path, values: NDArray[np.float32], size: float | None, *, is_volume: bool, overwrite: bool) -> None:
    """Write an MRC file of mode 2 without a date, so that the same input gives the same bytes.

    Parameters
    ----------
    path : Path
        File to write.
    values : ndarray
        `(z, y, x)` volume [V] or `(n_tilts, height, width)` image stack.
    size : float or None
        Edge of a voxel or pixel [Å]; None is stored as 0, which means unknown.
    is_volume : bool
        Write a volume (ISPG 1) rather than an image stack (ISPG 0).
    overwrite : bool
        Replace a file that is there already.

    Raises
    ------
    StinrError
        The file cannot be written.
    """
    # NaN and infinite pixels are stored as they are; mrcfile would warn because of the statistics in the header.
    with atomic_output(path, overwrite=overwrite) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mrcfile.new(temporary, overwrite=True) as file:
            file.set_data(values)
            if is_volume:
                file.set_volume()
            else:
                file.set_image_stack()
            file.voxel_size = 0.0 if size is None else size
            file.header.label[0] = _LABEL


def _checked_header(path: Path) -> _Header:
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
    needed = HEADER_BYTES + header.extended_bytes + math.prod(header.shape) * _MODE_ITEMSIZE[header.mode]
    if needed > size:
        raise damaged(path, f"{needed} bytes for the sizes in its header", f"it has {size} bytes")
    return header


def _parse_header(raw: bytes) -> _Header:
    order = ">" if raw[212:214] == b"\x11\x11" else "<"
    known = (*_MODE_ITEMSIZE, *_REFUSED_MODES)
    if struct.unpack_from(f"{order}i", raw, 12)[0] not in known:
        swapped = "<" if order == ">" else ">"
        order = swapped if struct.unpack_from(f"{swapped}i", raw, 12)[0] in known else order
    nx, ny, nz, mode, *_, mx = struct.unpack_from(f"{order}8i", raw, 0)
    (cell_width,) = struct.unpack_from(f"{order}f", raw, 40)
    (extended_bytes,) = struct.unpack_from(f"{order}i", raw, 92)
    n_int, n_real = struct.unpack_from(f"{order}2h", raw, 128)
    (imod_flags,) = struct.unpack_from(f"{order}i", raw, 156)
    kind = raw[104:108].decode("ascii", errors="replace").strip("\0 ")
    is_imod = raw[152:156] in (_IMOD_STAMP, _IMOD_STAMP[::-1])
    voxel_size = cell_width / mx if mx > 0 else 0.0
    return _Header(
        order=order,
        shape=(nz, ny, nx),
        mode=mode,
        extended_bytes=extended_bytes,
        kind=kind,
        n_int=n_int,
        n_real=n_real,
        imod_flags=imod_flags if is_imod else None,
        voxel_size=_rounded(voxel_size) or 0.0,
    )


def _signed(
    values: NDArray[Any], header: _Header, fields: Any, path: Path
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    if header.mode == 0:
        return _signed_bytes(values, header, float(fields.dmin), float(fields.dmax), path)
    projections = as_projections(values, path)
    if header.mode == 1 and float(projections.mean(dtype=np.float64)) < _MEAN_OF_OFFSET_DATA:
        projections += np.float32(_UNSIGNED_OFFSET)
        return projections, ("32768 was added to every pixel: the file stores unsigned data with that offset.",)
    return projections, ()


def _signed_bytes(
    values: NDArray[Any], header: _Header, lowest: float, highest: float, path: Path
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    # IMOD's rule: its stamp comes with a flag; without the stamp only the range in the header can tell.
    flags = header.imod_flags
    unsigned = lowest >= 0 and highest > 127 if flags is None else not flags & 1
    signed = values.view(np.int8)
    projections = as_projections(signed.view(np.uint8) if unsigned else signed, path)
    if flags is None and not unsigned and bool((signed < 0).any()) and lowest >= highest:
        return projections, ("Bytes were read as signed numbers; the file does not say whether they are.",)
    return projections, ()


def _is_seri(header: _Header) -> bool:
    implied = sum(n_bytes for flag, n_bytes in _SERI_FIELD_BYTES.items() if header.n_real & flag)
    return header.kind == "SERI" or (not header.kind and header.n_int > 0 and header.n_int == implied)


def _is_agard(header: _Header) -> bool:
    record = 4 * (header.n_int + header.n_real)
    fits = header.n_int >= 0 and header.n_real > _AGARD_TILT and record * header.shape[0] <= header.extended_bytes
    return header.kind in ("", "AGAR") and fits


def _with_seri(stack: Stack, extended: bytes, header: _Header) -> Stack:
    # The tilt angle is the first short of every record, in hundredths of a degree.
    n_tilts = header.shape[0]
    if not header.n_real & 1 or header.n_int < 2 or header.n_int * n_tilts > len(extended):
        return stack
    records = np.frombuffer(extended, dtype=np.uint8)[: header.n_int * n_tilts].reshape(n_tilts, header.n_int)
    hundredths = records[:, :2].copy().view(f"{header.order}i2")[:, 0]
    return replace(stack, tilt_angles=_useful(hundredths / 100.0), place="SerialEM extended header")


def _with_agard(stack: Stack, extended: bytes, header: _Header) -> Stack:
    # FEI reserves 1024 records and fills the first n_tilts; the main header then gives a voxel size of 1.
    n_tilts, length = header.shape[0], header.n_int + header.n_real
    words = np.frombuffer(extended[: 4 * length * n_tilts], dtype=f"{header.order}f4").reshape(n_tilts, length)
    real = words[:, header.n_int :].astype(np.float64)
    pixel_size = stack.pixel_size if stack.pixel_size != 1.0 else None
    if pixel_size is None and header.n_real > _AGARD_PIXEL_SIZE:
        pixel_size = _rounded(float(real[0, _AGARD_PIXEL_SIZE]) * _ANGSTROM_PER_METRE)
    return replace(stack, tilt_angles=_useful(real[:, _AGARD_TILT]), pixel_size=pixel_size, place="FEI extended header")


def _with_fei_records(stack: Stack, records: NDArray[Any]) -> Stack:
    pixel_size = stack.pixel_size if stack.pixel_size != 1.0 else None
    days = _useful(records["Timestamp"])
    return replace(
        stack,
        tilt_angles=_useful(records["Alpha tilt"]),
        times=None if days is None or np.ptp(days) == 0 else (days - days.min()) * _SECONDS_PER_DAY,
        time_unit="s",
        pixel_size=pixel_size or _rounded(float(records["Pixel size X"][0]) * _ANGSTROM_PER_METRE),
        place="FEI extended header",
    )


def _useful(values: NDArray[Any]) -> NDArray[np.float64] | None:
    # Unfilled records are zeros and damaged ones hold huge numbers: both mean "not in the header".
    numbers = np.asarray(values, dtype=np.float64)
    return numbers if np.isfinite(numbers).all() and 0 < np.abs(numbers).max() < _LARGEST_NUMBER else None


def _rounded(pixel_size: float) -> float | None:
    # Headers hold single precision: six digits bring 33.6 back from 33.60000252723694.
    return float(f"{pixel_size:.6g}") if math.isfinite(pixel_size) and pixel_size > 0 else None
