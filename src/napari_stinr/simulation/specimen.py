"""The specimens of the simulation: what is in the microscope before the beam touches it.

Positions are those of ASE: columns x, y, z [Å], with the origin at the centre of voxel (0, 0, 0), so that position /
voxel size is the voxel index. The tilt axis is y, at the centre of the grid in z and x. Every specimen is periodic
along y with the height of the grid, or ends inside it: rows at the border then hold exactly what the projections
show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.simulation.packing import take_in_turn
from napari_stinr.simulation.room import available_room

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SpecimenName = Literal["nanotube", "particle", "glass"]
SPECIMENS: tuple[str, ...] = get_args(SpecimenName)

BOND = 1.42
"""C-C bond of graphene [Å]."""
WALL_SPACING = 3.35
"""Distance between the walls of a carbon nanotube, as between the layers of graphite [Å]."""
CLEARANCE = 3.0
"""Distance kept between the filling of a tube and its innermost wall [Å]."""
CHAIN_PERIOD = 3.95
"""Lattice constant a of 1T-ZrTe2 [Å]."""
TE_HEIGHT = 1.70
"""Distance of the Te planes from the Zr plane of 1T-ZrTe2 [Å]."""
ZR_TE_BOND = 2.9
"""Distance of Zr and Te in a chain [Å]."""
FEPT_LATTICE = 3.85
"""Lattice constant of Fe-Pt, taken as cubic [Å]."""
PARTICLE_MARGIN = 1.5
"""Distance kept between the particle and the first and last row of the grid [Å]."""
GLASS_DISTANCE = 2.5
"""Least distance of two atoms of amorphous Zr-Cu [Å]."""
GLASS_DENSITY = 0.056
"""Atoms per Å³ of amorphous Zr-Cu."""
GLASS_CANDIDATES = 30
"""Random positions drawn for every atom of that density, of which random sequential addition keeps what fits."""
GLASS_UNEVENNESS = 0.15
"""How much the radius of the amorphous particle goes in and out, as a fraction of the largest possible."""
DISPLACEMENT = 0.03
"""Standard deviation of the static random displacement of every atom, per axis [Å]."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """Atoms in a box, each with the name of the group it is counted in.

    Parameters
    ----------
    atoms : ase.Atoms
        Atoms of the specimen; the cell is the box `(x, y, z)` [Å].
    groups : tuple of str
        Group of every atom, e.g. ``"sandwich"``, ``"inner wall"`` and ``"outer wall"``.
    grid : tuple of int
        Number of voxels `(z, y, x)`.
    voxel_size : float
        Edge of a voxel [Å].
    closed_radius : float
        Nothing can grow nearer to the tilt axis than this, as a tube is closed to carbon from outside [Å].
    is_periodic : bool
        The specimen goes on above and below the grid as it is, instead of ending inside it along y.
    """

    atoms: Any
    groups: tuple[str, ...]
    grid: tuple[int, int, int]
    voxel_size: float
    closed_radius: float = 0.0
    is_periodic: bool = True

    def in_view(self, grid: tuple[int, int, int]) -> Specimen:
        """Return the same atoms with the origin of a smaller grid around the same centre, those outside it too."""
        moved = self.atoms.copy()
        moved.positions -= self.origin_of(grid)
        moved.set_cell(np.array(grid[::-1]) * self.voxel_size)
        return replace(self, atoms=moved, grid=grid)

    def origin_of(self, grid: tuple[int, int, int]) -> NDArray[np.float64]:
        """Return where `(x, y, z)` the first voxel of a grid around the same centre lies in this one [Å]."""
        return np.asarray((np.array(self.grid[::-1]) - np.array(grid[::-1])) / 2 * self.voxel_size, dtype=np.float64)

    def seen(self) -> Specimen:
        """Return the specimen without the atoms that lie outside its grid along z and x."""
        is_seen = inside_grid(self.atoms.positions, self.grid, self.voxel_size)
        groups = tuple(group for group, kept in zip(self.groups, is_seen, strict=True) if kept)
        return replace(self, atoms=self.atoms[is_seen], groups=groups)

    @property
    def indices(self) -> NDArray[np.float64]:
        """`(n_atoms, 3)` positions in voxels, in the order z, y, x."""
        return np.asarray(self.atoms.positions[:, ::-1] / self.voxel_size, dtype=np.float64)


def build_specimen(name: str, grid: tuple[int, int, int], voxel_size: float, *, seed: int = 0) -> Specimen:
    """Build a specimen that fits a grid together with the carbon that will grow on it.

    Parameters
    ----------
    name : {"nanotube", "particle", "glass"}
        ``nanotube``: carbon nanotube around a Zr-Te sandwich, see `nanotube_sandwich`. ``particle``: faceted Fe-Pt, see
        `iron_platinum_particle`. ``glass``: rounded particle of amorphous Zr-Cu, see `zirconium_copper_glass`.
    grid : tuple of int
        Number of voxels `(z, y, x)`.
    voxel_size : float
        Edge of a voxel [Å].
    seed : int
        Seed of the random displacements and orientations.

    Returns
    -------
    Specimen
        The specimen, centred on the tilt axis.

    Raises
    ------
    StinrError
        The name is another one, or the grid is too small to hold an atom with carbon around it.
    """
    builders: dict[str, Callable[..., Specimen]] = {
        "nanotube": nanotube_sandwich,
        "particle": iron_platinum_particle,
        "glass": zirconium_copper_glass,
    }
    if name not in builders:
        raise StinrError(
            f"the specimen is {name!r}", expected="one of " + ", ".join(SPECIMENS), cure="Choose one of these."
        )
    return builders[name](grid, voxel_size, seed=seed)


def nanotube_sandwich(grid: tuple[int, int, int], voxel_size: float, *, seed: int = 0) -> Specimen:
    """Build a carbon nanotube along the tilt axis around a ribbon of Te-Zr-Te, as in the 2023 paper."""
    # The grid decides the radii: two walls where they fit (44 Å across), else one, the outer, else none.
    generator = np.random.default_rng(seed)
    room = available_room(grid, voxel_size)
    length = grid[1] * voxel_size
    indices = _wall_indices(room.specimen_radius)
    names = ("inner wall", "outer wall")[2 - len(indices) :]
    walls = [_wall(index, length, generator) for index in indices]
    radii = [_wall_radius(index) for index in indices]
    filling = _ribbon(radii[0] - CLEARANCE if radii else room.specimen_radius, length)
    parts = [(filling, "sandwich"), *zip(walls, names, strict=True)]
    return _assemble(parts, grid, voxel_size, generator, closed_radius=max(radii, default=0.0))


def iron_platinum_particle(grid: tuple[int, int, int], voxel_size: float, *, seed: int = 0) -> Specimen:
    """Build a faceted, chemically ordered Fe-Pt particle: a truncated octahedron, L1_0, [010] along y."""
    # For tests on what nothing was tuned to: dense, far heavier than its contamination, and ending inside the grid
    # along the tilt axis too. As large as fits with carbon around it, and oblate in flat grids.
    from ase import Atoms

    generator = np.random.default_rng(seed)
    radius = available_room(grid, voxel_size).specimen_radius
    half_height = grid[1] * voxel_size / 2 - PARTICLE_MARGIN
    reach = np.arange(-int(2 * radius / FEPT_LATTICE), int(2 * radius / FEPT_LATTICE) + 1)
    sites = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = sites[sites.sum(axis=1) % 2 == 0]
    # Facets {111} and {100} of the truncated octahedron that the sphere of this radius circumscribes.
    distance = np.abs(sites) * FEPT_LATTICE / 2
    inside = (distance.sum(axis=1) <= 3 / np.sqrt(5) * radius) & (distance.max(axis=1) <= 2 / np.sqrt(5) * radius)
    sites = sites[inside & (distance[:, 1] <= half_height)]
    numbers = np.where(sites[:, 0] % 2, 26, 78)
    particle: Any = Atoms(numbers=numbers, positions=sites * FEPT_LATTICE / 2)
    particle.rotate(generator.uniform(0, 360), "y")
    particle.positions[:, 1] += (grid[1] - 1) / 2 * voxel_size
    parts = [(particle[numbers == number], name) for number, name in ((26, "Fe"), (78, "Pt"))]
    return _assemble(parts, grid, voxel_size, generator, is_periodic=False)


def zirconium_copper_glass(grid: tuple[int, int, int], voxel_size: float, *, seed: int = 0) -> Specimen:
    """Build a rounded, uneven particle of amorphous Zr-Cu, in which no lattice tells where an atom must be."""
    # Random sequential addition, so the atoms are as far apart as in the glass and at about three quarters of its
    # density, and their neighbours are not those of a relaxed one. It ends inside the grid along the tilt axis.
    from ase import Atoms

    generator = np.random.default_rng(seed)
    radius = available_room(grid, voxel_size).specimen_radius
    half_axes = np.array([radius, min(radius, grid[1] * voxel_size / 2 - PARTICLE_MARGIN), radius])
    volume = 8 * half_axes.prod()
    drawn = generator.uniform(-1, 1, size=(int(GLASS_CANDIDATES * GLASS_DENSITY * volume), 3))
    distance, from_axis = np.linalg.norm(drawn, axis=1), np.hypot(drawn[:, 0], drawn[:, 2])
    around, (first, second) = np.arctan2(drawn[:, 2], drawn[:, 0]), generator.uniform(0, 2 * np.pi, size=2)
    # Two bulges and three, so that no two directions show the same outline.
    bulge = from_axis / np.maximum(distance, 1e-9) * (np.cos(2 * around + first) + np.cos(3 * around + second)) / 2
    drawn = drawn[distance <= 1 - GLASS_UNEVENNESS * (1 - bulge)] * half_axes
    positions = drawn[take_in_turn(drawn, len(drawn), GLASS_DISTANCE)]
    numbers = np.where(generator.random(len(positions)) < 0.5, 40, 29)
    positions[:, 1] += (grid[1] - 1) / 2 * voxel_size
    glass: Any = Atoms(numbers=numbers, positions=positions)
    parts = [(glass[numbers == number], name) for number, name in ((40, "Zr"), (29, "Cu"))]
    return _assemble(parts, grid, voxel_size, generator, is_periodic=False)


def inside_grid(positions: NDArray[np.float64], grid: tuple[int, int, int], voxel_size: float) -> NDArray[np.bool_]:
    """Return which positions `(n, 3)` (x, y, z) [Å] lie within the voxels of a grid along z and x."""
    index = positions[:, [0, 2]] / voxel_size
    return np.asarray(((index >= -0.5) & (index < np.array([grid[2], grid[0]]) - 0.5)).all(axis=1))


def _wall_radius(index: int) -> float:
    """Radius of the armchair tube (index, index) [Å]."""
    return 3 * BOND * index / (2 * np.pi)


def _wall_indices(largest_radius: float) -> list[int]:
    """Chiral indices n of the armchair tubes (n, n) from the inside out; none where not even one clears its filling."""
    outer = int(largest_radius / _wall_radius(1))
    inner = round((_wall_radius(outer) - WALL_SPACING) / _wall_radius(1))
    if _wall_radius(inner) - CLEARANCE >= TE_HEIGHT + 1:
        return [inner, outer]
    return [outer] if _wall_radius(outer) >= CLEARANCE else []


def _wall(index: int, length: float, generator: np.random.Generator) -> Any:
    """Armchair tube along y, turned and shifted at random, strained so that whole periods fit the length."""
    from ase.build import nanotube

    period = np.sqrt(3) * BOND
    cells = max(1, round(length / period))
    wall: Any = nanotube(index, index, length=cells, bond=BOND)  # type: ignore[no-untyped-call]
    wall.positions[:, :2] -= wall.positions[:, :2].mean(axis=0)
    wall.rotate(generator.uniform(0, 360), "z")
    wall.positions[:, 2] *= length / (cells * period)
    wall.positions[:, 2] += generator.uniform(0, period)
    wall.positions = wall.positions[:, [0, 2, 1]]
    return wall


def _ribbon(radius: float, length: float) -> Any:
    """Layer of 1T-ZrTe2 along y, cut to a cylinder; a chain of Zr and Te in turn where the layer is too thick."""
    from ase import Atoms

    cells = max(1, round(length / CHAIN_PERIOD))
    period = length / cells
    if radius < TE_HEIGHT + 1:
        pairs = max(1, round(length / (2 * ZR_TE_BOND)))
        chain = np.zeros((2 * pairs, 3))
        chain[:, 1] = (np.arange(2 * pairs) + 0.5) * length / (2 * pairs)
        return Atoms("ZrTe" * pairs, positions=chain)
    row_spacing = CHAIN_PERIOD * np.sqrt(3) / 2
    symbols: list[str] = []
    positions: list[NDArray[np.float64]] = []
    for row in range(-int(radius / row_spacing) - 1, int(radius / row_spacing) + 2):
        for symbol, shift, height in (("Zr", 0, 0.0), ("Te", 1, TE_HEIGHT), ("Te", -1, -TE_HEIGHT)):
            x = (row + shift / 3) * row_spacing
            if np.hypot(x, height) > radius:
                continue
            along = (np.arange(cells) + (row + shift) % 2 / 2 + 0.25) * period
            symbols += [symbol] * cells
            positions.append(np.stack([np.full(cells, x), along, np.full(cells, height)], axis=1))
    return Atoms(symbols, positions=np.concatenate(positions))


def _assemble(
    parts: list[tuple[Any, str]],
    grid: tuple[int, int, int],
    voxel_size: float,
    generator: np.random.Generator,
    *,
    closed_radius: float = 0.0,
    is_periodic: bool = True,
) -> Specimen:
    """Put parts centred on the tilt axis into the box, with a little static disorder."""
    from ase import Atoms

    atoms: Any = Atoms(cell=np.array(grid[::-1]) * voxel_size, pbc=True)
    for part, _ in parts:
        atoms.extend(part)
    groups = tuple(group for part, group in parts for _ in range(len(part)))
    atoms.positions += generator.normal(scale=DISPLACEMENT, size=atoms.positions.shape)
    atoms.positions[:, [0, 2]] += (np.array([grid[2], grid[0]]) - 1) / 2 * voxel_size
    # Row y spans half a voxel on both sides of its index.
    atoms.positions[:, 1] = (atoms.positions[:, 1] + voxel_size / 2) % (grid[1] * voxel_size) - voxel_size / 2
    return Specimen(atoms, groups, grid, voxel_size, closed_radius, is_periodic)
