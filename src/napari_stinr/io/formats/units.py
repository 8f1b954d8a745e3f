"""Lengths in the units that files and people give them in."""

from __future__ import annotations

import math

from napari_stinr.errors import StinrError

LENGTH_UNITS = {
    **dict.fromkeys(("å", "a", "ang", "angstrom", "ångström", "ångstrom"), 1.0),
    **dict.fromkeys(("pm", "picometer"), 0.01),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 10.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e10),
}
"""Names of length units, in lower case, and their size [Å]."""

_PIXEL = ("pixel", "pixels")


def in_angstrom(length: float, unit: str) -> float | None:
    """Return the edge of a voxel in Å.

    Parameters
    ----------
    length : float
        Edge of a voxel [unit].
    unit : str
        A name in :data:`LENGTH_UNITS`, or ``"pixel"``.

    Returns
    -------
    float or None
        The same length [Å]; None in pixels, where the physical size is not known.

    Raises
    ------
    StinrError
        The length is not positive or the unit is not known.
    """
    if not math.isfinite(length) or length <= 0:
        raise StinrError(f"the size is {length} {unit}", expected="a positive number", cure="Give the voxel size.")
    name = unit.strip().lower()
    if name not in (*LENGTH_UNITS, *_PIXEL):
        raise StinrError(
            f"the length unit is {unit!r}",
            expected="Å, pm, nm, µm, mm, m or pixel",
            cure="Convert the size to one of these.",
        )
    return None if name in _PIXEL else float(length) * LENGTH_UNITS[name]


def stated_length(value: float | str, unit: str) -> float | None:
    """Return a positive length in a unit such as `nm` or `[n_m]` to six digits [Å], None where it is no length."""
    name = unit.strip().strip("[]").replace("_", "").lower()
    try:
        length = float(value) * LENGTH_UNITS.get(name, 0.0)
    except (TypeError, ValueError):
        return None
    # Headers in single precision hold 33.60000252723694 for 33.6.
    return float(f"{length:.6g}") if math.isfinite(length) and length > 0 else None
