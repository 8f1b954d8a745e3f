"""Poses in files: ``.yaml`` of this program, ``.xf`` of IMOD and ``.aln`` of AreTomo.

The conventions of the others, and where they come from, stand in :mod:`napari_stinr.alignment.foreign_poses`. In their
words, a pose is the way from the aligned image back to the recorded one,

    ROT = psi,  (TX, TY) = (dx, dy) + R(psi) (axis offset, 0)        (AreTomo)
    A = R(-psi),  (DX, DY) = -A (TX, TY)                              (IMOD)

with psi of every image its own, the axis rotation plus its rotation beside it, because they have the tilt axis in the
centre of the aligned image. All of them count pixels of the stack.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.alignment.foreign_poses import aln_text, read_aln, read_xf, text_of, xf_text
from napari_stinr.alignment.pose import Pose
from napari_stinr.errors import StinrError
from napari_stinr.io.output.atomic import atomic_output

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

    from napari_stinr.alignment.foreign_poses import ForeignPose

logger = logging.getLogger(__name__)

FOREIGN_POSES = (".xf", ".aln")
"""Endings of poses of other programs, which are those of the images as they lie in the file."""
POSES = (".yaml", ".yml", *FOREIGN_POSES)
"""Endings of all poses."""

_SAME_ROTATION = 0.05
"""Rotations that differ by no more than this are one [degrees]."""
_OTHER_ROTATION = 10.0
"""Images that are turned further from the others are of another alignment, or upside down [degrees]."""
_STEEPEST = 45.0
_OTHER_ANGLES = 10.0
"""Refined tilt angles that lie further from the nominal ones, apart from a common offset, are of other images."""


def read_pose(
    path: str | os.PathLike[str], *, shape: tuple[int, int], tilt_angles: ArrayLike, turned: bool = False
) -> Pose:
    """Read the pose of a tilt series.

    A warning tells of what a pose cannot hold and a reconstruction can do without: local alignments, and images that
    AreTomo left out as dark, whose pose is interpolated.

    Parameters
    ----------
    path : str or path-like
        File that ends in ``.yaml`` or ``.yml``, in ``.xf`` (with the refined angles in a ``.tlt`` beside it, if there
        is one), or in ``.aln``.
    shape : tuple of int
        Height and width of the images in the stack [pixel].
    tilt_angles : array-like
        `(n_tilts,)` nominal angles, in the order of the stack and with the signs of the file [degrees].
    turned : bool
        The images are turned by 90 degrees after they are read, since their axis lies along the rows; an ``.xf`` or
        ``.aln`` is that of the images in the file, a ``.yaml`` that of the turned ones.

    Returns
    -------
    Pose
        In pixels of the stack.

    Raises
    ------
    StinrError
        The file is damaged, or of another stack, or it holds what is no pose: magnification, shear, an image that is
        turned by more than 10 degrees from the others, a tilt about x, an axis along the rows.
    """
    file, nominal = Path(path).expanduser(), np.asarray(tilt_angles, dtype=np.float64)
    ending = _checked_ending(file)
    if ending in FOREIGN_POSES:
        foreign = read_xf(file, len(nominal)) if ending == ".xf" else read_aln(file, shape, nominal)
        return _pose_of(foreign, file, shape, nominal, turned=turned)
    pose = Pose.from_yaml(text_of(file))
    _check_number(f"{file.name} is the pose of {pose.n_tilts} projections", pose, nominal)
    return pose


def write_pose(
    path: str | os.PathLike[str],
    pose: Pose,
    *,
    shape: tuple[int, int],
    tilt_angles: ArrayLike,
    turned: bool = False,
) -> None:
    """Write a pose, completely or not at all.

    Parameters
    ----------
    path : str or path-like
        File that ends in ``.yaml``, ``.yml``, ``.xf`` or ``.aln``. Beside an ``.xf``, tilt angles are written to a
        ``.tlt`` and zeros to an ``.xtilt``. The two formats of other programs hold no gains: a warning tells of them.
    pose : Pose
        The pose, in pixels of the stack.
    shape : tuple of int
        Height and width of the images in the stack [pixel].
    tilt_angles : array-like
        `(n_tilts,)` nominal angles, in the order of the stack and with the signs of the file [degrees].
    turned : bool
        The pose is that of images turned by 90 degrees, as for :func:`read_pose`.

    Raises
    ------
    StinrError
        The ending is another one, the pose is of another number of images, or the file cannot be written; a ``.tlt``
        or ``.xtilt`` that belongs to no ``.xf`` is not replaced.
    """
    file, nominal = Path(path).expanduser(), np.asarray(tilt_angles, dtype=np.float64)
    ending = _checked_ending(file)
    _check_number(f"the pose is of {pose.n_tilts} projections", pose, nominal)
    if ending not in FOREIGN_POSES:
        _write({file: pose.to_yaml()})
        return
    if (pose.gain != 1).any():
        logger.warning("%s holds no gains: those from %g to %g are left out", file.name, *_range(pose.gain))
    rotations, angles = pose.axis_rotation + pose.rotation, nominal + pose.angle_error
    shifts = np.stack([pose.dx, pose.dy], axis=1) + pose.axis_offset * _rotation(rotations)[:, 0].T
    if turned:
        rotations, shifts = rotations - 90, shifts @ _rotation(-90).T
    if ending == ".aln":
        _write({file: aln_text(rotations, shifts, angles, shape)})
        return
    refined, about_x = file.with_suffix(".tlt"), file.with_suffix(".xtilt")
    if not file.exists():
        _check_nobodys(refined, about_x)
    lines = "".join(f"{angle:9.4f}\n" for angle in angles)
    _write({file: xf_text(rotations, shifts), refined: lines, about_x: "0.00\n" * len(angles)})


def _pose_of(
    foreign: ForeignPose, path: Path, shape: tuple[int, int], nominal: NDArray[np.float64], *, turned: bool
) -> Pose:
    (axis, beside), shifts = _rotations(foreign, path), foreign.shifts
    lost = (np.abs(shifts) >= shape[::-1]).any(axis=1)
    if lost.any():
        logger.warning(
            "%s moves images beyond their frame, so that little of them remains: %s (from 0)",
            path.name,
            ", ".join(map(str, sorted(foreign.images[lost]))),
        )
    if turned:
        axis, shifts = float(_wrapped(axis + 90)), shifts @ _rotation(90).T
    _check_rotation(axis, path, turned=turned)
    listed = foreign.images
    error = np.zeros(len(listed))
    if foreign.tilt_angles is not None:
        error = _angle_errors(foreign.tilt_angles, nominal[listed], path)
    dark = np.setdiff1d(np.arange(len(nominal)), listed)
    dx, dy, angle_error, rotation = np.empty((4, len(nominal)))
    order = listed[np.argsort(nominal[listed], kind="stable")]
    for whole, values in zip((dx, dy, angle_error, rotation), (*shifts.T, error, beside), strict=True):
        whole[listed] = values
        whole[dark] = np.interp(nominal[dark], nominal[order], whole[order])
    if len(dark):
        images = ",".join(map(str, dark))
        logger.warning(
            "%s leaves out dark images: their pose is interpolated. Leave them out with --exclude %s", path.name, images
        )
    return Pose(dx, dy, angle_error, np.ones(len(nominal)), axis_rotation=axis, rotation=rotation)


def _rotations(foreign: ForeignPose, path: Path) -> tuple[float, NDArray[np.float64]]:
    """Rotation of the axis, and `(n_listed,)` turns of the images beside it [degrees]."""
    rotations = foreign.rotations
    turns = _wrapped(rotations - rotations[0])
    if np.ptp(turns) <= _SAME_ROTATION:
        return float(_wrapped(rotations[0] + turns.mean())), np.zeros(len(turns))
    # Angles have a median only about a direction, and images that were badly followed do not move it.
    about = float(np.rad2deg(np.angle(np.exp(1j * np.deg2rad(rotations)).sum())))
    turns = _wrapped(rotations - about)
    middle = np.median(turns)
    off = np.abs(turns - middle)
    if off.max() > _OTHER_ROTATION:
        worst = int(off.argmax())
        raise StinrError(
            f"{path.name} turns image {foreign.images[worst]} (from 0) by {rotations[worst]:.2f} degrees and the "
            f"others by about {_wrapped(about + middle):.2f}",
            expected=f"rotations within {_OTHER_ROTATION:g} degrees of their median",
            cure="Align again, leave out of stack and file what was not aligned, or give the stack that the other "
            "program has aligned.",
        )
    return float(_wrapped(about + middle)), turns - middle


def _check_rotation(rotation: float, path: Path, *, turned: bool) -> None:
    if abs(rotation) <= _STEEPEST:
        return
    found = f"{path.name} has the tilt axis turned by {rotation:.2f} degrees"
    found += " once the images are turned by 90 degrees" if turned else ""
    expected = f"a rotation within {_STEEPEST:g} degrees"
    if abs(rotation) < 180 - _STEEPEST:
        option = "vertical" if turned else "horizontal"
        raise StinrError(f"{found}, along the rows", expected=expected, cure=f"Give --axis {option}.")
    edit = "change every ROT by 180" if path.suffix.lower() == ".aln" else "change the sign of all numbers"
    raise StinrError(
        f"{found}, upside down",
        expected=expected,
        cure=f"In a copy of the file, {edit}, and flip the tilt (--flip-tilt): this is the same specimen turned by 180 "
        "degrees about the beam.",
    )


def _angle_errors(refined: NDArray[np.float64], nominal: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    error: NDArray[np.float64] = _wrapped(refined - nominal)
    off = np.abs(_wrapped(error - np.median(error)))
    if off.max() > _OTHER_ANGLES:
        worst = int(off.argmax())
        name = path.with_suffix(".tlt").name if path.suffix.lower() == ".xf" else path.name
        raise StinrError(
            f"{name} has a tilt angle of {refined[worst]:g} degrees where the stack has {nominal[worst]:g}",
            expected=f"the angles of the stack within {_OTHER_ANGLES:g} degrees, apart from one offset",
            cure="Give the files of one stack, in the same order and with the same signs of the angles.",
        )
    return error


def _checked_ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in POSES:
        raise StinrError(
            f"{path.name} ends in {path.suffix!r}",
            expected="one of " + ", ".join(POSES),
            cure="Change the ending of the name.",
        )
    return ending


def _check_number(found: str, pose: Pose, nominal: NDArray[np.float64]) -> None:
    if pose.n_tilts != len(nominal):
        raise StinrError(
            found,
            expected=f"{len(nominal)}, one for every projection of the stack",
            cure="Give the pose that belongs to this stack, with all its projections.",
        )


def _check_nobodys(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise StinrError(
                f"{path} exists and belongs to no .xf",
                expected=f"that {path.name} can be written",
                cure="Choose another name, or move that file away.",
            )


def _write(texts: dict[Path, str]) -> None:
    with ExitStack() as stack:
        # The first file gets its name last.
        temporary = [(stack.enter_context(atomic_output(path)), text) for path, text in texts.items()]
        for path, text in temporary:
            path.write_text(text, encoding="utf-8", newline="\n")


def _rotation(angle: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """`(2, 2, ...)` matrix of the rotation by an angle `(...)` [degrees] that takes x towards y."""
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[cosine, -sine], [sine, cosine]])


def _wrapped(angle: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Angles [degrees] from the half turn about 0."""
    return np.asarray(angle - 360 * np.rint(np.asarray(angle) / 360))


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()), float(values.max())
