"""The names that people give the arrays of a tilt series where the format has no standard (``.npz``, ``.mat``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import NUMERIC_KINDS, damaged
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES
from napari_stinr.io.formats.three_angles import N_ANGLES, AngleList, has_three, recognised

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

USUAL_NAMES = {
    "projections": ("projections", "projection", "tilt_series", "stack", "images", "data"),
    "tilt_angles": ("tilt_angles", "tilt_angle", "tilt_angle_deg", "angles", "angle", "tilts", "theta"),
    "times": ("times", "time", "timestamps"),
    "pixel_size": ("pixel_size", "pixelsize", "voxel_size"),
    "mask": ("mask", "masks"),
}
"""Our names, and the usual ones for the same thing, in lower case; the pixel size is in Å, the angles in degrees."""


def usual_names(names: Iterable[str], path: Path) -> dict[str, str]:
    """Return the name in the file for every key of `USUAL_NAMES` that is there; our own name comes before others."""
    by_name: dict[str, list[str]] = {}
    for name in names:
        by_name.setdefault(name.lower(), []).append(name)
    chosen: dict[str, str] = {}
    for key, synonyms in USUAL_NAMES.items():
        present = [name for name in synonyms if name in by_name]
        candidates = by_name[key] if key in present else [name for synonym in present for name in by_name[synonym]]
        if len(candidates) > 1:
            raise StinrError(
                f"{path.name} has the arrays {', '.join(candidates[:10])}",
                expected=f"one of them, or one with the name '{key}'",
                cure=f"Name the right one '{key}'.",
            )
        if candidates:
            chosen[key] = candidates[0]
    return chosen


def as_angles(values: NDArray[Any], name: str, path: Path) -> AngleList:
    """Return the tilt angles [degrees] of a row, a column, or a table with three angles for every projection."""
    numbers = as_list(values, name, path)
    if numbers.ndim == 1:
        return AngleList(numbers)
    return recognised(numbers, f"{name} in {path.name} has the shape {values.shape}")


def as_vector(values: NDArray[Any], name: str, path: Path) -> NDArray[np.float64]:
    """Return `(n_tilts,)` numbers from a row or a column."""
    numbers = as_list(values, name, path)
    if numbers.ndim != 1:
        raise _no_list(values, name, path)
    return numbers


def as_list(values: NDArray[Any], name: str, path: Path) -> NDArray[np.float64]:
    """Return `(n_tilts,)` numbers from a row or a column, or a table with three for every projection as it is."""
    if values.dtype.kind not in NUMERIC_KINDS:
        raise damaged(path, "arrays of plain numbers", f"{name} has the data type {values.dtype}")
    if values.size > N_ANGLES * MAXIMUM_IMAGES:
        raise damaged(path, f"at most {MAXIMUM_IMAGES} numbers in {name}", f"it has the shape {values.shape}")
    if values.size == 0:
        raise damaged(path, "one number for every projection", f"{name} is empty")
    with np.errstate(invalid="ignore"):  # bytes that are no number are judged by whoever uses them
        numbers = np.atleast_1d(values.squeeze()).astype(np.float64)
    if numbers.ndim != 1 and not has_three(numbers):
        raise _no_list(values, name, path)
    return numbers


def _no_list(values: NDArray[Any], name: str, path: Path) -> StinrError:
    return StinrError(
        f"{name} in {path.name} has the shape {values.shape}",
        expected="one number for every projection",
        cure="Save the tilt angles (degrees) or times alone, as one list.",
    )


def fitting_times(times: NDArray[np.float64] | None, n_tilts: int, name: str) -> tuple[NDArray[np.float64] | None, str]:
    """Return the `(n_tilts,)` times, or None and a note where there is another number of them [unit of the file]."""
    # There are other ways to know when the images were taken, so this is no reason to refuse a file.
    if times is None or times.shape == (n_tilts,):
        return times, ""
    return None, f"{name} lists {times.size} times for {n_tilts} images and was left out."


def as_number(values: NDArray[Any], name: str, path: Path) -> float:
    """Return one number of any shape, or several equal ones (one for every axis), as a float [unit of the file]."""
    numbers = np.unique(values)
    if values.dtype.kind not in NUMERIC_KINDS or numbers.size != 1:
        raise damaged(path, f"one number as {name}", f"{numbers.size} numbers of the data type {values.dtype}")
    return float(numbers[0])
