"""Compiled step of the optimiser for rows of a parameter, in one pass over what it moves."""

from __future__ import annotations

import math

import numba
import numpy as np

_f4 = np.float32


@numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
def advance_rows(values, mean, square, steps, rows, gradient, rate, first, second, eps):  # type: ignore[no-untyped-def]
    """Do a step of Adam in some rows; see :class:`~napari_stinr.training.optimisers.RowwiseAdam`.

    `(n_rows, n)` float32 values, mean and mean square, `(n_rows,)` float32 steps; `(m,)` int64 rows with their `(m, n)`
    float32 gradient; float rate, betas and eps.
    """
    keep, of_mean, keep_square, of_square = _f4(first), _f4(1.0 - first), _f4(second), _f4(1.0 - second)
    little = _f4(eps)
    for k in range(len(rows)):
        row = rows[k]
        steps[row] += _f4(1.0)
        size = _f4(rate / (1.0 - first ** steps[row]))
        scale = _f4(1.0 / math.sqrt(1.0 - second ** steps[row]))
        one, m, v, g = values[row], mean[row], square[row], gradient[k]
        for q in range(len(one)):
            m[q] = keep * m[q] + of_mean * g[q]
            v[q] = keep_square * v[q] + of_square * g[q] * g[q]
            one[q] -= size * m[q] / (math.sqrt(v[q]) * scale + little)
