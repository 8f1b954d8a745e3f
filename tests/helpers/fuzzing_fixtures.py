"""One small valid input of every kind that can be read: what the fuzzer damages."""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import mrcfile
import numpy as np
import scipy.io
import tifffile
from mrcfile.dtypes import get_ext_header_dtype

from helpers.dm_cases import write_dm
from helpers.fuzzing_hdf5 import berkeley, data_exchange, nxtomo, plain, velox
from helpers.matlab_cases import write_version_73
from helpers.places import SHARED_DATA
from helpers.reading_cases import ANGLES, stack
from helpers.series_cases import growing_series
from napari_stinr.io import write_tilt_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

N_TILTS = len(ANGLES)
LIST_OF_ANGLES = "".join(f"{angle}\n" for angle in ANGLES).encode()
TABLE = ("tilt_angle_deg,time\n" + "".join(f"{angle},{k * 1.5}\n" for k, angle in enumerate(ANGLES))).encode()
TEXT_ENDINGS = (".mdoc", ".rawtlt", ".tlt", ".csv", ".txt")
_HAS_RSCIIO = importlib.util.find_spec("rsciio") is not None


@dataclass(frozen=True)
class Fixture:
    """Files in a folder, and how they are read.

    Parameters
    ----------
    name : str
        What it is.
    format : str
        The line of the table that it counts in.
    files : dict of str to bytes
        Content by the name of the file.
    damaged : tuple of str
        The files that may be damaged; one at a time is.
    given : tuple of str
        The names that the user gives; "." is the folder.
    how : str
        ``"series"``, ``"angles"``, ``"times"`` or ``"run"``.
    """

    name: str
    format: str
    files: dict[str, bytes]
    damaged: tuple[str, ...]
    given: tuple[str, ...]
    how: str = "series"


def make_fixtures(folder: Path, formats: tuple[str, ...] = ()) -> list[Fixture]:
    """Write and collect all fixtures, or those of some formats.

    Parameters
    ----------
    folder : Path
        An empty folder to write to.
    formats : tuple of str
        Values of `Fixture.format`; empty for all.

    Returns
    -------
    list of Fixture
        In a fixed order.
    """
    found: list[Fixture] = []
    for kind, make in _MAKERS.items():
        if not formats or kind in formats:
            found += make(folder)
    return found


def _alone(path: Path, kind: str, name: str, *, angles: bool = False) -> Fixture:
    files = {path.name: path.read_bytes()}
    if angles:
        files[f"{path.stem}.rawtlt"] = LIST_OF_ANGLES
    return Fixture(name, kind, files, (path.name,), (path.name,))


def _mrc(folder: Path) -> Iterator[Fixture]:
    path = folder / "s.mrc"
    write_tilt_series(path, stack(), pixel_size=2.5)
    plain = path.read_bytes()
    yield _alone(path, "mrc", "plain", angles=True)
    for dtype in ("int8", "int16", "uint16", "float16", ">i2", ">f4"):
        with mrcfile.new(path, overwrite=True) as file:
            file.set_data(stack("int16").astype(dtype))
        yield _alone(path, "mrc", dtype, angles=True)
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(stack("int8"))
    path.write_bytes(_patched(path.read_bytes(), {152: b"IMOD" + struct.pack("<i", 0)}))
    yield _alone(path, "mrc", "stamp of IMOD", angles=True)
    agard = np.zeros((8, 32), "<f4")
    agard[:N_TILTS, 0], agard[:N_TILTS, 11] = ANGLES, 2.5e-10
    path.write_bytes(_with_records(plain, agard.tobytes(), b"", 0, 32))
    yield _alone(path, "mrc", "FEI of Agard")
    shorts = np.zeros((N_TILTS, 7), "<i2")
    shorts[:, 0] = ANGLES * 100
    path.write_bytes(_with_records(plain, shorts.tobytes(), b"SERI", 14, 61))
    yield _alone(path, "mrc", "SERI")
    for kind in (b"FEI1", b"FEI2"):
        records = np.zeros(N_TILTS, dtype=get_ext_header_dtype(kind, "<"))
        records["Metadata size"] = records.itemsize
        records["Alpha tilt"], records["Timestamp"] = ANGLES, 43018.36 + np.arange(N_TILTS) / 1440
        records["Pixel size X"] = 2.1e-10
        path.write_bytes(_with_records(plain, records.tobytes(), kind, 0, 0))
        yield _alone(path, "mrc", kind.decode())


