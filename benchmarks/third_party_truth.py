"""Tilt series that nobody here made, the atoms they were simulated from, and the frame in which both are compared.

How the coordinates of the truth lie in ours (z, y, x) was found once, from the projections and not from any
reconstruction: of the 48 axis orders and signs, and both directions of the tilt axis, one alone projects the atoms onto
the images (mean correlation over all tilts; the next best in brackets): `asi` 0.49 (0.19), `carbon` 0.45 (0.09). It is
written down in `SERIES` and not fitted again. The shift of the projected atoms against the images, as a function of the
tilt angle, gives the translation and the rotation axis: 0.52 ± 0.08 and 0.53 ± 0.02 pixels right of the centre, that is
index n / 2, the centre of MATLAB's fftshift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.io import loadmat
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_stinr import read_tilt_series
from napari_stinr.analysis.atoms import match_atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr import TiltSeries

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Beside the checkout; not part of the project."""

BORDER = 20
"""The background is taken from a frame that is this part of the width."""

SMOOTHING = 3.0
"""Standard deviation of the Gaussian that shows where the specimen is [Å]."""

TRANSLATION_TOLERANCE = 1.0
"""Pairs that decide the rigid translation are at most this far apart [Å]."""


@dataclass(frozen=True)
class ThirdPartySeries:
    """What is known about one data set.

    Parameters
    ----------
    name, folder : str
        For people; below the folder of the data.
    stack, atoms : str
        Files of the projections and of the true atoms.
    angles : ndarray
        `(n_tilts,)` tilt angles, as in the file beside the stack [degrees].
    pixel_size : float
        Width of a pixel [Å].
    axis_offset : float
        Position of the rotation axis from the centre of the image [pixel].
    order, signs : tuple of int
        Columns of the truth that are our z, y and x, and their signs.
    translation : tuple of float
        Of the truth (z, y, x), measured on the projections [Å].
    bond : float
        Bond length of the material, from textbooks and not from the truth [Å].
    """

    name: str
    folder: str
    stack: str
    atoms: str
    angles: NDArray[np.float64]
    pixel_size: float
    axis_offset: float
    order: tuple[int, int, int]
    signs: tuple[int, int, int]
    translation: tuple[float, float, float]
    bond: float


_CARBON = "14_Amorphous_carbon_simulation_input_data_"
SERIES = {
    "asi": ThirdPartySeries(
        name="amorphous Si, multislice ADF, counts",
        folder="asi",
        stack="aSi_2nmFosCetr_Dose8p0e3_cov35pm_ForBM3D.mat",
        atoms="aSi_208atoms_GT.txt",
        angles=np.arange(0.0, 178.0, 3.0),
        pixel_size=0.195,
        axis_offset=0.5,
        order=(2, 0, 1),
        signs=(-1, 1, 1),
        translation=(0.0, 0.10, 0.0),
        bond=2.35,
    ),
    "carbon": ThirdPartySeries(
        name="amorphous C, multislice ptychography",
        folder="carbon",
        stack=_CARBON + "Projections.mat",
        atoms=_CARBON + "atom_tracing_model_original.mat",
        angles=np.arange(-72.0, 73.0, 4.0),
        pixel_size=0.33967,
        axis_offset=0.5,
        order=(2, 1, 0),
        signs=(-1, 1, 1),
        translation=(-0.02, 0.53, 0.46),
        bond=1.42,
    ),
}


def why_absent() -> str | None:
    """Return why the data cannot be read, or None where they are there."""
    missing = [series.folder for series in SERIES.values() if not (DATA / series.folder / series.stack).is_file()]
    if not missing:
        return None
    return f"no {', '.join(missing)} in ../shared/data beside the checkout: the data are not part of the project"


def read_series(known: ThirdPartySeries, *, prepared: bool) -> TiltSeries:
    """Read the projections, with the tilt axis along y.

    Parameters
    ----------
    known : ThirdPartySeries
        Which.
    prepared : bool
        Give the place of the rotation axis and subtract the background, as a user who looks at the images would.

    Returns
    -------
    TiltSeries
        The series.
    """
    path = DATA / known.folder / known.stack
    measured = read_tilt_series(path, tilt_angles=known.angles, times="sequential", pixel_size=known.pixel_size)
    # In both files the tilt axis lies along the columns of MATLAB's images: horizontally.
    projections = measured.projections.transpose(0, 2, 1)
    return replace(
        measured,
        projections=without_background(projections) if prepared else projections,
        axis_offset=known.axis_offset if prepared else 0.0,
        name=known.folder,
    )


