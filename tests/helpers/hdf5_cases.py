"""Small HDF5 files of every layout, with known content, and hostile ones. Nothing in them was measured."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ANGLES = np.array([-60.0, -32.5, 0.25, 30.0, 59.0])
"""Tilt angles [degrees]."""
PIXEL_SIZE = 3.25
"""[Å]"""
DATES = 1_700_000_000.0 + np.array([0.0, 70.0, 140.0, 200.0, 290.0])
"""Seconds since 1970 [s]."""
KEYS = np.array([1, 2, 0, 0, 3, 0, 0, 0, 1])
"""Image keys of an NXtomo file: five projections among flat and dark fields."""


def images(dtype: str = "float32", n_tilts: int = 5) -> NDArray[Any]:
    """Return `(n_tilts, 6, 8)` images that are different in every pixel."""
    return (np.arange(n_tilts * 48).reshape(n_tilts, 6, 8) * 3 % 251).astype(dtype)


def velox_metadata(
    angle: float, date: float, *, detector: str = "HAADF", stamp: float | None = None, unit: str = "m"
) -> dict[str, Any]:
    """Return what Velox says about one frame, as far as it is read."""
    return {
        "Core": {"MetadataDefinitionVersion": "7.9"},
        "Stage": {"AlphaTilt": repr(float(np.radians(angle))), "BetaTilt": "0"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": str(int(date))}},
        "BinaryResult": {
            "PixelSize": {"width": repr(PIXEL_SIZE * 1e-10), "height": repr(PIXEL_SIZE * 1e-10)},
            "PixelUnitX": unit,
            "DetectorIndex": "0",
        },
        "Detectors": {"Detector-0": {"DetectorName": detector}},
        "CustomProperties": {
            f"Detectors[{detector}].TimeStamp": {
                "type": "long",
                "value": str(int((date if stamp is None else stamp) * 1e6)),
            }
        },
    }


def add_velox_image(
    file: h5py.File, name: str, frames: NDArray[Any], metadata: list[dict[str, Any]], *, n_bytes: int = 2000
) -> None:
    """Add one image stack of a Velox file: (y, x, frame), a chunk for every frame, and a JSON text for every frame."""
    group = file.create_group(f"Data/Image/{name}")
    group.create_dataset("Data", data=np.moveaxis(frames, 0, 2), chunks=(*frames.shape[1:], 1))
    texts = np.zeros((n_bytes, len(metadata)), np.uint8)
    for k, facts in enumerate(metadata):
        text = json.dumps(facts).encode()
        texts[: len(text), k] = np.frombuffer(text, np.uint8)
    group.create_dataset("Metadata", data=texts)


def write_velox(path: Path, *, dates: NDArray[np.float64] = DATES, stamps: NDArray[np.float64] | None = None) -> None:
    """Write a Velox file (EMD) with one tilt series, the angles and dates in the metadata of the frames."""
    stamps = dates if stamps is None else stamps
    with h5py.File(path, "w") as file:
        file["Version"] = '{"format": "Velox", "version": "1.0"}'
        metadata = [
            velox_metadata(angle, date, stamp=stamp) for angle, date, stamp in zip(ANGLES, dates, stamps, strict=True)
        ]
        add_velox_image(file, "0123456789abcdef", images("uint16"), metadata)


def add_emd_group(
    file: h5py.File, name: str, data: NDArray[Any], dims: list[tuple[str, str, Any]], **storage: Any
) -> h5py.Group:
    """Add a Berkeley EMD group: data and, for every axis, its name, its units and its values."""
    group = file.create_group(name)
    group.attrs["emd_group_type"] = 1
    group.create_dataset("data", data=data, **storage)
    for number, (label, units, values) in enumerate(dims):
        group[f"dim{number + 1}"] = values
        group[f"dim{number + 1}"].attrs["name"] = label
        group[f"dim{number + 1}"].attrs["units"] = units
    return group


def write_berkeley(path: Path, *, tilt_axis: int = 0, in_radians: bool = False) -> None:
    """Write an EMD file as Berkeley's programs do, compressed, with the tilt on any axis."""
    data, dims = images("int16"), _emd_dims("[rad]" if in_radians else "deg")
    order = [1, 2]
    order.insert(tilt_axis, 0)
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        add_emd_group(
            file,
            "data/experiment",
            data.transpose(order),
            [dims[axis] for axis in order],
            compression="gzip",
            shuffle=True,
            fletcher32=True,
        )
        file["microscope/name"] = "none"


