"""One Gauss-Newton step of the pose: measured projections are laid upon what a field predicts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FINE, _COARSE = 0.7, 3.0
"""Standard deviations of the two Gaussians between which detail is compared [pixel]: that of the specimen, as
contamination has hardly any."""
_NARROW = (20.0, 20.0, 0.5)
"""Standard deviations of shifts [pixel] and of tilt angles [degrees] that are expected at all."""
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class PoseStep:
    """What has to be added to a pose.

    Parameters
    ----------
    dx, dy : ndarray
        `(n_tilts,)` shifts [pixel].
    angle : ndarray
        `(n_tilts,)` tilt angles [degrees]; 0 where they were not looked for.
    rotation : float
        Axis rotation [degrees].
    """

    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    angle: NDArray[np.float64]
    rotation: float


def pose_step(
    measured: NDArray[np.float32],
    counts: NDArray[np.bool_] | None,
    predicted: NDArray[np.float32],
    *,
    turned: NDArray[np.float32] | None = None,
    angle_error: NDArray[np.float64] | None = None,
    first_row: float | None = None,
) -> PoseStep:
    """Return the step that makes measured projections most like predicted ones.

    Parameters
    ----------
    measured : ndarray
        `(n_tilts, height, width)` warped projections [any unit].
    counts : ndarray or None
        `(n_tilts, height, width)` bool, True where a pixel counts.
    predicted : ndarray
        `(n_tilts, height, width)` predicted projections [the same].
    turned : ndarray, optional
        `(n_tilts, height, width)` derivative of the predicted ones by the tilt angle [the same per degree]; without it
        angles are left as they are.
    angle_error : ndarray, optional
        `(n_tilts,)` what the angles have been changed by so far, which is held against more of it [degrees].
    first_row : float, optional
        Distance of the first row from the middle row of the whole images, downwards; by default these are whole
        [pixel].

    Returns
    -------
    PoseStep
        With all gauges in it.
    """
    n_tilts, height, width = predicted.shape
    first_row = -(height - 1) / 2 if first_row is None else first_row
    v = (first_row + np.arange(height, dtype=np.float32))[:, None]
    u = np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)
    unit = np.float32(max(float(np.abs(predicted).max()), float(np.finfo(np.float32).tiny)))
    n_own = 3 if turned is None else 5
    normal, right, mixed = np.zeros((n_tilts, n_own, n_own)), np.zeros((n_tilts, n_own)), np.zeros((n_tilts, n_own))
    rotating = push = power = n_counted = 0.0
    for k in range(n_tilts):
        inside = np.ones((height, width), dtype=np.float32) if counts is None else counts[k].astype(np.float32)
        own, rotation = _columns(predicted[k] / unit, None if turned is None else turned[k] / unit, v, u)
        # Where nothing counts the measured image is as predicted: no edge of a mask is seen as detail.
        fine = np.stack([_flat(column * inside) for column in ((measured[k] - predicted[k]) / unit, *own, rotation)])
        products = fine @ fine.T
        normal[k], right[k], mixed[k] = products[1:-1, 1:-1], products[1:-1, 0], products[1:-1, -1]
        power, push, rotating = power + products[0, 0], push + products[0, -1], rotating + products[-1, -1]
        n_counted += float(inside.sum())
    # Neighbouring pixels of a smoothed image are not independent: the area over which they are alike.
    variance = power / max(n_counted, 1.0) * (2 * np.sqrt(np.pi) * _FINE) ** 2
    narrow = np.zeros(n_own)
    narrow[:2] = variance / np.square(_NARROW[:2])
    if turned is not None:
        narrow[3] = variance / _NARROW[2] ** 2
        right[:, 3] -= narrow[3] * (np.zeros(n_tilts) if angle_error is None else angle_error)
    identity = np.eye(n_own)
    normal += identity * narrow
    normal += (_TINY * np.trace(normal, axis1=1, axis2=2) + np.finfo(float).tiny)[:, None, None] * identity
    # The rotation is common to all tilts: eliminated by its Schur complement.
    by_rotation = np.linalg.solve(normal, mixed[..., None])[..., 0]
    left = rotating - float((mixed * by_rotation).sum())
    turn = (push - float((by_rotation * right).sum())) / left if left > _TINY * rotating else 0.0
    step: NDArray[np.float64] = np.linalg.solve(normal, right[..., None])[..., 0] - turn * by_rotation
    return PoseStep(step[:, 0], step[:, 1], np.zeros(n_tilts) if turned is None else step[:, 3], float(turn))


def detail(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what is finer than contamination in an image `(height, width)`, and coarser than noise."""
    fine: NDArray[np.float32] = gaussian_filter(image, _FINE) - gaussian_filter(image, _COARSE)
    return fine


def _flat(image: NDArray[np.float32]) -> NDArray[np.float64]:
    return detail(image).ravel().astype(np.float64)


def _columns(
    predicted: NDArray[np.float32], turned: NDArray[np.float32] | None, v: NDArray[np.float32], u: NDArray[np.float32]
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the derivatives of a measured image by its own dx, dy, gain and angle, and by the axis rotation."""
    along_x, along_y = _derivative(predicted, 1), _derivative(predicted, 0)
    own = [-along_x, -along_y, predicted]
    if turned is not None:
        # A young field is weak and blurred, which looks a little like a wrong angle.
        own += [turned, _derivative(along_x, 1) + _derivative(along_y, 0)]
    return own, (v * along_x - u * along_y) * np.float32(np.pi / 180)


def _derivative(image: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Fourth-order central difference, edges repeated [per pixel]."""
    padded = np.pad(image, [(2, 2) if axis == number else (0, 0) for number in (0, 1)], mode="edge")

    def at(step: int) -> NDArray[np.float32]:
        return np.take(padded, np.arange(image.shape[axis]) + 2 + step, axis)

    return np.asarray((8 * (at(1) - at(-1)) - (at(2) - at(-2))) / np.float32(12))
