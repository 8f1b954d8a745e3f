"""Find atoms in a volume, without its truth, and score them against the atoms that were put in.

Positions are (z, y, x) in Å, measured from the centre of the first voxel: voxel index times voxel size.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

ATOM_WIDTH = 0.45
"""Standard deviation of the Gaussian in the atom filter [Å]: wider merges bonded carbon, narrower finds ripples."""

MINIMUM_SIGMA = 0.8
"""The same in voxels, at least: a narrower Gaussian is not sampled well enough to be differentiated."""

MINIMUM_DISTANCE = 1.0
"""Nearest that two atoms can be [Å]; below the shortest carbon bond, 1.2 Å."""

MATCH_TOLERANCE = 0.6
"""Farthest a peak may be from the atom it counts for [Å]; below half the carbon-carbon bond of 1.42 Å."""

THRESHOLD = 0.4
"""Weakest response that counts as an atom, as a fraction of the typical one."""

TYPICAL_SHARE = 1 / 3
"""Share of the summed response that peaks weaker than the typical one hold."""

NOISE_FACTOR = 5.0
"""Peaks below this many robust standard deviations of the response do not count in that sum."""

ROUNDING = 1e-4
"""A response below this fraction of the largest voxel is rounding error of a featureless volume."""


@dataclass(frozen=True)
class AtomScore:
    """How many of the expected atoms were found, and how many of the found peaks are atoms.

    Parameters
    ----------
    recall : float
        Fraction of the expected atoms that were found.
    precision : float
        Fraction of the found peaks that are expected atoms; 0 where nothing was found.
    f1 : float
        Harmonic mean of the two.
    n_found, n_expected : int
        Number of peaks, number of atoms put in.
    rms_distance : float
        Root mean square distance of the matched pairs [Å]; NaN where nothing was matched.
    recall_by_group : dict of str to float
        Recall of each group of atoms, such as an element or a wall; empty where no groups were given.
    """

    recall: float
    precision: float
    f1: float
    n_found: int
    n_expected: int
    rms_distance: float
    recall_by_group: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them, with None in place of NaN."""
        return asdict(self) | {"rms_distance": self.rms_distance if math.isfinite(self.rms_distance) else None}


