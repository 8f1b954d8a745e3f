"""How large the pieces of an alignment are: what it takes, in time and memory, follows from them."""

from __future__ import annotations

from napari_stinr.training.pose_fit import Effort

CHAIN_SIZE, FIT_SIZE = 512, 160
"""Images larger than this are binned, for the chain and for the fits of the coarse step [pixel]."""
FIT_VOXELS, FIT_ROWS = 130_000, (16, 40)
"""Size of what is fitted, and the least and most rows of it."""
PART_OF_ROWS = 4
"""Part of the rows of the chain that the joint step fits at least: one in so many."""
SHORT, MIDDLE, LONG = Effort(visits=60, tilts=12), Effort(visits=100, tilts=16), Effort(visits=150, tilts=20)
"""A young field is biased: where the pose is right a short fit shows 0.01 and a long one 0.003 pixel. Both show the
same part of an error. Those between are enough for offsets to be compared, and where there are mirror images."""
EXPECTED = {"coarse": 20_000, "joint": 35_000}
"""Visits of a series over 180 degrees, times projections in each."""
LEAST_TILTS, LEAST_PIXELS = 9, 16
"""Smaller series tell nothing by a fit."""
