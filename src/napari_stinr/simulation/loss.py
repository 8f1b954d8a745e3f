"""Atoms that the beam takes from the specimen while the tilt series is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.simulation.contamination import Contamination
    from napari_stinr.simulation.specimen import Specimen

LARGEST_LOSS = 0.5
"""Largest fraction that can leave: all atoms of the outer half."""
_STREAM = 11


def departure_times(
    specimen: Specimen, contamination: Contamination, loss: float, *, seed: int = 0
) -> NDArray[np.float64]:
    """Draw when each atom of a specimen leaves it.

    Electrons sputter atoms from the surface, whichever they hit, and hardly any from the inside, where there is no
    place to go. So the atoms that leave are drawn at random from the outer half: those nearest to where carbon grows.
    They leave one by one at a constant rate, none at t = 0 and the last at t = 1.

    Parameters
    ----------
    specimen : Specimen
        What loses atoms.
    contamination : Contamination
        What grows on it, which tells where its surface is.
    loss : float
        Fraction of all atoms that leave, up to `LARGEST_LOSS`.
    seed : int
        Seed of which atoms leave.

    Returns
    -------
    ndarray
        `(n_atoms,)` time from which an atom is gone; infinite for those that stay.
    """
    from scipy.spatial import cKDTree

    positions = specimen.atoms.positions
    leaves = np.full(len(positions), np.inf)
    n_lost = round(loss * len(positions))
    depth = cKDTree(contamination.positions).query(positions)[0] if n_lost else np.zeros(len(positions))
    outer_half = np.argsort(depth, kind="stable")[: max(n_lost, len(positions) // 2)]
    chosen = np.random.default_rng([_STREAM, seed]).permutation(outer_half)[:n_lost]
    leaves[chosen] = (np.arange(n_lost) + 1) / max(1, n_lost)
    return leaves
