"""Carbon that grows on a specimen while the tilt series is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.simulation.packing import take_in_turn
from napari_stinr.simulation.room import available_room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.simulation.specimen import Specimen

Growth = Literal["side", "radial", "both-sides"]
GROWTHS: tuple[str, ...] = get_args(Growth)
Pace = Literal["steady", "burst", "pause"]
PACES: tuple[str, ...] = get_args(Pace)

CARBON_DENSITY = 0.113
"""Carbon atoms per Å³, as in graphite."""
MINIMUM_DISTANCE = 1.45
"""Least distance between two contaminating atoms, where no other is asked for [Å]."""
LEAST_DISTANCE = 1.2
"""No two carbon atoms are nearer than in a triple bond [Å]."""
LEAST_GAP = 1.45
"""Carbon nearer to the specimen than a bond would be inside its atoms [Å]."""
BURST = 0.05
"""Fraction of the time in which a burst brings all of the carbon."""
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

    def kept(self, is_kept: NDArray[np.bool_]) -> Contamination:
        """Return the atoms for which `(n_atoms,)` values are true."""
        return Contamination(self.positions[is_kept], self.arrival[is_kept])


def grow_contamination(
    specimen: Specimen,
    *,
    growth: str = "side",
    pace: str = "steady",
    minimum_distance: float = MINIMUM_DISTANCE,
    gap: float | None = None,
    seed: int = 0,
) -> Contamination:
    """Cover a specimen with a layer of carbon atoms that arrive one by one.

    The atoms are placed by random sequential addition: uniform random positions are taken in turn, and dropped where
    one taken before is nearer than the minimum distance, until the layer is as dense as graphite, or as that distance
    allows: 2.0 Å gives about three quarters of it.

    Parameters
    ----------
    specimen : Specimen
        What the carbon grows on; its grid decides the thickness of the layer.
    growth : {"side", "radial", "both-sides"}
        ``side``: from one side of the specimen to the other, along x, as in the 2023 paper. ``radial``: all round, from
        the surface outwards. ``both-sides``: from both ends of x towards the middle.
    pace : {"steady", "burst", "pause"}
        ``steady``: at a constant rate. ``burst``: all within the first 5 % of the time. ``pause``: half in the first
        third of the time, nothing in the second, half in the last.
    minimum_distance : float
        Least distance between two atoms of the layer [Å].
    gap : float, optional
        Least distance between layer and specimen [Å]. Default: that of `available_room`.
    seed : int
        Seed of the positions.

    Returns
    -------
    Contamination
        The atoms, in the order in which they arrive.

    Raises
    ------
    StinrError
        Growth or pace has another name.
    """
    for what, name, names in (("growth", growth, GROWTHS), ("pace", pace, PACES)):
        if name not in names:
            expected = "one of " + ", ".join(names)
            raise StinrError(f"the {what} is {name!r}", expected=expected, cure="Choose one of these.")
    generator = np.random.default_rng(seed)
    candidates, distance, volume = _candidates(specimen, generator, gap)
    box = np.array(specimen.grid[::-1]) * specimen.voxel_size
    shifted = (candidates + specimen.voxel_size / 2) % box
    taken = take_in_turn(shifted, round(CARBON_DENSITY * volume), minimum_distance, box=box)
    positions, distance = candidates[taken], distance[taken]
    from_middle = np.abs(positions[:, 0] - (specimen.grid[2] - 1) / 2 * specimen.voxel_size)
    first = {"side": positions[:, 0], "radial": distance, "both-sides": -from_middle}
    order = np.argsort(first[growth], kind="stable")
    return Contamination(positions[order], _arrival(len(order), pace))


def _arrival(n_atoms: int, pace: str) -> NDArray[np.float64]:
    """`(n_atoms,)` times at which atoms arrive in turn, the first above 0 and the last not above 1."""
    arrived = (np.arange(n_atoms) + 1) / max(1, n_atoms)
    if pace == "burst":
        return BURST * arrived
    if pace == "pause":
        return np.where(arrived <= 0.5, 0.0, 1 / 3) + arrived * (2 / 3)
    return arrived


def _candidates(
    specimen: Specimen, generator: np.random.Generator, gap: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Random positions in the layer, their distance from the specimen, and the volume of the layer."""
    from scipy.spatial import cKDTree

    room = available_room(specimen.grid, specimen.voxel_size)
    nearest = room.gap if gap is None else gap
    box = np.array(specimen.grid[::-1]) * specimen.voxel_size
    corner = np.full(3, -specimen.voxel_size / 2)
    n_drawn = int(CANDIDATES_PER_ATOM * CARBON_DENSITY * box.prod())
    drawn = generator.uniform(corner, corner + box, size=(n_drawn, 3))
    # Images of the atoms along y, along which the box is periodic.
    images = np.concatenate([specimen.atoms.positions + np.array([0, shift, 0]) for shift in (-box[1], 0, box[1])])
    distance = np.asarray(cKDTree(images).query(drawn)[0])
    x, _, z = (drawn - corner - box / 2).T
    from_axis = np.hypot(z, x)
    inside = (distance >= nearest) & (distance <= nearest + room.shell)
    inside &= (from_axis > specimen.closed_radius) & (from_axis <= room.radius)
    return drawn[inside], distance[inside], float(box.prod() * inside.sum() / n_drawn)
