"""Scattering factors are abTEM's, and cost none of its import."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from napari_stinr.simulation import scattering


@pytest.mark.parametrize("number", [1, 6, 26, 29, 40, 52, 78, 92])
def test_a_scattering_factor_is_that_of_abtem_to_the_last_bit(number: int) -> None:
    from abtem.parametrizations import validate_parametrization
    from ase.data import chemical_symbols

    squared = np.random.default_rng(number).uniform(0, 4, size=(50, 60))
    parametrization = validate_parametrization("lobato")
    theirs = parametrization.get_function("projected_scattering_factor", chemical_symbols[number])(squared)
    np.testing.assert_array_equal(scattering.scattering_factor(number)(squared), theirs)


def test_where_abtem_keeps_its_numbers_elsewhere_it_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    squared = np.linspace(0, 4, 100)[:, None]
    ours = scattering.scattering_factor(6)(squared)
    scattering.scattering_factor.cache_clear()
    monkeypatch.setattr(scattering, "_parameters", lambda: None)
    try:
        np.testing.assert_array_equal(scattering.scattering_factor(6)(squared), ours)
    finally:
        scattering.scattering_factor.cache_clear()


def test_a_simulation_does_not_wait_for_abtem() -> None:
    code = (
        "import sys; from napari_stinr.simulation import SimulationConfig, simulate\n"
        "simulate(SimulationConfig(grid=(24, 16, 24), tilt_step=60.0)); sys.exit('abtem' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
