"""Coarse alignment: seconds, no training, no assumption but that neighbouring tilts look alike and mass is kept.

Neighbours in tilt angle are chained by cross-correlation of their fine detail, which contamination does not change
much. Projections 180 degrees apart are mirror images of each other, and tell the rotation and the offset of the axis.
With a smaller range the centre of mass tells the offset, less surely, and nothing here tells the rotation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.alignment.correlation import Spectrum, band_passed, correlations, peak
from napari_stinr.alignment.curves import robust_fit
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.warp import warped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_PREDECESSORS, _FADING = 4, 0.7
"""Tilts before one that tell its shift along the axis, and how much less each counts than the one after it: one alone
may slip by the period of a lattice."""
_SHAPE = (2.0, 16.0)
"""Standard deviations of the Gaussians between which a lattice is hardly seen, and what it belongs to is [pixel]."""
_SLIP = 3
"""How far from the shift of the shape that of the detail is looked for along the axis: beyond, a lattice slips
[pixel]."""
_MIRRORED, _NEAR = 180.0, 2.5
"""Tilts this far apart, within the second number, are mirror images [degrees]."""
_MIRROR_REACH = (4, 10)
_ROTATIONS = np.arange(-4.0, 4.01, 0.5)
_CLEARER = 0.05
"""How much more alike mirror images must be where they are shifted."""
_ROUNDS = 3
_RIDGE = np.array([0.0, 0.0, 1e-3, 1e-3, 1e-2])
"""Penalties of the first moments and of the axis offset."""


@dataclass(frozen=True, eq=False)
class CoarsePose:
    """A pose, and how far it may be trusted.

    Parameters
    ----------
    pose : Pose
        What was found.
    correlation : ndarray
        `(n_tilts,)` of every projection with its neighbour in angle, at the shift that was found [1]; NaN where it has
        none, or does not count.
    correlation_before : ndarray
        `(n_tilts,)` the same without a shift [1].
    n_pairs : int
        Pairs of mirror images; without any, offset and rotation are less certain.
    apart : tuple of int
        Projections that seem to overlap with their neighbour in angle by less than half: none is looked for farther.
    """

    pose: Pose
    correlation: NDArray[np.float64]
    correlation_before: NDArray[np.float64]
    n_pairs: int
    apart: tuple[int, ...] = ()


def coarse_pose(
    projections: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    tilt_angles: NDArray[np.float64],
    times: NDArray[np.float64],
    *,
    report: Callable[[float], None] | None = None,
) -> CoarsePose:
    """Find the pose of a series.

    Parameters
    ----------
    projections : ndarray
        `(n_tilts, height, width)` projections without background [any unit].
    mask : ndarray or None
        `(n_tilts, height, width)` bool, True where a pixel counts.
    tilt_angles, times : ndarray
        `(n_tilts,)` tilt angles [degrees] and times [t].
    report : callable, optional
        Takes the part that is done, 0 to 1.

    Returns
    -------
    CoarsePose
        Shifts, axis offset and rotation; gains of 1, which preprocessing takes care of.
    """
    used: NDArray[np.bool_] = np.ones(len(projections), dtype=bool)
    if mask is not None:
        used &= mask.any(axis=(1, 2))
    order = np.flatnonzero(used)[np.argsort(tilt_angles[used], kind="stable")]
    images = filled(projections, mask)
    chain, score, before = chained(images, order, report)
    pairs = _mirror_pairs(order, tilt_angles)
    pose = chain
    for _ in range(_ROUNDS if pairs else 0):
        rotation, offset = _from_mirrors(images, pose, pairs)
        pose = replace(pose, axis_rotation=rotation, axis_offset=pose.axis_offset + offset)
    if not pairs:
        pose = replace(pose, axis_offset=_offset_of_mass(images, pose, order, tilt_angles))
    limits = [side // 2 - 2.5 for side in images.shape[1:]]
    jumps = [
        np.abs(np.diff(values[order])) >= limit for values, limit in zip((chain.dy, chain.dx), limits, strict=True)
    ]
    apart = tuple(int(k) for k in order[1:][jumps[0] | jumps[1]])
    return CoarsePose(_where_unused(pose, used, tilt_angles), score, before, len(pairs), apart)


def filled(projections: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Pixels that do not count as 0, the background."""
    return projections if mask is None else np.where(mask, projections, np.float32(0))


