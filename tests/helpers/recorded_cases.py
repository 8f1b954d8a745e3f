"""Projections of atoms that lie in the middle of the view, and what an instrument does to them."""

from __future__ import annotations

import numpy as np

from helpers.series_cases import blob_projection
from napari_stinr.data.tilt_series import TiltSeries

ANGLES = np.arange(-60, 61, 5.0)


def atoms(n_atoms: int = 14, *, height: int = 24, seed: int = 3) -> tuple[tuple[float, ...], ...]:
    """Places (z, y, x), height and arrival of atoms; the last four arrive one after the other."""
    rng = np.random.default_rng(seed)
    places = np.c_[
        rng.uniform(-8, 8, n_atoms), rng.uniform(-height / 3, height / 3, n_atoms), rng.uniform(-8, 8, n_atoms)
    ]
    arrivals = np.r_[np.zeros(n_atoms - 4), np.linspace(0.2, 0.8, 4)]
    return tuple((*place, 1.0, arrival) for place, arrival in zip(places, arrivals, strict=True))


def recorded(
    *,
    height: int = 24,
    width: int = 40,
    noise: float = 0.0,
    angles: np.ndarray = ANGLES,
    seed: int = 3,
    grows: bool = True,
) -> np.ndarray:
    """`(n_tilts, height, width)` float32 projections in the order of the angles."""
    blobs = atoms(height=height, seed=seed)
    times = np.linspace(0, 1, len(angles))
    stack = np.stack(
        [
            blob_projection(height, width, tuple(b for b in blobs if b[4] <= (t if grows else 0)), angle)
            for t, angle in zip(times, angles, strict=True)
        ]
    )
    return (stack + np.random.default_rng(seed).normal(0, noise, stack.shape)).astype(np.float32)


def series_of(stack: np.ndarray, angles: np.ndarray = ANGLES, **options: object) -> TiltSeries:
    """Return a series of a stack."""
    return TiltSeries(stack, angles, **options)  # type: ignore[arg-type]
