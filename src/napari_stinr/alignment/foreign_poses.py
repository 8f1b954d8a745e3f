"""How IMOD and AreTomo write down an alignment.

Both count x along the columns and y along the rows as they follow each other in an MRC file, from the centre of the
frame, which is index (n - 1) / 2. Arrays of this package hold the rows of an MRC file in that order, too, so that no
sign changes; that IMOD draws the first row at the bottom does not matter.

IMOD, ``.xf``: a line ``A11 A12 A21 A22 DX DY`` for every image, with (x', y') = A (x, y) + (DX, DY), from a point of
the recorded image to the same point of the aligned one. ``.tlt`` and ``.xtilt``: an angle a line, about the tilt axis
and about x [degrees]. Source: manual pages xf2rotmagstr(1), whose formula names both centres, newstack(1),
tiltalign(1).

AreTomo, ``.aln``: a line ``SEC ROT GMAG TX TY SMEAN SFIT SCALE BASE TILT`` for every image, by tilt angle; SEC is its
position in the stack, from 0 (AreTomo, AreTomo2) or from 1 (AreTomo3). A point (x, y) of the aligned image lies at
R(ROT) (x, y) + (TX, TY) of the recorded one. Source: AreTomo3 on GitHub, Correct/GCorrPatchShift.cu (the formula and
the centre), ImodUtil/CSaveXF.cpp (the same as ``.xf``), MrcUtil/CSaveAlignFile.cpp and CLoadAlignFile.cpp (the lines).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import is_file
from napari_stinr.io.series.mdoc import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_MOST_STRETCH = 1e-3
"""Difference of a magnification from 1 that is rounding: AreTomo writes ``.xf`` with three decimals."""
_ROUNDING = 1e-6
_ALIGNED_STACK = "Give the stack that the other program has aligned, or align again with shifts and rotations only."
_ALN_COLUMNS = 10
_PLAIN_INTENSITY = (1, 1, 1, 0)
"""SMEAN, SFIT, SCALE and BASE of an image whose intensity was left alone."""


@dataclass(frozen=True, eq=False)
class ForeignPose:
    """Where images were recorded, in the order in which a file of another program lists them.

    Parameters
    ----------
    images : ndarray
        `(n_listed,)` int, positions of the images in the stack; some may be missing.
    rotations : ndarray
        `(n_listed,)` angle by which each image is turned, from x towards y [degrees].
    shifts : ndarray
        `(n_listed, 2)` where the centre of the aligned image was recorded: x, y from the centre [pixel].
    tilt_angles : ndarray or None
        `(n_listed,)` tilt angles; None where the file has none [degrees].
    """

    images: NDArray[np.int64]
    rotations: NDArray[np.float64]
    shifts: NDArray[np.float64]
    tilt_angles: NDArray[np.float64] | None


def text_of(path: Path) -> str:
    """Return the text of a file with a pose; a StinrError says why it cannot be read."""
    try:
        return read_text(path)
    except StinrError as error:
        raise StinrError(error.found, expected="a file with a pose", cure=error.cure) from error


def read_xf(path: Path, n_tilts: int) -> ForeignPose:
    """Read an ``.xf`` and the ``.tlt`` and ``.xtilt`` beside it.

    Parameters
    ----------
    path : Path
        The ``.xf``.
    n_tilts : int
        Number of images of the stack.

    Returns
    -------
    ForeignPose
        All images.

    Raises
    ------
    StinrError
        A file is damaged or lists another number of images, or it magnifies, shears, mirrors or tilts about x.
    """
    values = _numbers(path, _lines(text_of(path)), 6)
    _check_number(path, len(values), n_tilts)
    matrices = values[:, :4].reshape(-1, 2, 2)
    stretches = np.linalg.svd(matrices, compute_uv=False)
    off = np.abs(stretches - 1).max(axis=1)
    is_mirror = np.linalg.det(matrices) < 0
    if is_mirror.any() or off.max() > _MOST_STRETCH + _ROUNDING:
        worst = int(np.argmax(np.where(is_mirror, np.inf, off)))
        what = "mirrors" if is_mirror[worst] else "magnifies by {:.4f} and {:.4f} (across)".format(*stretches[worst])
        raise StinrError(
            f"{path.name} {what} image {worst} (from 0)",
            expected=f"a rotation: magnifications within {_MOST_STRETCH:g} of 1, no shear",
            cure=_ALIGNED_STACK,
        )
    _check_no_tilt_about_x(path.with_suffix(".xtilt"))
    sines, cosines = matrices[:, 0, 1] - matrices[:, 1, 0], matrices[:, 0, 0] + matrices[:, 1, 1]
    rotations = np.asarray(np.rad2deg(np.arctan2(sines, cosines)), dtype=np.float64)
    shifts = np.asarray(-np.linalg.solve(matrices, values[:, 4:, None])[..., 0], dtype=np.float64)
    refined = path.with_suffix(".tlt")
    angles = None
    if is_file(refined):
        angles = _numbers(refined, _lines(text_of(refined)), 1)[:, 0]
        _check_number(refined, len(angles), n_tilts)
    return ForeignPose(np.arange(n_tilts), rotations, shifts, angles)


def read_aln(path: Path, shape: tuple[int, int], tilt_angles: NDArray[np.float64]) -> ForeignPose:
    """Read an ``.aln``; a warning tells of local alignments and other things that a pose cannot hold.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Height and width of the images of the stack [pixel].
    tilt_angles : ndarray
        `(n_tilts,)` angles of the stack, in its order [degrees].

    Returns
    -------
    ForeignPose
        The images that were not left out as dark.

    Raises
    ------
    StinrError
        The file is damaged, belongs to another stack, or magnifies.
    """
    header, n_dark, rows, local = _parts(path)
    values = _numbers(path, rows, _ALN_COLUMNS)
    n_tilts = len(tilt_angles)
    found = _header_numbers(path, header, "RawSize", 3)
    if found is not None and tuple(found) != (shape[1], shape[0], n_tilts):
        raise StinrError(
            f"{path.name} is of a stack of {found[2]:g} images of {found[0]:g} x {found[1]:g} pixels",
            expected=f"{n_tilts} images of {shape[1]} x {shape[0]} pixels",
            cure="Give the stack that was aligned, without binning and without leaving out images.",
        )
    _check_number(path, len(values) + n_dark, n_tilts)
    if np.abs(values[:, 2] - 1).max() > _MOST_STRETCH + _ROUNDING:
        raise StinrError(
            f"{path.name} has magnifications (GMAG) from {values[:, 2].min():g} to {values[:, 2].max():g}",
            expected=f"1 within {_MOST_STRETCH:g}",
            cure=_ALIGNED_STACK,
        )
    offset = _header_numbers(path, header, "AlphaOffset", 1)
    images = _positions(path, values, tilt_angles + (0 if offset is None else offset[0]))
    about_x = _header_numbers(path, header, "BetaOffset", 1)
    if about_x is not None and about_x[0]:
        logger.warning("%s: BetaOffset, a tilt of %g degrees about x, is not applied", path.name, about_x[0])
    if local:
        logger.warning("%s: its local alignment is not applied, only shifts of whole images", path.name)
    if not np.allclose(values[:, 5:9], _PLAIN_INTENSITY):
        logger.warning("%s: SMEAN, SFIT, SCALE and BASE, which change intensities, are not applied", path.name)
    return ForeignPose(images, values[:, 1], values[:, 3:5], values[:, 9])


def xf_text(rotations: NDArray[np.float64], shifts: NDArray[np.float64]) -> str:
    """Return the lines of an ``.xf``: `(n_tilts,)` rotations and `(n_tilts, 2)` shifts as in `ForeignPose`."""
    lines = []
    for psi, shift in zip(np.deg2rad(rotations), shifts, strict=True):
        matrix = np.array([[np.cos(psi), np.sin(psi)], [-np.sin(psi), np.cos(psi)]])
        x, y = -matrix @ shift
        turn = " ".join(f"{number:11.7f}" for number in matrix.ravel())
        lines.append(f"{turn} {x:11.4f} {y:11.4f}\n")
    return "".join(lines)


def aln_text(
    rotations: NDArray[np.float64],
    shifts: NDArray[np.float64],
    tilt_angles: NDArray[np.float64],
    shape: tuple[int, int],
) -> str:
    """Return an ``.aln``; the same as :func:`xf_text`, with tilt angles [degrees], height and width [pixel]."""
    lines = [
        "# AreTomo Alignment / Priims bprmMn",
        f"# RawSize = {shape[1]} {shape[0]} {len(shifts)}",
        "# NumPatches = 0",
        "# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT",
    ]
    for k in np.argsort(tilt_angles, kind="stable"):
        x, y = shifts[k]
        lines.append(
            f"{k:5d}  {rotations[k]:9.4f}  {1:9.5f}  {x:9.4f}  {y:9.4f}  {1:7.2f}  {1:7.2f}  {1:7.2f}  {0:7.2f}  "
            f"{tilt_angles[k]:9.4f}"
        )
    return "\n".join(lines) + "\n"


def _check_no_tilt_about_x(path: Path) -> None:
    if not is_file(path):
        return
    angles = _numbers(path, _lines(text_of(path)), 1)[:, 0]
    if angles.any():
        raise StinrError(
            f"{path.name} tilts by up to {angles[np.abs(angles).argmax()]:g} degrees about x",
            expected="0: the tilt axis lies in the images",
            cure="Align again without a tilt about x; where it only levels the volume, remove the file.",
        )


def _parts(path: Path) -> tuple[dict[str, tuple[int, str]], int, list[tuple[int, str]], list[tuple[int, str]]]:
    """Return the header, number of dark images, lines of whole images and lines of parts of them."""
    header: dict[str, tuple[int, str]] = {}
    n_dark, rows, local = 0, list[tuple[int, str]](), list[tuple[int, str]]()
    here = rows
    for number, line in _lines(text_of(path)):
        if not line.startswith("#"):
            here.append((number, line))
            continue
        name, _, value = line.lstrip("# ").partition("=")
        if name.strip() == "DarkFrame":
            n_dark += 1
        elif name.strip() == "Local Alignment":
            here = local
        else:
            header[name.strip()] = (number, value)
    return header, n_dark, rows, local


def _positions(path: Path, values: NDArray[np.float64], tilt_angles: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the position of every row in the stack, whichever number is that of the first image."""
    sections, n_tilts = values[:, 0], len(tilt_angles)
    fits: list[tuple[float, NDArray[np.int64]]] = []
    if (sections == np.rint(sections)).all() and len(np.unique(sections)) == len(sections):
        for first in (0, 1):
            if sections.min() >= first and sections.max() < n_tilts + first:
                images = sections.astype(np.int64) - first
                fits.append((float(np.abs(values[:, 9] - tilt_angles[images]).mean()), images))
    if not fits:
        raise StinrError(
            f"{path.name} lists sections from {sections.min():g} to {sections.max():g}",
            expected=f"each of {n_tilts} images once, from 0 or from 1",
            cure="Give the file that belongs to this stack, as AreTomo wrote it.",
        )
    return min(fits, key=lambda fit: fit[0])[1]


