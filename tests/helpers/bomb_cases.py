"""Files that expand, declare or refer to more than they should: small on the disk, made in milliseconds."""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING

import h5py
import numpy as np

from helpers.fuzzing_fixtures import tiff_bytes, tiff_page
from helpers.matlab_cases import element, matrix, version_5
from helpers.reading_cases import ANGLES, stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEGABYTE, TERABYTE = 10**6, 10**12


def deflated_zeros(n_megabytes: int, start: bytes = b"") -> bytes:
    """Return a raw deflate stream of some bytes and then zeros, a thousandth of what it expands to."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * n_megabytes + packer.flush()


def zlib_zeros(n_megabytes: int, start: bytes = b"") -> bytes:
    """Return the same as zlib writes it, with a right checksum."""
    first = zlib.adler32(start)
    low, high, n_zeros = first & 0xFFFF, first >> 16, n_megabytes * MEGABYTE
    checksum = low | (high + n_zeros * low) % 65521 << 16
    return b"\x78\xda" + deflated_zeros(n_megabytes, start) + struct.pack(">I", checksum)


def zip_of(name: str, content: bytes, declared: int) -> bytes:
    """Return a zip archive with one deflated member of any declared size."""
    raw = name.encode()
    fields = struct.pack("<HHHHHIII", 20, 0, 8, 0, 33, 0, len(content), declared)
    local = b"PK\3\4" + fields + struct.pack("<HH", len(raw), 0) + raw + content
    central = b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHHHII", len(raw), 0, 0, 0, 0, 0, 0) + raw
    return local + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Return the beginning of a .npy file of float32."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def mrc_header(shape: tuple[int, int, int], mode: int, extended_bytes: int = 0) -> bytes:
    """Return the main header of an MRC file."""
    raw = bytearray(1024)
    struct.pack_into("<4i", raw, 0, *shape[::-1], mode)
    struct.pack_into("<i", raw, 92, extended_bytes)
    raw[208:216] = b"MAP \x44\x44\0\0"
    return bytes(raw)


def ome_laughs() -> str:
    """Return OME-XML with entities that expand to gigabytes."""
    entities = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 12))
    return (
        f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY l0 "laugh laugh">{entities}]>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" Name="&l11;">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="7" SizeY="6" SizeZ="5" SizeC="1" SizeT="1">'
        "<Description>&l11;</Description></Pixels></Image></OME>"
    )


def ome_tiff(sizes: tuple[int, int, int], planes: str = '<TiffData IFD="0"/>', n_copies: int = 1) -> bytes:
    """Return a TIFF of one page whose OME-XML says something else."""
    z, c, t = sizes
    pixels = f'<Pixels DimensionOrder="XYZCT" Type="uint8" SizeX="7" SizeY="6" SizeZ="{z}" SizeC="{c}" SizeT="{t}">'
    xml = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    xml += f"<Image>{pixels}{planes}</Pixels></Image>" * n_copies + "</OME>"
    return tiff_bytes([tiff_page(bytes(42), 7, 6)], description=xml.encode() + b"\0")


def _lying_tiff() -> bytes:
    strip = zlib_zeros(1000)
    return tiff_bytes([tiff_page(strip, 64, 64, compression=8) for _ in range(3)])


def _overlapping_tiff() -> bytes:
    raw = bytearray(struct.pack("<4sI", b"II*\0", 8) + struct.pack("<H", 4000) * 27_000)
    for k in range(1000):
        # The end of the directory at 8 + 4k points four bytes behind its beginning.
        struct.pack_into("<I", raw, 8 + 4 * k + 2 + 12 * 4000, 12 + 4 * k)
    return bytes(raw)


def _chunk_bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (5, 600, 600), "u1", chunks=(5, 600, 600), compression="gzip")
        data.id.write_direct_chunk((0, 0, 0), zlib_zeros(1000))
        file["angles"] = ANGLES


def _declares_36_terabytes(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (1000, 100_000, 100_000), "f4")


def _foreign(kind: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        secret = path.with_name("secret.bin")
        secret.write_bytes(stack("float32").tobytes())
        with h5py.File(path, "w") as file:
            file["angles"] = ANGLES
            if kind == "storage":
                file.create_dataset("data", (5, 6, 7), "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
            elif kind == "link":
                with h5py.File(path.with_name("other.hdf5x"), "w") as other:
                    other["data"] = stack()
                file["data"] = h5py.ExternalLink("other.hdf5x", "/data")
            elif kind == "virtual":
                with h5py.File(path.with_name("other.hdf5x"), "w") as other:
                    other["data"] = stack()
                layout = h5py.VirtualLayout((5, 6, 7), "f4")
                layout[:] = h5py.VirtualSource(str(path.with_name("other.hdf5x")), "data", (5, 6, 7))
                file.create_virtual_dataset("data", layout)
            else:
                file["data"], file["again"] = h5py.SoftLink("/again"), h5py.SoftLink("/data")

    return write


def _mat_bomb() -> bytes:
    start = matrix("projections", (1000, 1000, 1000), b"")[8:-8] + struct.pack("<II", 2, 10**9)
    content = zlib_zeros(1000, struct.pack("<II", 14, len(start) + 10**9) + start)
    return version_5(struct.pack("<II", 15, len(content)) + content)


def _mat_object() -> bytes:
    return version_5(element(14, element(6, struct.pack("<II", 17, 0)) + element(1, b"None") + element(1, b"MCOS")))


def _pickle(path: Path) -> None:
    np.array([print] * 3, dtype=object).dump(path)


def _written(content: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content())

    return write


def _repeated(piece: bytes, n_bytes: int = 7_900_000, start: bytes = b"") -> Callable[[Path], None]:
    return _written(lambda: start + piece * (n_bytes // len(piece)))


def _sparse(content: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content())
        os.truncate(path, TERABYTE)

    return write


def _sections(n: int) -> bytes:
    return "".join(f"[ZValue={k}]\n" for k in range(n)).encode()[:7_900_000]


BOMBS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "zip bomb": (
        "s.npz",
        _written(lambda: zip_of("projections.npy", deflated_zeros(600, npy_header((150, 1000, 1000))), 600_000_128)),
    ),
    "zip bomb that declares little": (
        "s.npz",
        _written(lambda: zip_of("projections.npy", deflated_zeros(600, npy_header((5, 60, 70))), 10_000)),
    ),
    "zip in a zip": (
        "s.npz",
        _written(lambda: zip_of("projections.npy", deflated_zeros(600, zip_of("a", b"", 0)), 600_000_100)),
    ),
    "TIFF that expands to 2 GB": (
        "s.tif",
        _written(lambda: tiff_bytes([tiff_page(zlib_zeros(2000), 20_000, 25_000, compression=8, bits=32)])),
    ),
    "TIFF that declares little": ("s.tif", _written(_lying_tiff)),
    "TIFF with directories upon one another": ("s.tif", _written(_overlapping_tiff)),
    "TIFF of 200000 x 200000": ("s.tif", _written(lambda: tiff_bytes([tiff_page(b"0" * 64, 200_000, 200_000)]))),
    "TIFF of 500 million images in XML": ("s.ome.tif", _written(lambda: ome_tiff((50_000, 10_000, 1)))),
    "TIFF of 20000 series in XML": ("s.ome.tif", _written(lambda: ome_tiff((100, 1, 1), n_copies=20_000))),
    "TIFF of 20000 empty series in XML": ("s.ome.tif", _written(lambda: ome_tiff((0, 0, 0), n_copies=20_000))),
    "TIFF with 500 million places in XML": (
        "s.ome.tif",
        _written(lambda: ome_tiff((1, 1, 1), planes='<TiffData IFD="0" PlaneCount="500000000"/>')),
    ),
    "TIFF with a million tags in XML": ("s.ome.tif", _written(lambda: ome_tiff((1, 1, 1), planes="<A/>" * 1_900_000))),
    "HDF5 chunk that expands to 1 GB": ("s.h5", _chunk_bomb),
    "HDF5 of 36 TiB": ("s.h5", _declares_36_terabytes),
    "HDF5 with external storage": ("s.h5", _foreign("storage")),
    "HDF5 with an external link": ("s.h5", _foreign("link")),
    "HDF5 with a virtual dataset": ("s.h5", _foreign("virtual")),
    "HDF5 with links in a circle": ("s.h5", _foreign("circle")),
    "MRC in gzip": ("s.mrc.gz", _written(lambda: b"\x1f\x8b\x08\0\0\0\0\0\0\3" + deflated_zeros(1000))),
    "MRC with an endless extended header": ("s.mrc", _written(lambda: mrc_header((5, 6, 7), 2, 2**31 - 1))),
    "MATLAB file that expands to 1 GB": ("s.mat", _written(_mat_bomb)),
    "MATLAB object": ("s.mat", _written(_mat_object)),
    "pickle": ("s.npy", _pickle),
    "mdoc of one line": ("s.mdoc", _repeated(b"a")),
    "mdoc of sections without a name": ("s.mdoc", _repeated(b"[ = ")),
    "mdoc of a million sections": ("s.mdoc", _written(lambda: _sections(1_000_000))),
    "mdoc of many sections": ("s.mdoc", _written(lambda: _sections(99_000))),
    "mdoc of keys": ("s.mdoc", _written(lambda: b"[ZValue = 0]\n" + b"".join(b"%d=\n" % k for k in range(1_000_000)))),
    "mdoc of empty lines": ("s.mdoc", _repeated(b"\n")),
    "mdoc of short lines": ("s.mdoc", _repeated(b"=\n")),
    "mdoc that is too large": ("s.mdoc", _repeated(b"a = b\n", 30_000_000)),
    "OME-XML of entities": (
        "s.tif",
        _written(lambda: tiff_bytes([tiff_page(bytes(42), 7, 6)] * 5, description=ome_laughs().encode())),
    ),
    "safetensors with an endless header": ("s.stinr", _written(lambda: struct.pack("<Q", 2**62) + b"{}")),
}
"""Name of the file, and who writes it."""

LISTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "commas": ("s.csv", _repeated(b",")),
    "commas after a header": ("s.csv", _repeated(b",", start=b"tilt_angle_deg,time\n")),
    "lines": ("s.rawtlt", _repeated(b"1\n")),
    "empty lines": ("s.rawtlt", _repeated(b"\n")),
    "digits": ("s.rawtlt", _repeated(b"9")),
    "numbers of 9000 digits": ("s.rawtlt", _repeated(b"9" * 9000 + b"\n")),
    "comments": ("s.rawtlt", _repeated(b"#\n")),
    "spaces": ("s.rawtlt", _repeated(b" ")),
}
"""Lists of angles or times that are none."""

HOLES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "MRC of floats": ("s.mrc", _sparse(lambda: mrc_header((20, 100_000, 100_000), 2))),
    "MRC of integers": ("s.mrc", _sparse(lambda: mrc_header((40, 100_000, 100_000), 1))),
    "MRC of bytes": ("s.mrc", _sparse(lambda: mrc_header((90, 100_000, 100_000), 0))),
    "NumPy file": ("s.npy", _sparse(lambda: npy_header((20, 100_000, 100_000)))),
    "nothing as MRC": ("s.mrc", _sparse(bytes)),
    "nothing as zip": ("s.npz", _sparse(bytes)),
    "nothing as HDF5": ("s.h5", _sparse(bytes)),
    "nothing as TIFF": ("s.tif", _sparse(bytes)),
    "nothing as DM": ("s.dm4", _sparse(bytes)),
    "nothing as MATLAB": ("s.mat", _sparse(bytes)),
    "nothing as .mdoc": ("s.mdoc", _sparse(bytes)),
}
"""Files of a terabyte that take no space, as a damaged disk leaves them."""
