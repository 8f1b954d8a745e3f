"""The pose: how every projection was shifted, turned and scaled while it was recorded.

A point of the aligned image k at (u, v), from the tilt axis and the middle row, is recorded at

    U = R(psi + rotation_k) (u + axis offset, v) + (dx_k, dy_k)

from the centre of the frame, with psi the axis rotation, rotation_k what image k is turned by beside it, and R the
rotation that takes x towards y. Its intensity is the gain times the projection (design, section 3). It is the measured
stack that is warped, never the prediction: rows stay independent of each other.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PER_TILT = ("dx", "dy", "angle_error", "gain", "rotation")
_STEEPEST = 45.0


@dataclass(frozen=True, eq=False)
class Pose:
    """Where and how bright every projection was recorded.

    Parameters
    ----------
    dx, dy : ndarray
        `(n_tilts,)` shift of the image along x and y [pixel].
    angle_error : ndarray
        `(n_tilts,)` true minus nominal tilt angle [degrees].
    gain : ndarray
        `(n_tilts,)` factor of the intensity [1].
    axis_offset : float
        Distance of the tilt axis from the centre of the image, along its x before it is turned [pixel].
    axis_rotation : float
        Angle by which the images are turned, from x towards y [degrees].
    rotation : ndarray, optional
        `(n_tilts,)` turn of every image beside the axis rotation, from x towards y; none by default [degrees].

    Raises
    ------
    StinrError
        Lists of different lengths, numbers that are not finite, a gain that is not positive, or an image that is turned
        by more than 45 degrees.
    """

    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    angle_error: NDArray[np.float64]
    gain: NDArray[np.float64]
    axis_offset: float = 0.0
    axis_rotation: float = 0.0
    rotation: NDArray[np.float64] = None  # type: ignore[assignment]  # never None after construction

    def __post_init__(self) -> None:
        if self.rotation is None:
            object.__setattr__(self, "rotation", np.zeros(np.shape(self.dx)))
        for name in _PER_TILT:
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != np.shape(self.dx) or values.ndim != 1 or not np.isfinite(values).all():
                raise StinrError(
                    f"{name} of a pose has the shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite",
                    expected=f"{np.size(self.dx)} finite numbers, one for every projection",
                    cure="Give one value for every projection of the stack.",
                )
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        turns = self.axis_rotation + self.rotation
        is_steep = not (np.abs(turns) <= _STEEPEST).all()
        if (self.gain <= 0).any() or is_steep or not np.isfinite(self.axis_offset):
            raise StinrError(
                f"a pose has gains from {self.gain.min():g}, images turned by {turns.min():g} to {turns.max():g} "
                f"degrees and an axis offset of {self.axis_offset:g} pixels",
                expected=f"gains above 0, images turned by at most {_STEEPEST:g} degrees, a finite offset",
                cure="Correct the pose; an axis along the rows is no rotation, but preprocessing.axis.",
            )

    @classmethod
    def identity(cls, n_tilts: int) -> Pose:
        """Return the pose of `n_tilts` projections that are aligned."""
        return cls(np.zeros(n_tilts), np.zeros(n_tilts), np.zeros(n_tilts), np.ones(n_tilts))

    @property
    def n_tilts(self) -> int:
        """Number of projections."""
        return len(self.dx)

    @property
    def is_identity(self) -> bool:
        """Whether nothing has to be done."""
        return not (
            self.dx.any() or self.dy.any() or self.angle_error.any() or (self.gain != 1).any()
            or self.axis_offset or self.axis_rotation or self.rotation.any()
        )  # fmt: skip

    def scaled(self, factor: float) -> Pose:
        """Return the pose in pixels that are `1 / factor` as large."""
        return replace(self, dx=factor * self.dx, dy=factor * self.dy, axis_offset=factor * self.axis_offset)

    def places(self, shape: tuple[int, int], index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where the pixels of an aligned image were recorded.

        Parameters
        ----------
        shape : tuple of int
            Height and width of the image [pixel].
        index : int
            Position of the projection in the stack.

        Returns
        -------
        rows, columns : ndarray
            `(height, width)` positions in the recorded image, from 0 [pixel].
        """
        height, width = shape
        middle_v, middle_u = (height - 1) / 2, (width - 1) / 2
        v, u = np.arange(height)[:, None] - middle_v, np.arange(width)[None] - middle_u + self.axis_offset
        psi = np.deg2rad(self.axis_rotation + self.rotation[index])
        columns = np.cos(psi) * u - np.sin(psi) * v + self.dx[index] + middle_u
        rows = np.sin(psi) * u + np.cos(psi) * v + self.dy[index] + middle_v
        return rows, columns

    def to_yaml(self) -> str:
        """Return the pose as YAML that :meth:`from_yaml` reads back."""
        values = {
            field.name: getattr(self, field.name).tolist()
            if field.name in _PER_TILT
            else float(getattr(self, field.name))
            for field in fields(self)
        }
        return "# Pose of a tilt series: pixels, degrees.\n" + yaml.safe_dump(values, sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str) -> Pose:
        """Read a pose.

        Parameters
        ----------
        text : str
            What :meth:`to_yaml` gives; a list that is missing is that of an aligned series.

        Returns
        -------
        Pose
            The pose.

        Raises
        ------
        StinrError
            This is no pose.
        """
        try:
            values: Any = yaml.safe_load(text)
            known = {field.name for field in fields(cls)}
            if not isinstance(values, dict) or not values.keys() <= known or "dx" not in values:
                raise ValueError(f"names other than {', '.join(sorted(known))}")
            lists = {name: np.array(values[name], dtype=np.float64) for name in _PER_TILT if name in values}
            numbers = {name: float(values[name]) for name in known - set(_PER_TILT) if name in values}
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            raise StinrError(
                f"this is no pose ({str(error).splitlines()[0] if str(error) else type(error).__name__:.100})",
                expected=f"YAML with lists {', '.join(_PER_TILT)}, and numbers axis_offset and axis_rotation",
                cure="Give a file that stinr align has written.",
            ) from error
        still = cls.identity(len(lists["dx"]))
        return replace(still, **(lists | numbers))  # type: ignore[arg-type]  # each name has its own type