def without_background(projections: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract from every projection the plane that fits its frame best.

    Parameters
    ----------
    projections : ndarray
        `(n_tilts, height, width)` projections of a specimen that is surrounded by vacuum [any unit].

    Returns
    -------
    ndarray
        `(n_tilts, height, width)` float32 projections; the vacuum is 0 on average [the same unit].
    """
    height, width = projections.shape[1:]
    y, x = (axis.ravel() for axis in np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j])
    frame = np.maximum(np.abs(y), np.abs(x)) > 1 - 2 / BORDER
    plane = np.stack([np.ones_like(y), y, x], axis=1)
    images = projections.reshape(len(projections), -1).T
    coefficients, *_ = np.linalg.lstsq(plane[frame], images[frame], rcond=None)
    return np.ascontiguousarray((images - plane @ coefficients).T.reshape(projections.shape), dtype=np.float32)


def true_atoms(known: ThirdPartySeries, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the atoms that were put in, in the frame of a volume.

    Parameters
    ----------
    known : ThirdPartySeries
        Which.
    shape : tuple of int
        Voxels of the volume (z, y, x).

    Returns
    -------
    ndarray
        `(n, 3)` positions (z, y, x) from the centre of the first voxel [Å].
    """
    positions = _atoms(DATA / known.folder / known.atoms)[:, known.order] * known.signs
    centre = (np.array(shape) - 1) / 2 * known.pixel_size
    return np.asarray(positions + known.translation + centre, dtype=np.float64)


def rigid_translation(found: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the translation of the expected atoms that brings the paired ones together.

    Parameters
    ----------
    found, expected : ndarray
        `(n, 3)` and `(m, 3)` positions [Å].

    Returns
    -------
    ndarray
        `(3,)` translation (z, y, x) [Å]; zero where nothing can be paired.
    """
    translation = np.zeros(3)
    for _ in range(10):
        i, j, _ = match_atoms(found, expected + translation, tolerance=TRANSLATION_TOLERANCE)
        if not len(i):
            break
        translation = np.asarray((found[i] - expected[j]).mean(axis=0))
    return translation


def specimen_region(volume: NDArray[np.float32], voxel_size: float) -> NDArray[np.bool_]:
    """Return where the specimen is, as a person sees it who does not know the atoms.

    Parameters
    ----------
    volume : ndarray
        `(z, y, x)` potential [any unit].
    voxel_size : float
        Edge of a voxel [Å].

    Returns
    -------
    ndarray
        `(z, y, x)` True where the volume, smoothed over `SMOOTHING`, exceeds a quarter of its highest value: half
        would cut off atoms at the surface.
    """
    smooth = gaussian_filter(volume, SMOOTHING / voxel_size, mode="constant")
    return np.asarray(smooth > smooth.max() / 4)


def random_peaks(
    n: int, region: NDArray[np.bool_], *, voxel_size: float, apart: float, seed: int = 0
) -> NDArray[np.float64]:
    """Return random positions in a region that keep the distance that peaks keep: what chance would find.

    Parameters
    ----------
    n : int
        How many.
    region : ndarray
        `(z, y, x)` True where they may be.
    voxel_size : float
        Edge of a voxel [Å].
    apart : float
        Least distance of two positions [Å].
    seed : int
        Of the random numbers.

    Returns
    -------
    ndarray
        `(n, 3)` positions from the centre of the first voxel, fewer where no more find room [Å].
    """
    generator = np.random.default_rng(seed)
    voxels = np.argwhere(region)
    chosen = np.empty((0, 3))
    for _ in range(200):
        drawn = voxels[generator.integers(len(voxels), size=max(1000, n))] + generator.uniform(
            -0.5, 0.5, (max(1000, n), 3)
        )
        drawn = drawn * voxel_size
        if len(chosen):
            drawn = drawn[cKDTree(chosen).query(drawn)[0] >= apart]
        too_near = cKDTree(drawn).query_pairs(apart, output_type="ndarray")
        # Of two that are too near, the later goes: those left are all apart.
        chosen = np.concatenate([chosen, np.delete(drawn, np.unique(too_near[:, 1]), axis=0)])
        if len(chosen) >= n:
            break
    return chosen[:n]


def _atoms(path: Path) -> NDArray[np.float64]:
    if path.suffix == ".txt":
        return np.loadtxt(path, comments="%", skiprows=1)[:, 1:4]
    return np.asarray(loadmat(path)["atom"].T, dtype=np.float64)