def _patched(raw: bytes, changes: dict[int, bytes]) -> bytes:
    content = bytearray(raw)
    for offset, new in changes.items():
        content[offset : offset + len(new)] = new
    return bytes(content)


def _with_records(plain: bytes, records: bytes, kind: bytes, n_int: int, n_real: int) -> bytes:
    length, sizes = struct.pack("<i", len(records)), struct.pack("<2h", n_int, n_real)
    raw = _patched(plain, {92: length, 104: kind.ljust(4, b"\0"), 128: sizes})
    return raw[:1024] + records + raw[1024:]


def _tiff(folder: Path) -> Iterator[Fixture]:
    values: dict[str, dict[str, Any]] = {
        "plain": {},
        "ImageJ": {"imagej": True, "resolution": (4.0, 4.0), "metadata": {"unit": "nm"}},
        "deflate": {"compression": "zlib"},
        "tiles": {"tile": (16, 16)},
        "BigTIFF": {"bigtiff": True, "rowsperstrip": 2},
        "big-endian": {"byteorder": ">", "contiguous": False},
    }
    path = folder / "s.tif"
    for name, options in values.items():
        tifffile.imwrite(path, stack("uint16"), photometric="minisblack", **options)
        yield _alone(path, "tiff", name, angles=True)
    packed = [tiff_page(_pack_bits(image.tobytes()), 7, 6, compression=32773) for image in stack("uint8")]
    path.write_bytes(tiff_bytes(packed))
    yield _alone(path, "tiff", "PackBits", angles=True)
    ome = {
        "axes": "TYX",
        **{"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "nm"},
        "Plane": {"DeltaT": [2.0 * k for k in range(N_TILTS)], "DeltaTUnit": ["s"] * N_TILTS},
    }
    tifffile.imwrite(folder / "s.ome.tif", stack(), photometric="minisblack", metadata=ome)
    yield Fixture(
        "OME", "tiff", {"s.ome.tif": (folder / "s.ome.tif").read_bytes(), "s.ome.rawtlt": LIST_OF_ANGLES},
        ("s.ome.tif",), ("s.ome.tif",)
    )  # fmt: skip
    with tifffile.TiffWriter(path) as file:
        file.write(stack("uint8"), photometric="minisblack")
        file.write(stack("float32")[:, :4], photometric="minisblack")
    yield _alone(path, "tiff", "two series", angles=True)


def tiff_page(
    strip: bytes, width: int, height: int, *, compression: int = 1, bits: int = 8
) -> tuple[dict[int, int], bytes]:
    """Return the tags and the only strip of a grey-scale image."""
    tags = {256: width, 257: height, 258: bits, 259: compression, 262: 1, 277: 1, 278: height, 279: len(strip)}
    return tags, strip


def tiff_bytes(pages: Sequence[tuple[dict[int, int], bytes]], *, description: bytes = b"") -> bytes:
    """Return a little-endian TIFF of any tags, which nothing else writes; where the strips begin is filled in."""
    start_of_text, raw = 8, b"II*\0" + struct.pack("<I", 8 + len(description)) + description
    for number, (tags, strip) in enumerate(pages):
        has_text = number == 0 and bool(description)
        start = len(raw) + 2 + 12 * (len(tags) + 1 + has_text) + 4
        entries = [(tag, 4, 1, value) for tag, value in {**tags, 273: start}.items()]
        entries += [(270, 2, len(description), start_of_text)] if has_text else []
        following = 0 if number == len(pages) - 1 else start + len(strip)
        table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
        raw += struct.pack("<H", len(entries)) + table + struct.pack("<I", following) + strip
    return raw


def _pack_bits(raw: bytes) -> bytes:
    pieces = [raw[k : k + 128] for k in range(0, len(raw), 128)]
    return b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)


