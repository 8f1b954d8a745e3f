"""Projections of atoms, in the geometry of the package.

A projection is never taken from a volume and never made by our own projector: the atoms are rotated, and their
potential is summed from structure factors. Errors of our projector can therefore not cancel in a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.simulation.potential import projected_potential

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.simulation.contamination import Contamination
    from napari_stinr.simulation.instrument import TruePose
    from napari_stinr.simulation.potential import Sampling
    from napari_stinr.simulation.specimen import Specimen

FOREGROUND = 0.05
"""Pixels above this fraction of the maximum are the foreground that noise is measured against."""


def rotate_about_axis(
    positions: NDArray[np.float64], theta_rad: float, grid: tuple[int, int, int], voxel_size: float
) -> NDArray[np.float64]:
    """Turn positions `(n_atoms, 3)` (x, y, z) [Å] as the stage does: afterwards x is u, z along the beam."""
    centre = (np.array(grid[::-1]) - 1) / 2 * voxel_size
    x, _, z = (positions - centre).T
    cosine, sine = np.cos(theta_rad), np.sin(theta_rad)
    return np.stack([x * cosine + z * sine + centre[0], positions[:, 1], z * cosine - x * sine + centre[2]], axis=1)


def project_atoms(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int64],
    theta_rad: float,
    grid: tuple[int, int, int],
    sampling: Sampling,
) -> NDArray[np.float32]:
    """Return the projected potential `(height, width)` [V·Å] of atoms at `(n_atoms, 3)` (x, y, z) [Å] at one tilt."""
    rotated = rotate_about_axis(positions, theta_rad, grid, sampling.pixel_size)
    return projected_potential(rotated[:, :2], numbers, grid[1:], sampling)


@dataclass(frozen=True, eq=False)
class Scene:
    """What is in the microscope, and what changes in it.

    Parameters
    ----------
    specimen : Specimen
        Atoms at t = 0, and the grid that is seen of them.
    contamination : Contamination
        Atoms that arrive.
    leaves : ndarray
        `(n_atoms,)` time from which an atom of the specimen is gone; infinite for those that stay.
    """

    specimen: Specimen
    contamination: Contamination
    leaves: NDArray[np.float64]

    def record(
        self,
        tilt_angles: NDArray[np.float64],
        times: NDArray[np.float64],
        sampling: Sampling,
        pose: TruePose,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Record the scene as it changes, and the same with the specimen of t = 0 alone.

        Parameters
        ----------
        tilt_angles, times : ndarray
            `(n_tilts,)` nominal tilt angles [degrees] and times, 0 to 1.
        sampling : Sampling
            Size of a pixel, and thermal vibration.
        pose : TruePose
            Where and how bright every image is.
        progress : callable, optional
            Called as ``progress(done, total)`` after every tilt.

        Returns
        -------
        tuple of ndarray
            Two stacks `(n_tilts, height, width)` [V·Å]: as it changes, and never changed.
        """
        positions, numbers = self.specimen.atoms.positions, self.specimen.atoms.numbers
        clean = np.empty((len(tilt_angles), *self.specimen.grid[1:]), dtype=np.float32)
        changed = np.empty_like(clean)
        true_angles = np.deg2rad(tilt_angles + pose.angle_error)
        for index, (theta_rad, t) in enumerate(zip(true_angles, times, strict=True)):
            project = partial(self._project, pose, index, theta_rad, sampling)
            clean[index] = project(positions, numbers)
            stays = self.leaves > t
            specimen = clean[index] if stays.all() else project(positions[stays], numbers[stays])
            arrived = self.contamination.arrived(t)
            changed[index] = specimen + project(arrived, np.full(len(arrived), 6))
            if progress is not None:
                progress(index + 1, len(tilt_angles))
        gain = pose.gain.astype(np.float32)[:, None, None]
        return changed * gain, clean * gain

    def _project(
        self,
        pose: TruePose,
        index: int,
        theta_rad: float,
        sampling: Sampling,
        positions: NDArray[np.float64],
        numbers: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Image `(height, width)` [V·Å] of atoms in one pose of the stage."""
        grid, pixel = self.specimen.grid, sampling.pixel_size
        on_image = rotate_about_axis(positions, theta_rad, grid, pixel)[:, :2]
        if pose.moves_rows and self.specimen.is_periodic:
            on_image, numbers = _repeated(on_image, numbers, grid[1] * pixel, self._reach(pose, index, pixel))
        placed = pose.placed(on_image, index, grid[1:], pixel)
        return projected_potential(placed, numbers, grid[1:], sampling, is_periodic=not pose.moves_rows)

    def _reach(self, pose: TruePose, index: int, pixel_size: float) -> float:
        """How far above and below the image atoms may lie that come into it [Å]."""
        # The corner of the image is seen at most half its diagonal from the axis, and the specimen as far from that.
        diagonal = np.hypot(*self.specimen.grid[1:]) + abs(pose.axis_offset) + abs(pose.dx[index])
        return float(abs(pose.dy[index]) + diagonal) * pixel_size


def _repeated(
    positions: NDArray[np.float64], numbers: NDArray[np.int64], period: float, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions `(n_atoms, 2)` (u, v) [Å] with those of the periods above and below, as far as they reach."""
    n_periods = int(np.ceil(reach / period))
    shifts = np.arange(-n_periods, n_periods + 1) * period
    repeated = positions + np.stack([np.zeros_like(shifts), shifts], axis=1)[:, None]
    return repeated.reshape(-1, 2), np.tile(numbers, len(shifts))


def mean_foreground(projections: NDArray[np.float32]) -> float:
    """Return the mean of the pixels of a stack above `FOREGROUND` of its maximum [V·Å]."""
    return float(projections[projections > FOREGROUND * projections.max()].mean(dtype=float))


def measurement_noise(projections: NDArray[np.float32], noise: float, *, seed: int) -> NDArray[np.float32]:
    """Draw noise `(n_tilts, height, width)` [V·Å] of `noise` times the mean foreground of the stack."""
    if not np.isfinite(noise) or noise < 0:
        raise StinrError(
            f"the noise is {noise:g}", expected="0 or more", cure="Give 0.03 for noise of 3 % of the mean foreground."
        )
    if noise == 0:
        return np.zeros_like(projections)
    sigma = noise * mean_foreground(projections)
    drawn = np.random.default_rng(seed).normal(scale=sigma, size=projections.shape)
    return drawn.astype(np.float32)
