"""How much contamination a reconstruction shows: as a part of the specimen, and as a thickness where that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_stinr.fields.regions import OUTSIDE
from napari_stinr.reconstruction.rendering import total_potential

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.reconstruction import Reconstruction

CARBON_POTENTIAL = 120.0
"""Integral of the potential of a carbon atom: 47.88 V·Å² times its scattering factor at 0, 2.51 Å [V·Å³]."""
CARBON_DENSITY = 2.0
"""Density of amorphous carbon that a beam deposits [g/cm³]."""
_ATOMS_PER_GRAM = 0.0501375
"""Carbon atoms in 1 Å³ at 1 g/cm³ [1/Å³ per g/cm³]."""
_LEAST_GROWTH = 1e-3
"""Part of the specimen below which nothing has grown in a reconstruction."""
_SMOOTHING = 1.5
"""Standard deviation of the filter that takes the steps of the voxels from a surface [voxel]."""
_LEAST_SURFACE = 10.0
"""A smaller surface is none [voxel²]."""
_ANGSTROM_PER_NM = 10.0
_STATIC_LINE = "Static reconstruction: contamination is in it."
_NO_GROWTH_LINE = "No growth found."


def is_static(reconstruction: Reconstruction) -> bool:
    """Return whether nothing in a reconstruction changes with time, so that it is never called clean."""
    field = reconstruction.field
    return field.serves_all_times and not field.has_arrival


@dataclass(frozen=True, eq=False)
class Growth:
    """How much matter a reconstruction shows at several times.

    Parameters
    ----------
    times : ndarray
        `(n,)` ascending times, the first 0 [t].
    totals : ndarray
        `(n,)` integrals of the potential over the volume [V·length_unit³].
    is_static : bool
        Nothing in the reconstruction changes with time.
    surface : float or None
        Area of the surface of the specimen; None where a thickness cannot be told [Å²].
    """

    times: NDArray[np.float64]
    totals: NDArray[np.float64]
    is_static: bool = False
    surface: float | None = None

    @classmethod
    def of(cls, reconstruction: Reconstruction, n_times: int, *, in_volts: bool) -> Growth:
        """Measure a reconstruction.

        Parameters
        ----------
        reconstruction : Reconstruction
            Of what.
        n_times : int
            Number of times, evenly from 0 to 1.
        in_volts : bool
            The potential is one in volts, not in the unit of some file.

        Returns
        -------
        Growth
            What it shows.
        """
        times = np.linspace(0.0, 1.0, n_times)
        totals = total_potential(reconstruction.field, reconstruction.grid, times)
        is_known = in_volts and reconstruction.length_unit == "Å"
        return cls(
            times,
            totals * reconstruction.voxel_size**3,
            is_static=is_static(reconstruction),
            surface=surface_of(reconstruction) if is_known else None,
        )

    @property
    def specimen(self) -> float:
        """Integral of the potential at t = 0 [V·length_unit³]."""
        return float(self.totals[0])

    @property
    def added(self) -> NDArray[np.float64]:
        """`(n,)` integral of the contamination [V·length_unit³]."""
        added: NDArray[np.float64] = self.totals - self.totals[0]
        return added

    @property
    def is_none(self) -> bool:
        """Whether a reconstruction that could show contamination shows none."""
        if self.is_static or not self._is_measured:
            return False
        return bool(np.abs(self.added).max() < _LEAST_GROWTH * self.specimen)

    def percent(self, t: float) -> float | None:
        """Return the contamination at a time as a part of the specimen; None where that means nothing [%]."""
        if self.is_static or not self._is_measured:
            return None
        return float(100 * np.interp(t, self.times, self.added) / self.specimen)

    def thickness(self, t: float) -> float | None:
        """Return the mean thickness of the contamination at a time, as carbon; None where it is not known [nm]."""
        if self.surface is None or self.percent(t) is None:
            return None
        atoms = float(np.interp(t, self.times, self.added)) / CARBON_POTENTIAL
        volume = atoms / (_ATOMS_PER_GRAM * CARBON_DENSITY)
        return max(volume, 0.0) / self.surface / _ANGSTROM_PER_NM

    def line(self, t: float) -> str:
        """Return what a person is told of a time, "" where there is nothing to say."""
        if self.is_static:
            return _STATIC_LINE
        if self.is_none:
            return _NO_GROWTH_LINE
        percent = self.percent(t)
        if percent is None:
            return ""
        thickness = self.thickness(t)
        thick = "" if thickness is None else f", ≈ {two_digits(thickness)} nm"
        return f"Contamination: {two_digits(percent)} % of specimen{thick}"

    @property
    def tip(self) -> str:
        """How the numbers of :meth:`line` are found."""
        if self.is_static:
            return "A static reconstruction has no time: what grew is in its one volume. Train with the preset growth."
        if self.is_none:
            return (
                "The reconstruction shows the same at every time. Images that were normalised one by one hide growth: "
                "give them as recorded."
            )
        part = "Per cent: the sum of the volume at t over that of the volume at t = 0, less 100 %."
        if self.surface is None:
            return (
                f"{part} Nanometres are not told: that takes a specimen whose surface was found and a potential in "
                "volts, which only simulated projections have."
            )
        return (
            f"{part} Nanometres: that sum at {CARBON_POTENTIAL:.0f} V·Å³ for a carbon atom, as amorphous carbon of "
            f"{CARBON_DENSITY:g} g/cm³, spread evenly over the {self.surface / _ANGSTROM_PER_NM**2:.3g} nm² of surface "
            "that the search found; where it grew on one side, it is thicker there."
        )

    @property
    def _is_measured(self) -> bool:
        return bool(np.isfinite(self.totals).all()) and self.specimen > 0


def surface_of(reconstruction: Reconstruction) -> float | None:
    """Return the area of the surface of a specimen inside the view, None where no surface was found [length_unit²]."""
    regions, grid = getattr(reconstruction.field, "regions", None), reconstruction.grid
    if regions is None:
        return None
    margin = grid.margin
    outside = (regions == OUTSIDE).numpy()[:, margin : margin + grid.depth, margin : margin + grid.width]
    if min(outside.shape) < 2:
        return None
    # What a step becomes when it is smoothed rises by 1 across it, however it lies: the slopes add up to the area.
    # The view cuts a specimen that goes on beyond it, and there is no surface there: nothing is beyond the ends.
    smooth = gaussian_filter(outside.astype(np.float32), _SMOOTHING, mode="nearest")
    slopes = np.gradient(smooth)
    area = float(np.sqrt(sum(slope * slope for slope in slopes)).sum(dtype=np.float64))
    return area * grid.voxel_size**2 if area > _LEAST_SURFACE else None


def two_digits(value: float) -> str:
    """Two digits that count, or all before the point: 196, 12, 3.4, 0.25; 0 for what is next to nothing."""
    if abs(value) < 0.005:
        return "0"
    digits = max(0, 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{digits}f}"