def _numpy(folder: Path) -> Iterator[Fixture]:
    path = folder / "s.npy"
    np.save(path, stack())
    yield _alone(path, "npy", "plain", angles=True)
    np.save(path, np.asfortranarray(stack(">i4")))
    yield _alone(path, "npy", "Fortran order", angles=True)
    path = folder / "s.npz"
    arrays = {"projections": stack(), "tilt_angles": ANGLES, "times": np.arange(N_TILTS), "pixel_size": 2.5}
    np.savez(path, **arrays, mask=stack() > 3)
    yield _alone(path, "npz", "stored")
    np.savez_compressed(path, **arrays)
    yield _alone(path, "npz", "deflated")
    np.savez(path, projections=np.asfortranarray(stack("uint8")), angles=ANGLES)
    yield _alone(path, "npz", "Fortran order")


def _matlab(folder: Path) -> Iterator[Fixture]:
    path = folder / "s.mat"
    turned = np.moveaxis(stack(), 0, -1)
    arrays = {"projections": turned, "angles": ANGLES, "times": np.arange(float(N_TILTS)), "pixel_size": 2.5}
    for compress in (False, True):
        scipy.io.savemat(path, arrays, do_compression=compress)
        yield _alone(path, "mat", "5, compressed" if compress else "5")
    scipy.io.savemat(path, {**arrays, "info": {"a": [1, 2]}, "name": "needle", "cell": np.array([1, "x"], object)})
    yield _alone(path, "mat", "5 with a struct, text and a cell")
    yield from _matlab_4(folder)
    write_version_73(path, projections=turned, tilt_angles=ANGLES, pixel_size=np.array(2.5))
    yield _alone(path, "mat73", "7.3")
    scipy.io.savemat(folder / "needle_Angles.mat", {"angles": ANGLES})
    scipy.io.savemat(folder / "needle_Projections.mat", {"stack": turned})
    names = ("needle_Angles.mat", "needle_Projections.mat")
    files = {name: (folder / name).read_bytes() for name in names}
    yield Fixture("angles beside", "mat", files, names, names[1:])


def _matlab_4(folder: Path) -> Iterator[Fixture]:
    scipy.io.savemat(folder / "a.mat", {"angle": ANGLES}, format="4")
    angles = {"a.mat": (folder / "a.mat").read_bytes()}
    yield Fixture("4, angles", "mat", angles, tuple(angles), tuple(angles), "angles")
    images = {}
    for k, angle in enumerate(ANGLES):
        path = folder / f"t{k}.mat"
        scipy.io.savemat(path, {"projections": stack("float64")[k], "angle": angle}, format="4")
        images[path.name] = path.read_bytes()
    yield Fixture("4, one file for every tilt", "mat", images, tuple(images), tuple(images))


def _dm(folder: Path) -> Iterator[Fixture]:
    if not _HAS_RSCIIO:
        return
    tilts = [(-40.0, 20.0, "deg")]
    pixels = [(0.0, 0.25, "nm"), (0.0, 0.25, "nm")]
    for name, options in {
        "a.dm3": {},
        "b.dm4": {},
        "c.dm3": {"order": ">", "thumbnail": False},
    }.items():
        path = write_dm(folder / name, stack("uint16"), calibrations=pixels + tilts, **options)
        yield _alone(path, "dm", f"stack {name}", angles=True)
    tags = {
        "Microscope Info": {"Stage Position": {"Stage Alpha": -40.0}},
        "DataBar": {"Acquisition Time (OS)": 129_000_000_000_000_000},
    }
    files = {}
    for k, angle in enumerate(ANGLES):
        tags["Microscope Info"]["Stage Position"]["Stage Alpha"] = float(angle)
        tags["DataBar"]["Acquisition Time (OS)"] += 10_000_000
        path = write_dm(folder / f"t{k}.dm3", stack("int16")[k], calibrations=pixels, image_tags=tags)
        files[path.name] = path.read_bytes()
    yield Fixture("one file for every tilt", "dm", files, tuple(files), tuple(files))


