"""A small tilt series in every layout of HDF5."""

from __future__ import annotations

import json

import h5py
import numpy as np

from helpers.reading_cases import ANGLES, stack

N_TILTS = len(ANGLES)


def velox(file: h5py.File) -> None:
    """Write images and one JSON text a frame, as Velox does."""
    group = file.create_group("/Data/Image/0123456789abcdef")
    group.create_dataset("Data", data=np.moveaxis(stack("uint16"), 0, -1), chunks=(6, 7, 1), compression="gzip")
    metadata = np.zeros((1000, N_TILTS), "u1")
    for k, angle in enumerate(ANGLES):
        text = json.dumps(
            {
                "Stage": {"AlphaTilt": str(np.deg2rad(angle))},
                "BinaryResult": {"PixelSize": {"width": "2.5e-10"}, "PixelUnitX": "m", "Detector": "HAADF"},
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": str(1_500_000_000 + 60 * k)}},
                "CustomProperties": {"Detectors[HAADF].TimeStamp": {"type": "double", "value": str(1e15 + 1e6 * k)}},
            }
        ).encode()
        metadata[: len(text), k] = np.frombuffer(text, "u1")
    group["Metadata"] = metadata


def berkeley(file: h5py.File, name: str, unit: str) -> None:
    """Write a group with `data` and an axis list each, as NCEM and tomviz do."""
    group = file.create_group(name)
    group.attrs["emd_group_type"] = 1
    group.create_dataset("data", data=stack(), chunks=(2, 6, 7), compression="gzip")
    for number, (label, units, values) in enumerate(
        (("angle", "[deg]", ANGLES), ("y", f"[{unit}]", np.arange(6) * 0.25), ("x", f"[{unit}]", np.arange(7) * 0.25))
    ):
        group[f"dim{number + 1}"] = values
        group[f"dim{number + 1}"].attrs.update({"name": label, "units": units})


def data_exchange(file: h5py.File) -> None:
    """Write projections, angles, flat and dark fields, as synchrotrons do."""
    file["/exchange/data"] = stack()
    file["/exchange/theta"] = ANGLES
    file["/exchange/theta"].attrs["units"] = "degrees"
    file["/exchange/data_dark"], file["/exchange/data_white"] = np.zeros((2, 6, 7)), np.ones((2, 6, 7))


def nxtomo(file: h5py.File) -> None:
    """Write a NeXus entry with a detector, as NXtomo says."""
    entry = file.create_group("entry")
    entry.attrs["NX_class"], entry["definition"] = "NXentry", "NXtomo"
    entry.create_dataset("instrument/detector/data", data=stack("uint16"), chunks=(1, 6, 7), compression="lzf")
    entry["instrument/detector/image_key"] = np.zeros(N_TILTS, int)
    entry["instrument/detector/x_pixel_size"] = 2.5e-10
    entry["instrument/detector/x_pixel_size"].attrs["units"] = "m"
    entry["sample/rotation_angle"] = ANGLES
    entry["start_time"] = "2023-03-31T16:00:00"
    entry["data/data"] = h5py.SoftLink("/entry/instrument/detector/data")


def plain(file: h5py.File) -> None:
    """Write arrays of the usual names."""
    file.create_dataset(
        "projections", data=stack(), chunks=(1, 3, 7), shuffle=True, fletcher32=True, maxshape=(None, 6, 7)
    )
    file["tilt_angles"], file["pixel_size"] = ANGLES, 2.5
