"""Velox EMD files (Thermo Fisher): images with one JSON text of metadata for every frame.

``Data/Image/<UUID>/Data`` has the axes (y, x, frame), and ``Metadata`` the axes (byte, frame), each text padded with
NUL. Everything in the JSON is text: ``Stage.AlphaTilt`` in radians, ``BinaryResult.PixelSize.width`` in
``BinaryResult.PixelUnitX``, ``Acquisition.AcquisitionStartDatetime.DateTime`` in seconds since 1970, which often is the
same for all frames, and ``CustomProperties['Detectors[<name>].TimeStamp'].value`` in microseconds since 1970.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_stinr.io.formats.containers import NUMERIC_KINDS, Stack
from napari_stinr.io.formats.guards.hdf5_chunks import read_part
from napari_stinr.io.formats.hdf5_files import dataset_images, find_dataset, find_object
from napari_stinr.io.formats.hdf5_tree import kind_of, members
from napari_stinr.io.formats.units import stated_length

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAXIMUM_JSON = 1_000_000
"""The metadata of a frame are 60 kB; longer text is something else [byte]."""
MAXIMUM_METADATA = 64_000_000
"""Metadata of all frames together; beyond it only those of the first frame are read [byte]."""

_IMAGES = "/Data/Image"


@dataclass(frozen=True)
class _Frame:
    """What the metadata of a frame say."""

    tilt_angle: float = math.nan
    date: float = math.nan
    stamp: float = math.nan
    pixel_size: float | None = None
    pixel_height: float | None = None
    detector: str = ""


def read_velox(file: h5py.File, path: Path) -> Stack | None:
    """Return the most images of a detector, of several the HAADF detector; None where it is no Velox file."""
    found = _images(file, path)
    if not found:
        return None
    most = max(found.values())
    largest = [name for name, n_frames in found.items() if n_frames == most]
    detectors = {name: _frames(file, name, 1, path)[0].detector for name in largest}
    chosen = next((name for name in largest if "HAADF" in detectors[name].upper()), largest[0])
    frames = _frames(file, chosen, most, path)
    angles, angle_note = _tilt_angles(frames, most)
    others = ", ".join(
        f"{detectors.get(name) or name.rsplit('/', 1)[-1][:8]} ({n_frames} images)"
        for name, n_frames in list(found.items())[:10]
        if name != chosen
    )
    named = f"those of {detectors[chosen]}" if detectors[chosen] else "the first"
    return Stack(
        dataset_images(path, f"{chosen}/Data", axes=(2, 0, 1)),
        tilt_angles=angles,
        timestamps=_timestamps(frames, most),
        pixel_size=frames[0].pixel_size,
        pixel_height=frames[0].pixel_height,
        place="Velox metadata",
        notes=tuple(
            note
            for note in (f"The file also has images of {others}; {named} were read." if others else "", angle_note)
            if note
        ),
    )


def _images(file: h5py.File, path: Path) -> dict[str, int]:
    group = find_object(file, _IMAGES, path)
    if not isinstance(group, h5py.Group):
        return {}
    found = {}
    for member in members(group, path):
        data = find_object(group, f"{member}/Data", path)
        if isinstance(data, h5py.Dataset) and data.ndim == 3 and kind_of(data) in tuple(NUMERIC_KINDS):
            found[f"{_IMAGES}/{member}"] = int(data.shape[2])
    return found


def _frames(file: h5py.File, name: str, n_frames: int, path: Path) -> list[_Frame]:
    """Return at least one; fewer than frames where the metadata do not fit them."""
    metadata = find_dataset(file, f"{name}/Metadata", path)
    if metadata is None or metadata.ndim != 2 or metadata.dtype.itemsize != 1 or metadata.shape[0] > MAXIMUM_JSON:
        return [_Frame()]
    n_bytes, n_texts = metadata.shape
    whole = n_texts == n_frames and n_bytes * n_texts <= MAXIMUM_METADATA
    where = (slice(0, n_bytes), slice(0, n_texts if whole else min(n_texts, 1)))
    texts = np.ascontiguousarray(read_part(metadata, where, path).T)
    return [_frame(text.tobytes()) for text in texts] or [_Frame()]


def _frame(text: bytes) -> _Frame:
    try:
        metadata = json.loads(text.rstrip(b"\0 \r\n").split(b"\0")[0])
    except (ValueError, RecursionError):
        return _Frame()
    detector = _detector(metadata)
    stamps = _at(metadata, "CustomProperties")
    keys = [key for key in stamps if key.endswith("].TimeStamp")] if isinstance(stamps, dict) else []
    own = next((key for key in keys if key == f"Detectors[{detector}].TimeStamp"), keys[0] if keys else "")
    width, height = (_length(metadata, *edge) for edge in (("width", "PixelUnitX"), ("height", "PixelUnitY")))
    return _Frame(
        tilt_angle=math.degrees(_number(_at(metadata, "Stage", "AlphaTilt"))),
        date=_number(_at(metadata, "Acquisition", "AcquisitionStartDatetime", "DateTime")),
        stamp=_number(_at(stamps, own, "value")) / 1e6,
        pixel_size=width,
        pixel_height=height,
        detector=detector,
    )


def _length(metadata: Any, edge: str, unit_name: str) -> float | None:
    unit = _at(metadata, "BinaryResult", unit_name)
    size = _number(_at(metadata, "BinaryResult", "PixelSize", edge))
    return stated_length(size, unit if isinstance(unit, str) else "m")


def _detector(metadata: Any) -> str:
    name = _at(metadata, "BinaryResult", "Detector")
    if not isinstance(name, str) or not name:
        index = _at(metadata, "BinaryResult", "DetectorIndex")
        name = _at(metadata, "Detectors", f"Detector-{index}", "DetectorName")
    return name[:40] if isinstance(name, str) else ""


def _at(metadata: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(metadata, dict):
            return None
        metadata = metadata.get(key)
    return metadata


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _tilt_angles(frames: list[_Frame], n_frames: int) -> tuple[NDArray[np.float64] | None, str]:
    angles = np.array([frame.tilt_angle for frame in frames])
    n_known = int(np.isfinite(angles).sum())
    if len(angles) != n_frames or n_known < n_frames:
        return None, f"The metadata give the tilt angles of {n_known} of {n_frames} images, which were left out."
    if n_frames > 1 and np.ptp(angles) == 0:
        return None, f"The stage stood at {angles[0]:g}° in all images according to their metadata."
    return angles, ""


def _timestamps(frames: list[_Frame], n_frames: int) -> NDArray[np.float64] | None:
    for values in (np.array([frame.date for frame in frames]), np.array([frame.stamp for frame in frames])):
        if len(values) == n_frames and np.all(values > 0) and (n_frames == 1 or np.ptp(values) > 0):
            return values
    return None