def chained(
    images: NDArray[np.float32], order: NDArray[np.int64], report: Callable[[float], None] | None
) -> tuple[Pose, NDArray[np.float64], NDArray[np.float64]]:
    """Shifts of every projection from those before it in angle; its correlation with the last, shifted and not."""
    n_tilts, height, width = images.shape
    reach = max(1, height // 2 - 2), max(1, width // 2 - 2)
    dx, dy = np.zeros((2, n_tilts))
    score, unshifted = np.full((2, n_tilts), np.nan)
    before: list[tuple[int, Spectrum]] = []
    last_shape: Spectrum | None = None
    for place, k in enumerate(order):
        spectrum, shape = Spectrum.of(band_passed(images[k])), Spectrum.of(band_passed(images[k], *_SHAPE))
        if before and last_shape is not None:
            neighbour = before[-1][0]
            surfaces = [correlations(spectrum, other, reach) for _, other in reversed(before)]
            near = peak(correlations(shape, last_shape, reach))[0]
            _, x, score[k] = _peak_near(surfaces[0], near)
            unshifted[k] = surfaces[0][reach]
            dx[k] = dx[neighbour] + x
            # Along the axis nothing moves: all predecessors have one shift.
            steps = [dy[neighbour] - dy[index] for index, _ in reversed(before)]
            aside = [dx[k] - dx[index] for index, _ in reversed(before)]
            dy[k] = dy[neighbour] + _common_shift(surfaces, steps, aside, reach, near=near)
        last_shape = shape
        before = [*before[-(_PREDECESSORS - 1) :], (int(k), spectrum)]
        if report is not None:
            report((place + 1) / len(order))
    zero = Pose.identity(n_tilts)
    return replace(zero, dx=dx - dx[order].mean(), dy=dy - dy[order].mean()), score, unshifted


def _peak_near(surface: NDArray[np.float32], near: float) -> tuple[float, float, float]:
    """As :func:`peak`, of the rows about one."""
    middle = (surface.shape[0] - 1) // 2
    first, last = (int(np.clip(round(near) + side * _SLIP, -middle, middle)) + middle for side in (-1, 1))
    y, x, height = peak(surface[first : last + 1])
    return y + (first + last) / 2 - middle, x, height


def _common_shift(
    surfaces: list[NDArray[np.float32]],
    steps: list[float],
    aside: list[float],
    reach: tuple[int, int],
    *,
    near: float,
) -> float:
    """Shift along y that fits all predecessors, from the last of them."""
    shifts = np.arange(-reach[0], reach[0] + 1.0)
    total = np.zeros(len(shifts))
    for number, (surface, step, x) in enumerate(zip(surfaces, steps, aside, strict=True)):
        column = int(np.clip(round(x) + reach[1], 1, surface.shape[1] - 2)) if surface.shape[1] > 2 else 0
        profile = surface[:, max(0, column - 1) : column + 2].max(axis=1)
        total += _FADING**number * np.interp(shifts + step, shifts, profile, left=-1, right=-1)
    centre = round(near)
    radius = min(_SLIP, reach[0] - abs(centre))
    if radius < 1:
        return near
    place = centre + reach[0]
    return centre + peak(total[place - radius : place + radius + 1, None])[0]


def _offset_of_mass(
    images: NDArray[np.float32], chain: Pose, order: NDArray[np.int64], tilt_angles: NDArray[np.float64]
) -> float:
    """Axis offset that the centre of mass tells, of a specimen to which matter is added on any side [pixel]."""
    u = np.arange(images.shape[2]) - (images.shape[2] - 1) / 2
    lines = np.clip(images[order], 0, None).sum(axis=1, dtype=np.float64)
    mass = np.maximum(lines.sum(axis=1), 1e-300)
    theta = np.deg2rad(tilt_angles[order])
    waves = np.c_[np.cos(theta), np.sin(theta)]
    # The centre is at (X cos + Z sin) / mass, with a first moment that is there from the start and one that grows.
    grown = ((mass - mass.min()) / mass)[:, None]
    model = np.c_[waves, waves * grown, np.ones(len(order))]
    # A small range of tilts hardly tells a constant from the cosine.
    return float(robust_fit(model, lines @ u / mass - chain.dx[order], ridge=_RIDGE)[-1])


def _mirror_pairs(order: NDArray[np.int64], tilt_angles: NDArray[np.float64]) -> list[tuple[int, int]]:
    angles = tilt_angles[order]
    apart = np.abs(angles[None] - angles[:, None] - _MIRRORED) <= _NEAR
    return [(int(order[i]), int(order[j])) for i, j in np.argwhere(apart)]


def mirror_offset(
    images: NDArray[np.float32], order: NDArray[np.int64], tilt_angles: NDArray[np.float64]
) -> float | None:
    """Return the axis offset of `(n_tilts, height, width)` images as recorded [pixel].

    None without mirror images, and where they are as much alike without a shift: a lattice repeats itself.
    """
    pairs = _mirror_pairs(order, tilt_angles)
    if not pairs:
        return None
    height, width = images.shape[1:]
    reach = max(1, height // 8), max(1, width // 4)
    shifts, gains = [], []
    for i, j in pairs:
        first, second = band_passed(images[i]), band_passed(images[j])
        likeness = correlations(Spectrum.of(second), Spectrum.of(first[:, ::-1]), reach)
        _, shift, height_of_peak = peak(likeness)
        shifts.append(shift)
        gains.append(height_of_peak - float(likeness[:, reach[1] - 1 : reach[1] + 2].max()))
    shift = float(np.median(shifts))
    return shift / 2 if abs(shift) <= 1 or np.median(gains) > _CLEARER else None


def _from_mirrors(images: NDArray[np.float32], pose: Pose, pairs: list[tuple[int, int]]) -> tuple[float, float]:
    """Axis rotation [degrees], and what has to be added to the axis offset [pixel]."""
    scores, offsets = [], []
    chosen = sorted({k for pair in pairs for k in pair})
    fine = {k: band_passed(images[k]) for k in chosen}
    height, width = images.shape[1:]
    reach = min(_MIRROR_REACH[0], height - 1), min(_MIRROR_REACH[1], width - 1)
    for rotation in _ROTATIONS:
        turned = replace(pose, axis_rotation=float(rotation))
        views = {k: warped(fine[k], None, turned, k, order=3)[0] for k in chosen}
        found = [peak(correlations(Spectrum.of(views[j]), Spectrum.of(views[i][:, ::-1]), reach)) for i, j in pairs]
        scores.append(float(np.mean([value for *_, value in found])))
        offsets.append(float(np.median([x for _, x, _ in found])))
    rotation = _best(np.array(scores))
    return rotation, float(np.interp(rotation, _ROTATIONS, offsets)) / 2


def _best(scores: NDArray[np.float64]) -> float:
    """Rotation with the highest score, by a parabola; 0 where the highest is at an end."""
    place = int(np.argmax(scores))
    if not 0 < place < len(scores) - 1:
        return 0.0
    step = float(_ROTATIONS[1] - _ROTATIONS[0])
    return float(_ROTATIONS[place]) + step * (peak(scores[place - 1 : place + 2, None])[0])


def _where_unused(pose: Pose, used: NDArray[np.bool_], tilt_angles: NDArray[np.float64]) -> Pose:
    """Projections that do not count are moved like their neighbours in angle."""
    if used.all():
        return pose
    order = np.flatnonzero(used)[np.argsort(tilt_angles[used], kind="stable")]
    dx, dy = (np.interp(tilt_angles, tilt_angles[order], values[order]) for values in (pose.dx, pose.dy))
    return replace(pose, dx=np.where(used, pose.dx, dx), dy=np.where(used, pose.dy, dy))