def _hdf5(folder: Path) -> Iterator[Fixture]:
    makers: dict[str, tuple[str, Callable[[h5py.File], None]]] = {
        "Velox": ("v.emd", velox),
        "Berkeley": ("b.emd", lambda file: berkeley(file, "/experiment/tilts", "n_m")),
        "tomviz": ("t.emd", lambda file: berkeley(file, "/data/tomography", "n_m")),
        "Data Exchange": ("d.h5", data_exchange),
        "NXtomo": ("n.nxs", nxtomo),
        "plain": ("p.h5", plain),
    }
    for name, (file_name, make) in makers.items():
        for version in ("earliest", "latest"):
            path = folder / file_name
            with h5py.File(path, "w", libver=version) as file:
                make(file)
            yield _alone(path, "hdf5", f"{name}, {version}", angles=name == "plain")


def _text(folder: Path) -> Iterator[Fixture]:
    del folder
    yield Fixture("list", "text", {"s.rawtlt": LIST_OF_ANGLES}, ("s.rawtlt",), ("s.rawtlt",), "angles")
    yield Fixture("table of angles", "text", {"s.csv": TABLE}, ("s.csv",), ("s.csv",), "angles")
    yield Fixture("table of times", "text", {"times.csv": TABLE}, ("times.csv",), ("times.csv",), "times")
    yield Fixture("sections for angles", "mdoc", {"s.mdoc": _sections()}, ("s.mdoc",), ("s.mdoc",), "angles")
    yield Fixture("sections for times", "mdoc", {"s.mdoc": _sections()}, ("s.mdoc",), ("s.mdoc",), "times")


def _sections() -> bytes:
    head = "PixelSpacing = 2.5\nImageFile = D:\\scope\\s.mrc\n\n[T = Tilt axis angle = 85.2]\n\n"
    return (head + "".join(_section("ZValue", k, k) for k in range(N_TILTS))).encode()


def _section(kind: str, number: int, tilt: int, frames: str = "") -> str:
    frame_line = f"SubFramePath = X:\\data\\{frames}\n" if frames else ""
    return (
        f"[{kind} = {number}]\nTiltAngle = {ANGLES[tilt]}\nPixelSpacing = 2.5\nPriorRecordDose = {tilt * 2.5}\n"
        f"{frame_line}DateTime = 31-Mar-23  16:0{(tilt * 3) % 7}:00\n\n"
    )


def _several(folder: Path) -> Iterator[Fixture]:
    path = folder / "s.mrc"
    write_tilt_series(path, stack(), pixel_size=2.5)
    whole = path.read_bytes()
    beside = {"s.mrc": whole, "s.mrc.mdoc": _sections(), "times.csv": TABLE}
    yield Fixture("stack, sections and times", "mdoc", beside, ("s.mrc.mdoc", "times.csv"), ("s.mrc.mdoc",))
    yield Fixture("stack beside sections", "mdoc", beside, ("s.mrc.mdoc",), ("s.mrc",))
    listed = {"s.mrc": whole, "s.rawtlt": LIST_OF_ANGLES, "s.csv": TABLE}
    yield Fixture("stack beside lists", "text", listed, ("s.rawtlt", "s.csv"), ("s.mrc",))
    files, framed = {}, {}
    for k in range(N_TILTS):
        write_tilt_series(path, stack()[k : k + 1], pixel_size=2.5)
        files[f"t_{k}.mrc"], files[f"t_{k}.mrc.mdoc"] = path.read_bytes(), _section("ZValue", 0, k).encode()
        tifffile.imwrite(folder / "f.tif", stack("uint8")[k])
        framed[f"f_{k}.tif"] = (folder / "f.tif").read_bytes()
        framed[f"f_{k}.tif.mdoc"] = _section("FrameSet", 0, k, f"f_{k}.tif").encode()
    yield Fixture(
        "MRC and .mdoc", "several", files, tuple(files), ("t_0.mrc", "t_2.mrc", "t_1.mrc", "t_4.mrc", "t_3.mrc")
    )
    yield Fixture("folder of MRC", "several", files, tuple(files), (".",))
    yield Fixture("frame sets", "several", framed, tuple(framed), tuple(f"f_{k}.tif.mdoc" for k in range(N_TILTS)))
    plain = {f"{k}.tif": framed[f"f_{k}.tif"] for k in range(N_TILTS)} | {"angles.txt": LIST_OF_ANGLES}
    yield Fixture("folder of TIFF", "several", plain, tuple(plain), (".",))