def find_atoms(
    volume: ArrayLike,
    *,
    voxel_size: float,
    minimum_distance: float = MINIMUM_DISTANCE,
    threshold: float = THRESHOLD,
    atom_width: float = ATOM_WIDTH,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `(n, 3)` positions, strongest first, and `(n,)` heights of the atoms in a volume `(z, y, x)`."""
    # Peaks of the negative Laplacian of Gaussian, the scale-normalised blob detector of Lindeberg (Int. J. Comput. Vis.
    # 30, 79, 1998) at one scale: unlike the potential it does not respond to the smooth tail of a heavy neighbour, and
    # it separates touching atoms. A Gaussian atom of width `atom_width` and height h has the height 0.53 h. Of two
    # peaks nearer than `minimum_distance` the weaker is dropped. The threshold is a fraction of the typical height:
    # light atoms 20 times weaker than the heavy ones need a lower one, and a volume of noise alone yields peaks of
    # noise.
    values = _checked_volume(volume)
    lengths = (voxel_size, minimum_distance, atom_width)
    if not all(math.isfinite(number) and number > 0 for number in (*lengths, threshold)):
        raise StinrError(
            f"voxel size, minimum distance and atom width are {lengths} Å and the threshold is {threshold}",
            expected="positive numbers",
            cure="Give lengths in Å (1 nm = 10 Å) and the threshold as a fraction.",
        )
    response = _atom_response(values, max(atom_width / voxel_size, MINIMUM_SIGMA))
    indices, heights = _local_maxima(response)
    if not len(indices) or heights.max() < ROUNDING * np.abs(values).max():
        return np.empty((0, 3)), np.empty(0)
    weakest = threshold * _typical_response(response, heights)
    indices, heights = indices[heights >= weakest], heights[heights >= weakest]
    positions = (indices + _parabola_offsets(response, indices)) * voxel_size
    kept = _strongest(positions, heights, minimum_distance)
    return positions[kept], heights[kept].astype(np.float64)


def match_atoms(
    found: ArrayLike, expected: ArrayLike, *, tolerance: float = MATCH_TOLERANCE
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return indices `(k,)` of `found` and of `expected`, paired nearest first, and distances [Å]."""
    found_zyx, expected_zyx = _checked_positions(found, "found"), _checked_positions(expected, "expected")
    near = cKDTree(found_zyx).sparse_distance_matrix(cKDTree(expected_zyx), tolerance, output_type="ndarray")
    near = near[np.lexsort((near["j"], near["i"], near["v"]))]
    free_found, free_expected = np.ones(len(found_zyx), dtype=bool), np.ones(len(expected_zyx), dtype=bool)
    pairs = []
    for pair, (i, j) in enumerate(zip(near["i"], near["j"], strict=True)):
        if free_found[i] and free_expected[j]:
            free_found[i] = free_expected[j] = False
            pairs.append(pair)
    matched = near[pairs]
    return matched["i"].astype(np.int64), matched["j"].astype(np.int64), matched["v"].astype(np.float64)


def score_atoms(
    found: ArrayLike, expected: ArrayLike, *, groups: Sequence[object] | None = None, tolerance: float = MATCH_TOLERANCE
) -> AtomScore:
    """Score found `(n, 3)` against expected atoms `(m, 3)` [Å], also by the group `(m,)` of each."""
    n_found, n_expected = len(_checked_positions(found, "found")), len(_checked_positions(expected, "expected"))
    if n_expected == 0:
        raise StinrError("there are 0 expected atoms", expected="at least 1", cure="Give the atoms of the specimen.")
    labels = None if groups is None else np.asarray([x.decode() if isinstance(x, bytes) else str(x) for x in groups])
    if labels is not None and len(labels) != n_expected:
        raise StinrError(
            f"there are {len(labels)} groups for {n_expected} expected atoms",
            expected=f"{n_expected}, one for every atom",
            cure="Give one label for each atom, or none.",
        )
    _, matched, distances = match_atoms(found, expected, tolerance=tolerance)
    hit = np.zeros(n_expected, dtype=bool)
    hit[matched] = True
    names = () if labels is None else np.unique(labels)
    return AtomScore(
        recall=len(matched) / n_expected,
        precision=len(matched) / n_found if n_found else 0.0,
        f1=2 * len(matched) / (n_found + n_expected),
        n_found=n_found,
        n_expected=n_expected,
        rms_distance=float(np.sqrt(np.mean(distances**2))) if len(distances) else math.nan,
        recall_by_group={str(name): float(hit[labels == name].mean()) for name in names},
    )


def _atom_response(volume: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    response: NDArray[np.float32] = ndimage.gaussian_laplace(volume, sigma, mode="nearest")  # sigma in voxels
    response *= -(sigma**2)
    return response


def _typical_response(response: NDArray[np.float32], heights: NDArray[np.float32]) -> float:
    ascending = np.sort(heights.astype(np.float64))
    cubes = np.cumsum((ascending / ascending[-1]) ** 3)
    middle = ascending[np.searchsorted(cubes, cubes[-1] / 2)]
    deviation = 1.4826 * float(np.median(np.abs(response)))  # 1.4826: median absolute deviation to standard deviation
    # 5 % keeps rounding errors out of empty volumes (deviation 0), 50 % keeps atoms in where they fill the volume.
    floor = min(max(NOISE_FACTOR * deviation, 0.05 * middle), 0.5 * middle)
    strong = ascending[ascending >= floor]
    return float(strong[np.searchsorted(np.cumsum(strong), TYPICAL_SHARE * strong.sum())])


def _local_maxima(response: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    # Outside the volume there is nothing to be higher than a peak at its face.
    highest = ndimage.maximum_filter(response, size=3, mode="constant", cval=-np.inf)
    indices = np.argwhere((response == highest) & (response > 0))
    return indices, response[tuple(indices.T)]


def _parabola_offsets(response: NDArray[np.float32], indices: NDArray[np.int64]) -> NDArray[np.float64]:
    offsets = np.zeros(indices.shape)
    for axis in range(3):
        step = np.eye(3, dtype=np.int64)[axis]
        inside = (indices[:, axis] > 0) & (indices[:, axis] < response.shape[axis] - 1)
        peak = indices[inside]
        before, top, after = (response[tuple(at.T)].astype(np.float64) for at in (peak - step, peak, peak + step))
        curvature = before - 2 * top + after
        flat = curvature >= 0  # a plateau of equal values: its own index is as good as any
        offsets[inside, axis] = np.where(flat, 0.0, 0.5 * (before - after) / np.where(flat, 1.0, curvature))
    return offsets


def _strongest(positions: NDArray[np.float64], heights: NDArray[np.float32], apart: float) -> NDArray[np.int64]:
    order = np.argsort(-heights, kind="stable")
    pairs = cKDTree(positions[order]).query_pairs(apart, output_type="ndarray")
    free = np.ones(len(order), dtype=bool)
    for stronger, weaker in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]:  # rows are (i, j) with i < j
        if free[stronger]:
            free[weaker] = False
    return np.asarray(order[free], dtype=np.int64)


def _checked_volume(volume: ArrayLike) -> NDArray[np.float32]:
    values = np.asarray(volume, dtype=np.float32)
    bad = int(values.size - np.isfinite(values).sum())
    if values.ndim != 3 or 0 in values.shape or bad:
        raise StinrError(
            f"the volume has the shape {values.shape} and {bad} voxel(s) that are not finite",
            expected="three axes (z, y, x), none of them empty, and finite numbers",
            cure="Give one volume, with 0 where nothing is known.",
        )
    return values


def _checked_positions(positions: ArrayLike, what: str) -> NDArray[np.float64]:
    values = np.asarray(positions, dtype=np.float64)
    if values.size == 0:
        return np.empty((0, 3))
    if values.ndim != 2 or values.shape[1] != 3 or not np.isfinite(values).all():
        raise StinrError(
            f"the {what} atoms have the shape {values.shape}, {int((~np.isfinite(values)).sum())} numbers not finite",
            expected="(n, 3) finite positions (z, y, x)",
            cure="Give one row with three lengths in Å for each atom.",
        )
    return values
