"""Scattering factors of atoms: abTEM's numbers, without the seconds that importing abTEM takes.

abTEM compiles at every import what is not needed here. Its file of parameters is read instead, and the sum of Lobato
and Van Dyck, Acta Cryst. A 70, 636 (2014), is rounded where abTEM rounds it: the values are the same to the last bit.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PARAMETRIZATION = "lobato"
"""The scattering factors that abTEM takes by default."""


@cache
def scattering_factor(number: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return the Fourier transform of the potential of one atom.

    Parameters
    ----------
    number : int
        Atomic number.

    Returns
    -------
    callable
        From squared spatial frequencies [1/Å²] to the transform [V·Å³].
    """
    from ase.data import chemical_symbols

    parameters = _parameters()
    if parameters is None:
        return _of_abtem(chemical_symbols[number])
    return _summed(np.array(parameters[chemical_symbols[number]], dtype=np.float64))


def _summed(parameters: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Sum of five terms with `(2, 5)` amplitudes and widths."""
    amplitudes, widths = parameters
    # abTEM has single precision until the frequencies come in, which are double.
    amplitude = (np.pi**2 * amplitudes / widths**1.5 / _per_volt()).astype(np.float32)
    decay = (2 * np.pi / np.sqrt(widths)).astype(np.float32)
    pi, squared_pi = float(np.float32(np.pi)), float(np.float32(np.pi**2))
    terms = [(float(a / b), float(a * b), float(b * b)) for a, b in zip(amplitude, decay, strict=True)]

    def at(squared: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = 4 * squared_pi * squared
        total = np.zeros_like(scaled)
        for first, second, width in terms:
            total += first / (scaled + width) + second / (scaled + width) ** 2
        return np.asarray(8 * pi * total, dtype=np.float64)

    return at


def _per_volt() -> float:
    """Unitless potential of the parametrization for one of 1 V·Å² [1/(V·Å²)]."""
    from ase import units

    permittivity = units._eps0 * units.A**2 * units.s**4 / (units.kg * units.m**3)
    return float(4 * np.pi * permittivity / (2 * np.pi * units.Bohr * units._e * units.C))


@cache
def _parameters() -> dict[str, Any] | None:
    """Parameters by chemical symbol from the file that is in abTEM; None where it is elsewhere."""
    spec = find_spec("abtem")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = Path(folder, "parametrizations", "data", f"{PARAMETRIZATION}.json")
        if file.is_file():
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return found
    return None


def _of_abtem(symbol: str) -> Callable[[Any], Any]:
    """Return the same from abTEM itself."""
    from abtem.parametrizations import validate_parametrization

    parametrization: Any = validate_parametrization(PARAMETRIZATION)
    # In three dimensions it is the same function as in two: abTEM names it after the projection it is used for.
    found: Callable[[Any], Any] = parametrization.get_function("projected_scattering_factor", symbol)
    return found