def _runs(folder: Path) -> Iterator[Fixture]:
    from napari_stinr import Trainer, preset_config

    series = growing_series(n_tilts=5, width=5, height=3)
    for preset in ("growth", "static", "paper"):
        path = folder / f"{preset}.stinr"
        Trainer(series, preset_config(preset), device="cpu", threads=1).reconstruction().save(path)
        yield Fixture(preset, "stinr", {path.name: path.read_bytes()}, (path.name,), (path.name,), "run")


def _real(folder: Path) -> Iterator[Fixture]:
    """Real files beside the checkout; of large ones the beginning, with the numbers of images and rows put right."""
    del folder
    if not SHARED_DATA.is_dir():
        return

    def together(name: str, *paths: str, damaged: int | None = None, how: str = "series") -> Fixture:
        files = {Path(path).name: (SHARED_DATA / path).read_bytes() for path in paths}
        given = tuple(files)[:damaged]
        return Fixture(name, "real", files, tuple(files), given, how)

    raw = (SHARED_DATA / "etspy" / "HAADF.mrc").read_bytes()
    rows = struct.pack("<3i", 256, 8, 5)
    cropped = _patched(raw[: 1024 + 131_072 + 5 * 8 * 512], {0: rows})
    yield Fixture("MRC of FEI", "real", {"HAADF.mrc": cropped}, ("HAADF.mrc",), ("HAADF.mrc",))
    frames = {}
    for k in range(3):
        raw = (SHARED_DATA / "serialem" / f"test_00{k}.mrc").read_bytes()
        extended = struct.unpack_from("<i", raw, 92)[0]
        frames[f"test_00{k}.mrc"] = _patched(raw[: 1024 + extended + 2 * 4 * 2048], {4: struct.pack("<i", 4)})
        frames[f"test_00{k}.mrc.mdoc"] = (SHARED_DATA / "serialem" / f"test_00{k}.mrc.mdoc").read_bytes()
    yield Fixture("SerialEM", "real", frames, tuple(frames), (".",))
    yield together("silicon", "asi/aSi_2nmFosCetr_Dose8p0e3_cov35pm_ForBM3D.mat", "asi/Si_Angle.mat", damaged=1)
    yield together("Data Exchange", "dataexchange/tooth.h5")
    yield together("dose-symmetric", "mdoc/tilt_series.mdoc", how="times")
    yield together("frame set", "mdoc/frame_set_multiple.mdoc", how="angles")
    if _HAS_RSCIIO:
        yield together("DM3 stack", "etspy/HAADF.dm3")
        yield together("DM3 files", *(f"etspy/BF_00{k}.dm3" for k in (1, 2, 3)))


_MAKERS: dict[str, Callable[[Path], Iterator[Fixture]]] = {
    "mrc": _mrc,
    "tiff": _tiff,
    "numpy": _numpy,
    "mat": _matlab,
    "dm": _dm,
    "hdf5": _hdf5,
    "text": _text,
    "several": _several,
    "stinr": _runs,
    "real": _real,
}
FAMILIES = tuple(_MAKERS)
"""What can be asked for by name."""
