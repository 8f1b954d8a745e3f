"""Seconds per iteration of ASTRA's CPU SIRT; run by `projector.py` in an environment that holds only astra-toolbox.

Reads `density (rows, depth, width)`, `lines (n_tilts, rows, n_pixels)` and `angles (n_tilts,)` [radians] from an .npz
file and prints JSON.
"""

from __future__ import annotations

import json
import sys
import time

import astra
import numpy as np

MOST_ITERATIONS = 4


def main(path: str) -> None:
    """Time several iterations against one, so that what SIRT sets up once is not counted."""
    with np.load(path) as problem:
        density, lines, angles = problem["density"], problem["lines"], problem["angles"]
    # ASTRA's rows run downwards, our z upwards: the same slice is seen under the negative angle.
    volume_geometry = astra.create_vol_geom(*density.shape[1:])
    projection_geometry = astra.create_proj_geom("parallel", 1.0, lines.shape[2], -angles)
    projector = astra.create_projector("linear", projection_geometry, volume_geometry)
    seconds = {1: 0.0, MOST_ITERATIONS: 0.0}
    for row in range(len(density)):
        for iterations in seconds:
            volume = astra.data2d.create("-vol", volume_geometry, 0.0)
            sinogram = astra.data2d.create("-sino", projection_geometry, lines[:, row])
            config = astra.astra_dict("SIRT")
            config |= {"ProjectorId": projector, "ProjectionDataId": sinogram, "ReconstructionDataId": volume}
            algorithm = astra.algorithm.create(config)
            start = time.perf_counter()
            astra.algorithm.run(algorithm, iterations)
            seconds[iterations] += time.perf_counter() - start
            astra.algorithm.delete(algorithm)
            astra.data2d.delete([volume, sinogram])
    per_iteration = (seconds[MOST_ITERATIONS] - seconds[1]) / (MOST_ITERATIONS - 1)
    _, predicted = astra.create_sino(density[0], projector)
    difference = float(np.linalg.norm(predicted - lines[:, 0]) / np.linalg.norm(lines[:, 0]))
    print(json.dumps({"seconds_per_iteration": per_iteration, "difference": difference}))


if __name__ == "__main__":
    main(sys.argv[1])
