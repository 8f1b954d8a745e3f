"""Carbon that grows on a specimen while the tilt series is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.simulation.room import available_room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.simulation.specimen import Specimen

Growth = Literal["side", "radial"]
GROWTHS: tuple[str, ...] = get_args(Growth)

CARBON_DENSITY = 0.113
"""Carbon atoms per Å³, as in graphite."""
MINIMUM_DISTANCE = 1.45
"""Least distance between two contaminating atoms [Å]."""
CANDIDATES_PER_ATOM = 20
"""Random positions drawn for every atom to be placed: enough to reach the density above, far from the jamming limit."""


@dataclass(frozen=True, eq=False)
class Contamination:
    """Carbon atoms with the time at which each of them arrives.

    Parameters
    ----------
    positions : ndarray
        `(n_atoms, 3)` positions x, y, z with the origin of the specimen [Å].
    arrival : ndarray
        `(n_atoms,)` time at which the atom is there, above 0 and up to 1: none at t = 0, all at t = 1.
    """

    positions: NDArray[np.float64]
    arrival: NDArray[np.float64]

    def arrived(self, t: float) -> NDArray[np.float64]:
        """Return positions `(n_arrived, 3)` (x, y, z) [Å] of the atoms that are there at a time."""
        return self.positions[self.arrival <= t]


def grow_contamination(specimen: Specimen, *, growth: str = "side", seed: int = 0) -> Contamination:
    """Cover a specimen with a layer of carbon atoms that arrive one by one at a constant rate.

    The atoms are placed by random sequential addition: uniform random positions are taken in turn, and dropped where
    one taken before is nearer than `MINIMUM_DISTANCE`, until the layer is as dense as graphite.

    Parameters
    ----------
    specimen : Specimen
        What the carbon grows on; its grid decides the thickness of the layer.
    growth : {"side", "radial"}
        ``side``: from one side of the specimen to the other, along x, as in the 2023 paper. ``radial``: from the
        surface outwards.
    seed : int
        Seed of the positions.

    Returns
    -------
    Contamination
        The atoms, in the order in which they arrive.

    Raises
    ------
    StinrError
        The growth has another name.
    """
    if growth not in GROWTHS:
        raise StinrError(
            f"the growth is {growth!r}", expected="one of " + ", ".join(GROWTHS), cure="Choose one of these."
        )
    generator = np.random.default_rng(seed)
    candidates, distance, volume = _candidates(specimen, generator)
    taken = _take_in_turn(candidates, specimen, round(CARBON_DENSITY * volume))
    positions, distance = candidates[taken], distance[taken]
    order = np.argsort(positions[:, 0] if growth == "side" else distance, kind="stable")
    return Contamination(positions[order], (np.arange(len(order)) + 1) / max(1, len(order)))


def _candidates(
    specimen: Specimen, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Random positions in the layer, their distance from the specimen, and the volume of the layer."""
    from scipy.spatial import cKDTree

    room = available_room(specimen.grid, specimen.voxel_size)
    box = np.array(specimen.grid[::-1]) * specimen.voxel_size
    corner = np.full(3, -specimen.voxel_size / 2)
    n_drawn = int(CANDIDATES_PER_ATOM * CARBON_DENSITY * box.prod())
    drawn = generator.uniform(corner, corner + box, size=(n_drawn, 3))
    # Images of the atoms along y, along which the box is periodic.
    images = np.concatenate([specimen.atoms.positions + np.array([0, shift, 0]) for shift in (-box[1], 0, box[1])])
    distance = np.asarray(cKDTree(images).query(drawn)[0])
    x, _, z = (drawn - corner - box / 2).T
    from_axis = np.hypot(z, x)
    inside = (distance >= room.gap) & (distance <= room.gap + room.shell)
    inside &= (from_axis > specimen.closed_radius) & (from_axis <= room.radius)
    return drawn[inside], distance[inside], float(box.prod() * inside.sum() / n_drawn)


def _take_in_turn(candidates: NDArray[np.float64], specimen: Specimen, wanted: int) -> NDArray[np.int64]:
    """Choose candidates in turn, each at least `MINIMUM_DISTANCE` from all chosen before; return their indices."""
    from scipy.spatial import cKDTree

    box = np.array(specimen.grid[::-1]) * specimen.voxel_size
    tree = cKDTree((candidates + specimen.voxel_size / 2) % box, boxsize=box)
    free = np.ones(len(candidates), dtype=bool)
    taken: list[int] = []
    for index, neighbours in enumerate(tree.query_ball_tree(tree, MINIMUM_DISTANCE)):
        if len(taken) == wanted:
            break
        if free[index]:
            taken.append(index)
            free[neighbours] = False
    return np.array(taken, dtype=np.int64)
