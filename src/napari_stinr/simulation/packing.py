"""Random positions that keep their distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def take_in_turn(
    candidates: NDArray[np.float64],
    wanted: int,
    minimum_distance: float,
    *,
    box: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Choose positions by random sequential addition: each as far as that from all that were chosen before.

    Parameters
    ----------
    candidates : ndarray
        `(n, 3)` positions in random order, between 0 and the box where there is one [Å].
    wanted : int
        How many are enough.
    minimum_distance : float
        Least distance between two that are chosen [Å].
    box : ndarray, optional
        `(3,)` period along each axis [Å].

    Returns
    -------
    ndarray
        `(n_chosen,)` their indices, fewer than wanted where the candidates come to an end.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(candidates, boxsize=box)
    free = np.ones(len(candidates), dtype=bool)
    taken: list[int] = []
    for index, neighbours in enumerate(tree.query_ball_tree(tree, minimum_distance)):
        if len(taken) == wanted:
            break
        if free[index]:
            taken.append(index)
            free[neighbours] = False
    return np.array(taken, dtype=np.int64)
