"""Projections that are kept out of the training, to see how well data are predicted that were never fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.data.checks import MINIMUM_TILTS
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries

HELD_OUT_EVERY = 10
"""Steps between two looks at the held-out projections."""

HELD_OUT_ROWS = 16
"""Most detector rows that such a look takes in, so that it costs little."""


def held_out_tilts(times: NDArray[np.float64], used: NDArray[np.bool_], n: int, *, early: int) -> NDArray[np.int64]:
    """`(n,)` positions in the stack, ascending, evenly spread over the time, of projections to keep out."""
    # Neither the first `early` in time nor the last are chosen, and only of those that are used. A StinrError says that
    # there are not so many, or that fewer than three would be left for the training.
    candidates = np.flatnonzero(used)
    n_used = len(candidates)
    candidates = candidates[np.argsort(times[candidates], kind="stable")][early:-1]
    most = max(0, min(len(candidates), n_used - MINIMUM_TILTS))
    if n > most:
        raise StinrError(
            f"{n} of {n_used} projections are to be held out of the training",
            expected=f"at most {most}",
            cure="Lower training.held_out, or exclude fewer projections.",
        )
    return np.sort(candidates[evenly_spread(len(candidates), n)])


def evenly_spread(n_items: int, n: int) -> NDArray[np.int64]:
    """`(n,)` different positions, ascending, in the middle of equal parts of a list; at most `n_items`."""
    n = min(n, n_items)
    return ((2 * np.arange(n) + 1) * n_items // max(1, 2 * n)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is compared with the prediction of the held-out projections: a few rows of each."""

    tilts: torch.Tensor  # `(m,)` int64 positions in the stack
    rows: torch.Tensor  # `(r,)` int64 detector rows
    measured: torch.Tensor  # `(m, r, width)` float32, 0 where a pixel does not count [the unit of the series]
    mask: torch.Tensor  # `(m, r, width)` bool, True where a pixel counts

    def of_rows(self, held: range) -> HeldOut:
        """Return what of it lies in some rows that follow each other; it may be empty."""
        some = (self.rows >= held.start) & (self.rows < held.stop)
        return HeldOut(self.tilts, self.rows[some], self.measured[:, some], self.mask[:, some])

    @classmethod
    def of(cls, series: TiltSeries, tilts: NDArray[np.int64]) -> HeldOut | None:
        """Take at most 16 evenly spread rows of `(m,)` tilts from a series; None where nothing is held out."""
        if not len(tilts):
            return None
        rows = evenly_spread(series.height, HELD_OUT_ROWS)
        block = np.ix_(tilts, rows)
        mask = np.ones((len(tilts), len(rows), series.width), dtype=bool) if series.mask is None else series.mask[block]
        return cls(
            torch.from_numpy(tilts),
            torch.from_numpy(rows),
            torch.from_numpy(np.where(mask, series.projections[block], np.float32(0))),
            torch.from_numpy(np.array(mask)),
        )
