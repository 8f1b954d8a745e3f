"""What is seen in each frame of a movie: two key frames, and what lies between them. No Qt in here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_FRAMES = 10_000
Directions = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Where the camera looks, and what is up on the canvas: vectors (z, y, x)."""


@dataclass(frozen=True)
class KeyFrame:
    """What is seen at one moment.

    Parameters
    ----------
    t : float
        Time, 0 to 1 [t].
    directions : pair of tuples
        Where the camera looks and what is up, at right angles to each other [1].
    zoom : float
        Pixels of the canvas for each unit of length.
    center : tuple of float
        What is in the middle of the canvas (z, y, x) [unit of the layers].
    """

    t: float
    directions: Directions = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    zoom: float = 1.0
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Movie:
    """A movie from one key frame to another.

    Parameters
    ----------
    start, end : KeyFrame
        What is seen first and last.
    seconds : float
        How long it plays [s].
    frames_per_second : float
        How fast [1/s].
    turn : float
        What the specimen is turned by meanwhile, about what is up on the canvas, beside what the key frames say: they
        cannot tell a whole turn from none [degrees].
    there_and_back : bool
        To the end in half of the time, and back to the start.

    Raises
    ------
    StinrError
        There would be no frame, or too many.
    """

    start: KeyFrame
    end: KeyFrame
    seconds: float = 6.0
    frames_per_second: float = 20.0
    turn: float = 0.0
    there_and_back: bool = False

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.frames_per_second > 0 and self.n_frames <= MOST_FRAMES):
            raise StinrError(
                f"a movie of {self.seconds:g} s with {self.frames_per_second:g} frames per second",
                expected=f"at most {MOST_FRAMES} frames",
                cure="Make it shorter.",
            )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return max(2, round(self.seconds * self.frames_per_second))

    def frames(self) -> list[KeyFrame]:
        """Return what is seen in each frame, the first and the last exactly as the key frames say."""
        return [self.at(part) for part in self._parts()]

    def at(self, part: float) -> KeyFrame:
        """Return what is seen when a part of the way is done.

        Parameters
        ----------
        part : float
            0 at the start, 1 at the end.

        Returns
        -------
        KeyFrame
            In between: the time evenly, the camera along the shortest turn, the zoom by equal factors.
        """
        start, end = self.start, self.end
        if part in (0.0, 1.0) and not self.turn:
            return end if part else start
        camera = _between(_matrix(start.directions), _matrix(end.directions), part)
        # Seen from the camera the specimen turns one way, so the camera goes the other way.
        camera = _turned(camera[1], -np.deg2rad(self.turn) * part) @ camera.T
        view, up = camera.T[0], camera.T[1]
        return replace(
            start,
            t=start.t + part * (end.t - start.t),
            directions=(_as_tuple(view), _as_tuple(up)),
            zoom=float(np.exp((1 - part) * np.log(start.zoom) + part * np.log(end.zoom))),
            center=_as_tuple((1 - part) * np.asarray(start.center) + part * np.asarray(end.center)),
        )

    def _parts(self) -> list[float]:
        n_frames = self.n_frames
        if not self.there_and_back:
            # A movie begins anew after its end: a whole turn must not show the same frame twice.
            is_round = self.start == self.end and self.turn % 360 == 0
            return [float(part) for part in np.linspace(0, 1, n_frames, endpoint=not is_round)]
        half = np.linspace(0, 1, n_frames // 2 + 1)
        return [float(part) for part in (*half, *half[-2:0:-1])]


def _matrix(directions: Directions) -> NDArray[np.float64]:
    """Return rows: where the camera looks, what is up, and what is at their right angles."""
    view, up = (np.asarray(direction, dtype=np.float64) for direction in directions)
    return np.stack([view, up, np.cross(view, up)])


def _between(first: NDArray[np.float64], last: NDArray[np.float64], part: float) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    way = Rotation.from_matrix(last.T @ first).as_rotvec()
    return np.asarray((Rotation.from_rotvec(part * way).as_matrix() @ first.T).T)


def _turned(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(angle * axis).as_matrix())


def _as_tuple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    z, y, x = (float(value) for value in values)
    return z, y, x
