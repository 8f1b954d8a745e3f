"""What projections cannot tell about their pose, and what a field that is fitted to them mostly hides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HARMONICS = 10
"""Cosines over the range of tilts that are taken for smooth."""
_LEAST_PART = 0.02


def moves(tilt_angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a move of the object along x or z does to the shifts along x: a gauge of any series.

    Parameters
    ----------
    tilt_angles : ndarray
        `(n_tilts,)` tilt angles [degrees].

    Returns
    -------
    ndarray
        `(n_tilts, 2)` shift of every projection for a move by 1 along x, and along z [1].
    """
    theta = np.deg2rad(tilt_angles)
    return np.stack([np.cos(theta), np.sin(theta)], axis=1)


def smooth_modes(tilt_angles: NDArray[np.float64], gauge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return orthonormal shifts that are smooth over the tilts and no gauge.

    Parameters
    ----------
    tilt_angles : ndarray
        `(n_tilts,)` tilt angles [degrees].
    gauge : ndarray
        `(n_tilts, m)` shifts that are left out [any unit].

    Returns
    -------
    ndarray
        `(n_tilts, at most 11)` modes [1].
    """
    place = (tilt_angles - tilt_angles.min()) / max(float(np.ptp(tilt_angles)), 1e-12)
    waves = np.cos(np.pi * place[:, None] * np.arange(_HARMONICS + 1))
    basis, sizes, _ = np.linalg.svd(without(gauge, waves), full_matrices=False)
    modes: NDArray[np.float64] = basis[:, sizes > _LEAST_PART * sizes[0]]
    return modes


def without(modes: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(n, ...)` values less their part in the space of `(n, m)` modes."""
    rest: NDArray[np.float64] = values - modes @ np.linalg.lstsq(modes, values, rcond=None)[0]
    return rest


def constant_beside_moves(values: NDArray[np.float64], tilt_angles: NDArray[np.float64]) -> float:
    """Return the part of `(n_tilts,)` shifts along x that no move of the object explains: that of the axis."""
    modes = np.c_[moves(tilt_angles), np.ones(len(values))]
    return float(np.linalg.lstsq(modes, values, rcond=None)[0][-1])
