"""What a run will need is told before it starts, with the binning that fits."""

from __future__ import annotations

import re

import pytest

from napari_stinr import preset_config
from napari_stinr.plugin.session.requirements import Estimate, estimate_run
from napari_stinr.training.estimates import Speed, expected_memory, expected_steps

GROWTH = preset_config("growth")
LARGE = (121, 1024, 1024)
SPEED = Speed(static_voxels=1e8, growth_voxels=5e7, parameters=1e8, samples=1e6)


@pytest.fixture(autouse=True)
def _full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No volume may lie on files."""
    monkeypatch.setattr("napari_stinr.training.fits.free_disk", lambda path: 0)


def estimate(available: float, *, binning: int = 1, speed: Speed | None = SPEED) -> Estimate:
    return estimate_run(LARGE, GROWTH, binning=binning, available=int(available), speed=speed)


def test_what_fits_is_no_problem_and_is_told_in_one_line() -> None:
    found = estimate(1e12)
    assert found.problem == ""
    assert found.text.startswith("1024 × 1024 × 1024 voxels, ")
    assert f"{found.steps} steps" in found.text
    assert "1000.0 GB free" in found.text


@pytest.mark.parametrize("part", [0.05, 0.2, 0.6])
def test_the_binning_that_is_proposed_fits_and_a_smaller_one_does_not(part: float) -> None:
    available = part * expected_memory(LARGE, GROWTH)
    found = estimate(available)
    binning = int(re.search(r"Binning on the page Series to (\d+)", found.problem)[1])
    assert estimate(available, binning=binning).problem == ""
    assert estimate(available, binning=binning - 1).problem


def test_a_fifth_of_the_memory_is_left_to_others() -> None:
    memory = expected_memory(LARGE, GROWTH)
    assert estimate(1.24 * memory).problem
    assert not estimate(1.26 * memory).problem


def test_on_files_the_disk_is_told_too_and_is_what_may_be_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    misfit = estimate(22e9)
    assert 0 < misfit.memory < 0.8 * 22e9
    assert misfit.disk > misfit.free_disk or "of the disk of" in misfit.problem
    for where in ("fits", "requirements"):
        monkeypatch.setattr(f"napari_stinr.training.{where}.free_disk", lambda path: 200 * 10**9)
    fits = estimate(22e9)
    assert not fits.problem
    assert re.search(r"of 22\.0 GB free and 63\.\d GB of 200\.0 GB on the disk of /.*, about", fits.text)


def test_no_binning_fits_into_next_to_nothing_and_another_cure_is_given() -> None:
    problem = estimate(1e6).problem
    assert "no binning up to 16" in problem
    assert "close other programs" in problem.lower()


def test_binning_saves_memory_steps_and_time() -> None:
    fine, coarse = estimate(1e12), estimate(1e12, binning=4)
    assert coarse.shape == (121, 256, 256)
    assert coarse.memory < fine.memory / 10
    assert coarse.seconds < fine.seconds / 10
    assert coarse.steps == expected_steps((121, 256, 256), GROWTH)


def test_a_machine_twice_as_fast_takes_half_the_time() -> None:
    twice = Speed(2 * SPEED.static_voxels, 2 * SPEED.growth_voxels, 2 * SPEED.parameters, 2 * SPEED.samples)
    assert estimate(1e12, speed=twice).seconds == pytest.approx(estimate(1e12).seconds / 2)


def test_time_of_a_device_that_was_not_measured_is_not_invented() -> None:
    found = estimate(1e12, speed=None)
    assert found.seconds is None
    assert "time not known" in found.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (42.4, "42 s"), (89.0, "89 s"), (95.0, "2 min"), (3600.0, "60 min"), (7200.0, "2.0 h")],
)
def test_time_is_told_as_people_tell_it(seconds: float, text: str) -> None:
    found = Estimate((61, 10, 20), 300, 40_000_000, 2_000_000_000, seconds)
    assert found.text == f"20 × 10 × 20 voxels, 300 steps: about 40 MB of 2.0 GB free, about {text}"


def test_a_margin_is_told_before_the_start() -> None:
    plain = estimate_run((61, 40, 64), GROWTH, binning=2, available=10**10, speed=None)
    wide = estimate_run((61, 40, 64), GROWTH, binning=2, available=10**10, speed=None, reaches_edge=True)
    assert "margin" not in plain.text
    assert "32 × 20 × 32 voxels with a margin of 16 not shown" in wide.text
    assert wide.memory > plain.memory