def write_tomviz(path: Path, *, is_volume: bool = False) -> None:
    """Write an EMD file as tomviz does: a tilt series (angles, y, x), or a volume (x, y, z)."""
    dims = [(name, units, np.asarray(values, np.float32)) for name, units, values in _emd_dims("[deg]")]
    if is_volume:
        dims = [("x", "[n_m]", dims[0][2] * 0 + np.arange(5) * 0.2), ("y", *dims[1][1:]), ("z", *dims[2][1:])]
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = np.uint32(0), np.uint32(2)
        group = add_emd_group(file, "data/tomography", images(), dims)
        group["data"].attrs["name"] = "Scalars"
        group.create_group("tomviz_scalars")["Scalars"] = h5py.SoftLink("/data/tomography/data")
        file["tomviz_datasources/0x1"] = h5py.SoftLink("/data/tomography")
        if not is_volume:
            group["scan_ids"] = np.array([4, 3, 2, 1, 0], np.int32)


def write_data_exchange(path: Path, *, in_radians: bool = False) -> None:
    """Write a Data Exchange file with flat and dark fields."""
    with h5py.File(path, "w") as file:
        file["implements"] = "exchange"
        file["exchange/data"] = images("uint16")
        file["exchange/data_white"] = images("uint16", 2)
        file["exchange/data_dark"] = images("uint16", 2)
        file["exchange/theta"] = np.radians(ANGLES) if in_radians else ANGLES
        file["exchange/theta"].attrs["units"] = "rad" if in_radians else "degrees"


def write_nxtomo(path: Path, *, subentry: bool = False) -> None:
    """Write a NeXus file of projections, flat and dark fields; the latter have no angles or images worth the name."""
    angles, frames = np.full(len(KEYS), 777.0), np.full((len(KEYS), 6, 8), 65535, np.uint16)
    angles[KEYS == 0], frames[KEYS == 0] = ANGLES, images("uint16")
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1/tomo_entry" if subentry else "entry")
        entry.attrs["NX_class"] = "NXsubentry" if subentry else "NXentry"
        entry["definition"] = "NXtomo"
        entry["start_time"] = "2024-05-06T07:08:09"
        detector = entry.create_group("instrument/detector")
        detector.create_dataset("data", data=frames, chunks=(4, 3, 8), compression="gzip")
        detector["image_key"] = KEYS
        detector["x_pixel_size"] = PIXEL_SIZE * 1e-4
        detector["x_pixel_size"].attrs["units"] = "um"
        entry["sample/rotation_angle"] = angles
        entry["sample/rotation_angle"].attrs["units"] = "degree"
        entry.create_group("data")["data"] = h5py.SoftLink(f"{detector.name}/data")


def write_plain(path: Path) -> None:
    """Write an HDF5 file of no layout: images and angles under usual names."""
    with h5py.File(path, "w") as file:
        file["data"] = images(">i2")
        file["angles"] = ANGLES
        file["pixel_size"] = PIXEL_SIZE / 10
        file["pixel_size"].attrs["units"] = "nm"


def _emd_dims(angle_units: str) -> list[tuple[str, str, Any]]:
    angles = np.radians(ANGLES) if "rad" in angle_units else ANGLES
    return [
        ("angles", angle_units, angles),
        ("y", "[n_m]", np.arange(6) * PIXEL_SIZE / 10),
        ("x", "[n_m]", np.arange(8) * PIXEL_SIZE / 10),
    ]


