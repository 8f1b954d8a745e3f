"""From what a fit still sees of an error to the pose at which it would see none.

A field that is fitted to projections at a wrong pose hides most of what is smooth in its error: in a range of 120
degrees it shows a twentieth of an offset of the axis. What it shows is proportional to the error, so that one fit after
another tells where that vanishes (Broyden's method). What is not smooth over the tilts no field can hide.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.alignment.gauges import constant_beside_moves, moves, smooth_modes, without

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.alignment.registration import PoseStep

_OFFSET_SHOWN, _ROTATION_SHOWN = 0.3, 0.2
"""How much of an error a short fit shows, by the part of a constant that is no move of the object; measured."""
_DX_SHOWN, _DY_SHOWN = 0.3, 0.5
"""The same of shifts that are smooth over the tilts."""
_FURTHEST_OFFSET, _FURTHEST_ROTATION, _FURTHEST_SHIFT = 6.0, 2.0, 3.0
"""Longest steps [pixel, degrees, pixel]."""
_STEEPEST = 4.0
"""Largest rotation of the axis that is found [degrees]."""
_FURTHEST_TURN = 0.5
"""Longest step of a tilt angle [degrees]."""
_KNOWN_SHIFT, _KNOWN_AXIS = 0.05, 0.1
"""Distance of two poses from which on what was measured counts more than what was expected, of smooth shifts and of the
axis [pixel, or degrees]."""
_LEAST_PART = 0.5
"""By what part of the expected one a signal is taken to be shown at least."""


class Rounds:
    """Moves a pose by what one fit after the other shows.

    Parameters
    ----------
    tilt_angles : ndarray
        `(n_tilts,)` nominal tilt angles [degrees].
    used : ndarray
        `(n_tilts,)` bool, True where a projection counts.

    Attributes
    ----------
    is_turning : bool
        Rotations of the axis are followed.
    turned : list of float
        By how much the axis was turned in every round so far, either way [degrees].
    """

    def __init__(self, tilt_angles: NDArray[np.float64], used: NDArray[np.bool_]) -> None:
        self._angles, self._used = tilt_angles, used
        angles = tilt_angles[used]
        one, theta = np.ones((len(angles), 1)), np.deg2rad(angles)
        self._moves = moves(angles)
        self._gauge_x = np.c_[self._moves, one]
        self._smooth_x, self._smooth_y = (smooth_modes(angles, gauge) for gauge in (self._gauge_x, one))
        # A turn of the object, and what cannot be told from a move or from growth.
        self._turns = np.c_[one, theta, np.cos(2 * theta), np.sin(2 * theta)]
        self._told = float(np.sqrt(np.mean(np.square(without(self._moves, one)))))
        axis = np.array([self._told])
        self._offset = _Descent(_OFFSET_SHOWN * axis, known=_KNOWN_AXIS, furthest=_FURTHEST_OFFSET)
        self._rotation = _Descent(_ROTATION_SHOWN * axis, known=_KNOWN_AXIS, furthest=_FURTHEST_ROTATION)
        root = math.sqrt(len(angles))
        self.is_turning = True
        self.turned: list[float] = []
        self._dx, self._dy = (
            _Descent(np.full(modes.shape[1], part), known=_KNOWN_SHIFT * root, furthest=_FURTHEST_SHIFT * root)
            for modes, part in ((self._smooth_x, _DX_SHOWN), (self._smooth_y, _DY_SHOWN))
        )

    def moved(self, pose: Pose, step: PoseStep) -> tuple[Pose, Shown]:
        """Return the next pose, and what the fit at this one has shown of its error."""
        angles, used = self._angles[self._used], self._used
        constant = constant_beside_moves(step.dx[used], angles)
        offset = float(self._offset.step(np.array([pose.axis_offset]), np.array([constant]))[0])
        rotation = float(self._rotation.step(np.array([pose.axis_rotation]), np.array([step.rotation]))[0])
        rotation = rotation if self.is_turning else 0.0
        self.turned.append(abs(rotation))
        seen_x = without(self._gauge_x, step.dx[used])
        seen_y = step.dy[used] - step.dy[used].mean()
        further_x, further_y = np.zeros(len(used)), np.zeros(len(used))
        further_x[used] = _further(self._dx, self._smooth_x, pose.dx[used], seen_x)
        further_y[used] = _further(self._dy, self._smooth_y, pose.dy[used], seen_y)
        shown = Shown(_rms(seen_x), _rms(seen_y), abs(offset), abs(rotation))
        turns = np.zeros(len(used))
        turns[used] = np.clip(without(self._turns, step.angle[used]), -_FURTHEST_TURN, _FURTHEST_TURN)
        turned = replace(
            pose,
            angle_error=pose.angle_error + turns,
            dx=pose.dx + further_x,
            dy=pose.dy + further_y,
            axis_rotation=float(np.clip(pose.axis_rotation + rotation, -_STEEPEST, _STEEPEST)),
        )
        return self.with_offset(turned, offset), shown

    def start_afresh(self) -> None:
        """Forget the last look: another kind of fit has another bias, and only changes among its own tell."""
        for descent in (self._offset, self._rotation, self._dx, self._dy):
            descent.last = None

    def with_offset(self, pose: Pose, further: float) -> Pose:
        """Return a pose whose axis lies `further` to the right [pixel], with the object where it was."""
        held = np.linalg.lstsq(self._moves, np.ones(len(self._moves)), rcond=None)[0]
        shift = further * moves(self._angles) @ held
        return replace(pose, dx=pose.dx - shift, axis_offset=pose.axis_offset + further)


@dataclass(frozen=True)
class Shown:
    """How far from a pose a fit at it says that the true one is."""

    dx: float  # root mean square, gauges left out [pixel]
    dy: float  # the same [pixel]
    offset: float  # of the axis [pixel]
    rotation: float  # of the axis [degrees]

    def is_within(self, limits: Shown) -> bool:
        """Whether nothing that is shown is beyond its limit."""
        return all(value <= limit for value, limit in zip(astuple(self), astuple(limits), strict=True))


def _further(
    descent: _Descent, smooth: NDArray[np.float64], place: NDArray[np.float64], seen: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far shifts have to go on: as seen, but further where they are smooth."""
    part = smooth.T @ seen
    rough = np.clip(seen - smooth @ part, -_FURTHEST_SHIFT, _FURTHEST_SHIFT)
    moved: NDArray[np.float64] = rough + smooth @ descent.step(smooth.T @ place, part)
    return moved


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


class _Descent:
    """Finds where a signal vanishes that is `signal = -part (place - true place)` (Broyden 1965, eq. 4.5).

    The part, a matrix, is first the expected one; every look corrects it in the direction in which the place has moved.
    """

    def __init__(self, expected: NDArray[np.float64], *, known: float, furthest: float) -> None:
        self._part, self._known, self._furthest = np.diag(expected), known, furthest
        self._limits = _LEAST_PART * float(expected.min(initial=1.0)), max(1.0, float(expected.max(initial=0.0)))
        self.last: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def step(self, place: NDArray[np.float64], signal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the step from a place `(n,)` at which a signal `(n,)` was seen."""
        if self.last is not None:
            moved, lost = place - self.last[0], self.last[1] - signal
            weight = float(moved @ moved) + self._known**2
            self._part = self._part + np.outer(lost - self._part @ moved, moved) / weight
        self.last = place, signal
        left, parts, right = np.linalg.svd(self._part)
        step: NDArray[np.float64] = right.T @ ((left.T @ signal) / np.clip(parts, *self._limits))
        longest = float(np.abs(step).max(initial=0.0))
        return step if longest <= self._furthest else step * (self._furthest / longest)
