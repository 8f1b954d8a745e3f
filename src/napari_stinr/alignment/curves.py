"""Fits that a few wrong values do not disturb."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 4
_WIDTH = 4.0
"""Residuals beyond this many median ones lose their weight."""


def robust_fit(
    model: NDArray[np.float64], values: NDArray[np.float64], *, ridge: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`(p,)` coefficients of the columns of a `(n, p)` model for `(n,)` values; `ridge` is per value."""
    weights: NDArray[np.float64] = np.ones(len(values))
    found: NDArray[np.float64] = np.zeros(model.shape[1])
    for _ in range(_ROUNDS):
        weighted = model * weights[:, None]
        normal = weighted.T @ model + np.diag(ridge * weights.sum() + 1e-12)
        found = np.asarray(np.linalg.solve(normal, weighted.T @ values), dtype=np.float64)
        residual = np.abs(values - model @ found)
        weights = 1 / (1 + (residual / (_WIDTH * np.median(residual) + 1e-9)) ** 2)
    return found
