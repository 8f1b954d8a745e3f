"""How much of a grid the specimen may fill, so that the carbon that grows on it is seen at every tilt too."""

from __future__ import annotations

from dataclasses import dataclass

from napari_stinr.errors import StinrError

MARGIN = 2.8
"""Distance kept between atoms and the cylinder seen at every tilt: the tail of an atom's potential [Å]."""
SHELL = 4.5
"""Thickness of the layer of contamination [Å]."""
GAP = 2.5
"""Least distance between contamination and specimen [Å]."""
MINIMUM_GAP = 1.5
"""Gap below which carbon would be bound into the specimen; grids with less are too small [Å]."""
MINIMUM_HEIGHT = 8.0
"""Least height of a grid: two periods of the Zr-Te layer [Å]."""


@dataclass(frozen=True)
class Room:
    """Radii [Å] inside the cylinder around the tilt axis that every tilt sees."""

    radius: float
    """Largest distance of any atom from the tilt axis."""
    shell: float
    """Thickness of the layer of contamination."""
    gap: float
    """Least distance between contamination and specimen."""

    @property
    def specimen_radius(self) -> float:
        """Largest distance of an atom of the specimen from the tilt axis [Å]."""
        return self.radius - self.shell - self.gap


def available_room(grid: tuple[int, int, int], voxel_size: float) -> Room:
    """Divide the cylinder that every tilt sees into specimen, gap and shell; small grids shrink all three."""
    inscribed = (min(grid[0], grid[2]) - 1) / 2 * voxel_size
    room = Room(
        radius=inscribed - min(MARGIN, 0.15 * inscribed),
        shell=min(SHELL, 0.3 * inscribed),
        gap=min(GAP, 0.3 * inscribed),
    )
    if room.gap < MINIMUM_GAP or grid[1] * voxel_size < MINIMUM_HEIGHT:
        raise StinrError(
            f"the grid of {grid[0]} x {grid[1]} x {grid[2]} voxels (z, y, x) of {voxel_size:g} Å is "
            + " x ".join(f"{n_voxels * voxel_size:g}" for n_voxels in grid)
            + " Å large",
            expected="at least 12 x 8 x 12 Å",
            cure="Give more or larger voxels.",
        )
    return room
