"""Schemes by which microscopists record a tilt series, and the order of the projections in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

AcquisitionOrder = Literal["sequential", "bidirectional", "dose-symmetric", "interleaved"]
ACQUISITION_ORDERS: tuple[str, ...] = get_args(AcquisitionOrder)
N_SWEEPS = 4
"""Number of passes over the tilt range in the interleaved order."""


def acquisition_rank(tilt_angles: NDArray[np.float64], order: str) -> NDArray[np.int64]:
    """Return the order in which projections were recorded, for a scheme with a name.

    Parameters
    ----------
    tilt_angles : ndarray
        `(n_tilts,)` tilt angles in stack order [degrees].
    order : {"sequential", "bidirectional", "dose-symmetric", "interleaved"}
        ``sequential``: stack order. ``bidirectional``: from the angle nearest 0 upwards, then the rest downwards.
        ``dose-symmetric``: outwards from the angle nearest 0, in turn on both sides. ``interleaved``: four sweeps
        over the range, each taking every fourth angle.

    Returns
    -------
    ndarray
        `(n_tilts,)` rank of each projection; 0 was recorded first.

    Raises
    ------
    StinrError
        The scheme has another name.
    """
    angles = np.asarray(tilt_angles, dtype=float)
    n_tilts = len(angles)
    ascending = np.argsort(angles, kind="stable")
    start = int(np.argmin(np.abs(angles[ascending])))
    if order == "sequential":
        sequence = np.arange(n_tilts)
    elif order == "bidirectional":
        sequence = np.concatenate([ascending[start:], ascending[:start][::-1]])
    elif order == "dose-symmetric":
        distance = np.abs(np.arange(n_tilts) - start)
        sequence = ascending[np.lexsort((np.arange(n_tilts) < start, distance))]
    elif order == "interleaved":
        sequence = np.concatenate([ascending[sweep::N_SWEEPS] for sweep in range(N_SWEEPS)])
    else:
        raise StinrError(
            f"the acquisition order is {order!r}",
            expected="one of " + ", ".join(ACQUISITION_ORDERS),
            cure="Choose one of these, or give a file with the times.",
        )
    rank = np.empty(n_tilts, dtype=np.int64)
    rank[sequence] = np.arange(n_tilts)
    return rank