WRITERS = {
    "velox": write_velox,
    "berkeley": write_berkeley,
    "tomviz": write_tomviz,
    "data_exchange": write_data_exchange,
    "nxtomo": write_nxtomo,
    "plain": write_plain,
}
"""One valid file of every layout."""


def write_hostile(folder: Path) -> dict[str, Path]:
    """Write one file for every way in which an HDF5 file can do harm; the names say which."""
    secret = folder / "secret.bin"
    secret.write_bytes(bytes(range(240)))
    with h5py.File(folder / "other.h5", "w") as file:
        file["data"] = images()
    makers = {
        "external_link": lambda f: f.__setitem__("data", h5py.ExternalLink("other.h5", "/data")),
        "external_storage": lambda f: f.create_dataset(
            "data", (5, 6, 8), "u1", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
        ),
        "virtual": _make_virtual,
        "soft_link_loop": lambda f: f["exchange"].__setitem__("data", h5py.SoftLink("/exchange/data")),
        "declares_36_tib": lambda f: f.create_dataset("data", (100, 300_000, 300_000), "u4"),
        "chunks_of_36_tib": lambda f: f.create_dataset("data", (100, 300_000, 300_000), "u4", chunks=(1, 1000, 1000)),
        "gzip_bomb": _make_gzip_bomb,
        "chunk_expands_to_more": lambda f: _make_chunk(f, bytes(400_000_000)),
        "chunk_expands_to_less": lambda f: _make_chunk(f, b"short"),
        "chunk_larger_than_declared": _make_large_chunk,
        "millions_of_chunks": lambda f: f.create_dataset("data", (60, 1000, 1000), "u1", chunks=(1, 1, 1)),
        "mostly_unwritten": lambda f: f.create_dataset("data", (3000, 141, 141), "u1", chunks=(1, 1, 1)),
        "objects": lambda f: f.create_dataset("data", data=np.full((3, 4, 5), "x", object), dtype=h5py.string_dtype()),
        "complex": lambda f: f.create_dataset("data", data=images().astype(np.complex64)),
        "empty": lambda f: f.create_dataset("data", (5, 0, 8), "f4"),
    }
    paths = {}
    for name, make in makers.items():
        paths[name] = folder / f"{name}.h5"
        with h5py.File(paths[name], "w") as file:
            file.create_group("exchange")
            make(file)
    enlarge_chunk(paths["chunk_larger_than_declared"])
    return paths


def _make_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((5, 6, 8), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", (5, 6, 8))
    file.create_virtual_dataset("data", layout)


def _make_gzip_bomb(file: h5py.File) -> None:
    data = file.create_dataset("data", (2000, 1000, 1000), "u1", chunks=(100, 1000, 1000), compression="gzip")
    chunk = zlib.compress(bytes(100_000_000), 9)
    for k in range(20):
        data.id.write_direct_chunk((100 * k, 0, 0), chunk)


def _make_chunk(file: h5py.File, content: bytes) -> None:
    data = file.create_dataset("data", (5, 1000, 1000), "u1", chunks=(5, 1000, 1000), compression="gzip")
    data.id.write_direct_chunk((0, 0, 0), zlib.compress(content, 9))


def _make_large_chunk(file: h5py.File) -> None:
    data = file.create_dataset("data", (2, 6, 4), "u1", chunks=(2, 6, 4))
    data.id.write_direct_chunk((0, 0, 0), bytes(48))


def enlarge_chunk(path: Path) -> None:
    """Let a file say that its only chunk, of 48 bytes, has 4000; libhdf5 puts them into memory for 48."""
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"TREE") + 24
    assert content[entry : entry + 4] == (48).to_bytes(4, "little")
    content[entry : entry + 4] = (4000).to_bytes(4, "little")
    path.write_bytes(content)
