"""A pose that the next training may take, with the series that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.preprocessing.prepare import TURNED

if TYPE_CHECKING:
    from napari_stinr.alignment.align import Alignment
    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import PreprocessingConfig, ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.plugin.session.draft import SeriesDraft

_NEVER_MOVES = frozenset(
    {"found", "name", "described_by", "sample", "time_unit", "times", "pixel_size", "flip_tilt", "angles_argument",
     "times_argument", "pixel_size_given", "time_assumed", "notes", "used",
     "accepted", "preprocessing"}
)  # fmt: skip
"""What a person may correct of a series without moving a projection; whatever else there is may move some.
The preprocessing is compared as the settings have it."""


@dataclass(frozen=True, eq=False)
class KnownPose:
    """Where the projections of a series were recorded, and how that came to be known.

    Parameters
    ----------
    pose : Pose
        In pixels of the prepared projections.
    origin : str
        How it came to be known, for people, such as ``"found by Align"``.
    draft : SeriesDraft
        The series.
    preprocessing : PreprocessingConfig
        What was done to it before.
    shape : tuple of int
        Height and width of the prepared projections [pixel].
    is_turned : bool
        They were turned by 90 degrees: the pose is that of the turned ones.
    alignment : Alignment, optional
        What speaks for the pose, where it was looked for.
    remarks : tuple of str
        What its file says beside, and a pose cannot hold.
    """

    pose: Pose
    origin: str
    draft: SeriesDraft
    preprocessing: PreprocessingConfig
    shape: tuple[int, int]
    is_turned: bool = False
    alignment: Alignment | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of_alignment(cls, alignment: Alignment, draft: SeriesDraft, origin: str) -> KnownPose:
        """Return the pose that an alignment of a series has found."""
        return cls(
            alignment.pose,
            origin,
            draft,
            alignment.preprocessing,
            alignment.shape,
            alignment.is_turned,
            alignment,
        )

    @classmethod
    def of_prepared(cls, pose: Pose, prepared: TiltSeries, draft: SeriesDraft, **more: Any) -> KnownPose:
        """Return a pose of a prepared series that was given from outside."""
        shape = prepared.height, prepared.width
        return cls(pose, draft=draft, shape=shape, is_turned=TURNED in prepared.notes, **more)

    def fits(self, draft: SeriesDraft | None, config: ReconstructionConfig) -> bool:
        """Return whether this is the pose of a series: corrected otherwise since then, it may lie elsewhere."""
        if draft is None or config.preprocessing != self.preprocessing:
            return False
        if len(draft.used) != len(self.draft.used) or (draft.used & ~self.draft.used).any():
            return False  # nobody has looked where they lie
        names = (field.name for field in fields(draft) if field.name not in _NEVER_MOVES)
        return all(is_same_value(getattr(draft, name), getattr(self.draft, name)) for name in names)

    def moved(self, pose: Pose, origin: str) -> KnownPose:
        """Return another pose of the same series, for which no alignment speaks."""
        return replace(self, pose=pose, origin=origin, alignment=None, remarks=())

    @property
    def shape_in_file(self) -> tuple[int, int]:
        """Height and width of the images as they lie in the file, binned [pixel]."""
        return self.shape[::-1] if self.is_turned else self.shape

    def describe(self) -> tuple[str, ...]:
        """Return what the pose is, a sentence for each quantity.

        Returns
        -------
        tuple of str
            First how it came to be known; then the axis, the largest shift, and what else there is.
        """
        pose, size = self.pose, None if self.draft.pixel_size is None else self.draft.pixel_size * self.draft.binning
        origin = f"The pose was {self.origin}."
        if pose.is_identity:
            return origin, "Nothing is moved: the projections lie as they were recorded."
        rotation = f"turned by {pose.axis_rotation:.2f}°"
        if self.alignment is not None and not self.alignment.is_rotation_known:
            rotation = "its turn is not known"
        moved = np.hypot(pose.dx, pose.dy)
        k = int(moved.argmax())
        lines = [
            origin,
            f"Tilt axis: {_length(pose.axis_offset, size)} from the centre, {rotation}.",
            f"Largest shift: {_length(float(moved[k]), size)}, projection {k + 1} at {self.draft.tilt_angles[k]:.4g}°.",
        ]
        if pose.angle_error.any():
            lines.append(f"Tilt angles: changed by up to {np.abs(pose.angle_error).max():.2f}°.")
        if pose.rotation.any():
            lines.append(f"Single images: turned by up to {np.abs(pose.rotation).max():.2f}°.")
        return tuple(lines)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person has to know before the pose is trusted."""
        found = () if self.alignment is None else tuple(str(note) for note in self.alignment.notes)
        return (*self.remarks, *found)


def _length(pixels: float, size: float | None) -> str:
    return f"{pixels:.2f} pixels" if size is None else f"{pixels:.2f} pixels ({pixels * size / 10:.3g} nm)"


def is_same_value(one: Any, other: Any) -> bool:
    """Return whether two values of a draft are the same.

    Parameters
    ----------
    one, other
        Any; arrays are compared number by number, and NaN is NaN.

    Returns
    -------
    bool
        True for the same object, whatever it is.
    """
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one is other or np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one is other or bool(one == other)