def _header_numbers(
    path: Path, header: dict[str, tuple[int, str]], name: str, n_numbers: int
) -> NDArray[np.float64] | None:
    return _numbers(path, [header[name]], n_numbers)[0] if name in header else None


def _lines(text: str) -> list[tuple[int, str]]:
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line]


def _numbers(path: Path, lines: list[tuple[int, str]], n_columns: int) -> NDArray[np.float64]:
    rows: list[list[float]] = []
    for number, line in lines:
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) != n_columns or not np.isfinite(row).all():
            raise StinrError(
                f"{path.name} cannot be read (line {number} is {line[:60]!r})",
                expected=f"{n_columns} finite number(s) in every line",
                cure="Write the file again with the program that aligned the stack.",
            )
        rows.append(row)
    if not rows:
        raise StinrError(
            f"{path.name} lists no images",
            expected=f"{n_columns} number(s) for every image",
            cure="Write the file again with the program that aligned the stack.",
        )
    return np.array(rows, dtype=np.float64)


def _check_number(path: Path, found: int, n_tilts: int) -> None:
    if found != n_tilts:
        raise StinrError(
            f"{path.name} lists {found} images",
            expected=f"{n_tilts}, one for every image of the stack",
            cure="Give the file that belongs to this stack, with all its images.",
        )
