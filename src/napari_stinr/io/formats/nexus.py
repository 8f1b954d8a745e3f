"""NeXus files of the application definition NXtomo.

An entry with ``definition`` "NXtomo" holds ``sample/rotation_angle`` and a detector with ``data`` (frame, y, x) and
``image_key``: 0 for projections, 1 for flat fields, 2 for dark fields, 3 for invalid frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Stack
from napari_stinr.io.formats.hdf5_files import dataset_images, find_dataset, find_object
from napari_stinr.io.formats.hdf5_text import read_text, text_attribute
from napari_stinr.io.formats.hdf5_tree import read_angles, read_list
from napari_stinr.io.formats.units import stated_length

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.formats.hdf5_tree import Tree

_KEYS = ("image_key_control", "image_key")
_PIXEL_SIZES = (("sample/{}_pixel_size", ""), ("{}_pixel_size", "It is that of the detector: mind the magnification."))


def read_nxtomo(file: h5py.File, tree: Tree, path: Path) -> Stack | None:
    """Return the frames with image key 0, their numbers among all frames as times; None where there is no NXtomo."""
    entries = [name for name, group in tree.groups.items() if _is_nxtomo(group, path)]
    detectors = [name for name, group in tree.groups.items() if _is_detector(group, path)]
    if not entries:
        return None
    # A subentry with the definition may lie within an entry that has it, too.
    found = [name for name in detectors if any(name.startswith(f"{entry}/") for entry in entries)]
    if len(found) != 1:
        raise StinrError(
            f"{path.name} holds {len(found)} detectors with an image key ({', '.join(found[:5]) or tree.listing()})",
            expected="one in an NXtomo entry",
            cure="Save the tilt series in a file of its own.",
        )
    detector = found[0]
    entry = max((name for name in entries if detector.startswith(f"{name}/")), key=len)
    return _stack(file, entry, detector, path)


def _is_nxtomo(group: h5py.Group, path: Path) -> bool:
    definition = find_object(group, "definition", path)
    return isinstance(definition, h5py.Dataset) and read_text(definition, path).startswith("NXtomo")


def _is_detector(group: h5py.Group, path: Path) -> bool:
    data = find_object(group, "data", path)
    return isinstance(data, h5py.Dataset) and any(find_object(group, key, path) is not None for key in _KEYS)


def _stack(file: h5py.File, entry: str, detector: str, path: Path) -> Stack:
    data = find_dataset(file, f"{detector}/data", path)
    n_frames = data.shape[0] if data is not None and data.ndim > 0 else 0
    keys = next((key for key in (read_list(file, f"{detector}/{key}", path) for key in _KEYS) if key is not None), None)
    if keys is None or len(keys) != n_frames or not np.any(keys == 0):
        n_keys = 0 if keys is None else len(keys)
        raise StinrError(
            f"{path.name} has {n_frames} frames and {n_keys} image keys, {_count(keys, 0)} of them 0",
            expected="one key for every frame, 0 for projections",
            cure="Write image_key again.",
        )
    chosen = np.flatnonzero(keys == 0)
    dropped = n_frames - len(chosen)
    angles, angle_note = _angles(file, entry, chosen, n_frames, path)
    pixel, height, pixel_note = _pixel_size(file, entry, detector, path)
    notes = (
        f"{dropped} of {n_frames} frames were left out by their image key: {_count(keys, 1)} flat fields,"
        f" {_count(keys, 2)} dark fields, {dropped - _count(keys, 1) - _count(keys, 2)} others; they were not applied."
        if dropped
        else "",
        angle_note,
        "The frames of an NXtomo file are in the order of acquisition; their numbers were taken as times.",
        pixel_note,
    )
    return Stack(
        dataset_images(path, f"{detector}/data", selection=chosen.tolist()),
        tilt_angles=angles,
        times=chosen.astype(np.float64),
        pixel_size=pixel,
        pixel_height=height,
        place=f"NXtomo entry {entry}",
        notes=tuple(note for note in notes if note),
    )


def _count(keys: NDArray[np.float64] | None, key: int) -> int:
    return 0 if keys is None else int(np.count_nonzero(keys == key))


def _angles(
    file: h5py.File, entry: str, chosen: NDArray[np.intp], n_frames: int, path: Path
) -> tuple[NDArray[np.float64] | None, str]:
    found = find_dataset(file, f"{entry}/sample/rotation_angle", path)
    if found is None or found.size == 0:
        return None, f"{entry}/sample has no rotation_angle."
    angles, note = read_angles(found, path)
    if angles is None or len(angles) == len(chosen):
        return angles, note
    if len(angles) != n_frames:
        return (
            angles,
            f"rotation_angle lists {len(angles)} angles for {n_frames} frames ({len(chosen)} projections).",
        )
    return angles[chosen], note


def _pixel_size(file: h5py.File, entry: str, detector: str, path: Path) -> tuple[float | None, float | None, str]:
    """Return width and height of a pixel, of one and the same place [Å], and what to say of it."""
    for form, note in _PIXEL_SIZES:
        places = [f"{entry if '/' in form else detector}/{form.format(edge)}" for edge in "xy"]
        width, height = (_length(file, place, path) for place in places)
        if width is not None:
            return width, height, f"Pixel size from {places[0]}. {note}".strip()
    return None, None, ""


def _length(file: h5py.File, place: str, path: Path) -> float | None:
    values, owner = read_list(file, place, path), find_object(file, place, path)
    if values is None or len(values) != 1 or owner is None:
        return None
    return stated_length(float(values[0]), text_attribute(owner, "units"))
