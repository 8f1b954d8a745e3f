"""Stacks of nothing but noise, or of less than nothing: trained, or refused in words; never an error of torch."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import napari_stinr as stinr
from helpers.cli_cases import start
from helpers.series_cases import growing_series
from napari_stinr.config import preset_config
from napari_stinr.data.measurements import Measurements
from napari_stinr.data.notes import NoteKind
from napari_stinr.data.only_noise import matter_notes, noise_notes
from napari_stinr.io import write_tilt_angles, write_tilt_series
from napari_stinr.training.optimisers import RowwiseAdam

if TYPE_CHECKING:
    from pathlib import Path

SIZES = [(12, 4, 6), (9, 2, 5), (21, 12, 12)]
SEEDS = range(3)
REFUSED = r"shows nothing but noise; expected projections in which a specimen stands out\."


def noise(shape: tuple[int, int, int], *, seed: int, mean: float = 0.0, scale: float = 1.0) -> stinr.TiltSeries:
    stack = (scale * np.random.default_rng(seed).normal(mean, 1, shape)).astype(np.float32)
    return stinr.TiltSeries(stack, np.linspace(-60, 60, shape[0]), np.linspace(0, 1, shape[0]))


def kinds(series: stinr.TiltSeries) -> list[NoteKind]:
    data = Measurements.of(series)
    return [note.kind for note in (*matter_notes(data), *noise_notes(data, series.name))]


@pytest.mark.parametrize(("size", "preset"), list(itertools.product(SIZES, ["growth", "static"])))
def test_noise_is_trained_with_a_note_or_refused(
    size: tuple[int, int, int], preset: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    outcomes = [trained(noise(size, seed=seed), preset, caplog) for seed in SEEDS]
    assert all(outcomes)


def trained(series: stinr.TiltSeries, preset: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return what a person is told of noise."""
    caplog.clear()
    try:
        # What is moved is interpolated, and no white noise any more.
        volume = stinr.reconstruct(series, preset=preset, steps=6, threads=1, align="off").render(t=0)
    except stinr.StinrError as error:
        return "refused" if "shows nothing but noise" in str(error) else ""
    assert np.isfinite(volume).all()
    return "noted" if "stands out of their noise" in caplog.text else ""


def test_noise_in_which_no_frequency_counts_is_refused_before_a_step() -> None:
    told: list[Any] = []
    with pytest.raises(stinr.StinrError, match=REFUSED):
        stinr.reconstruct(noise((12, 4, 6), seed=1), preset="static", threads=1, callback=told.append)
    assert not told


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_that_is_aligned_first_ends_in_no_error_of_torch(seed: int) -> None:
    assert np.isfinite(stinr.reconstruct(noise((21, 12, 12), seed=seed), steps=6, threads=1).render(t=0)).all()


def test_noise_is_trained_where_it_counts_as_much_as_the_rest() -> None:
    config = preset_config("static")
    config = config.model_copy(update={"training": config.training.model_copy(update={"suppress_noise": False})})
    reconstruction = stinr.reconstruct(noise((12, 4, 6), seed=1), config=config, steps=20, threads=1)
    assert np.ptp(reconstruction.render(t=0)) > 0.01


@pytest.mark.parametrize(("mean", "scale"), [(-0.5, 1.0), (-5.0, 1.0), (-5.0, 1e20), (-5.0, 1e-20)])
def test_projections_below_zero_are_told_and_do_not_end_in_an_error(
    mean: float, scale: float, caplog: pytest.LogCaptureFixture
) -> None:
    config = preset_config("growth").with_preprocessing(background="off")
    caplog.set_level(logging.WARNING)
    series = noise((20, 8, 8), seed=3, mean=mean, scale=scale)
    volume = stinr.reconstruct(series, config=config, steps=12, threads=1).render(t=0)
    assert np.isfinite(volume).all()
    assert "below zero than above" in caplog.text


def test_command_refuses_noise_in_one_line(tmp_path: Path) -> None:
    series = noise((12, 4, 6), seed=1)
    write_tilt_series(tmp_path / "noise.mrc", series.projections, pixel_size=0.5)
    write_tilt_angles(tmp_path / "noise.rawtlt", series.tilt_angles)
    words = ["train", tmp_path / "noise.mrc", "--times", "sequential", "--align", "off", "--out", tmp_path / "a.stinr"]
    process = start(*words, "--threads", 1)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "shows nothing but noise" in said
    assert "Traceback" not in said
    assert not (tmp_path / "a.stinr").exists()


def test_a_specimen_has_no_note_even_under_three_times_as_much_noise() -> None:
    series = growing_series(n_tilts=31)
    generator = np.random.default_rng(0)
    for part in (0.0, 1.0, 3.0):
        stack = series.projections + generator.normal(0, part * series.projections.std(), series.projections.shape)
        assert kinds(stinr.TiltSeries(stack, series.tilt_angles, series.times)) == []


def test_noise_and_negative_noise_have_a_note() -> None:
    assert kinds(noise((21, 16, 16), seed=0)) == [NoteKind.NOISE]
    assert kinds(noise((21, 16, 16), seed=0, mean=-1.0)) == [NoteKind.NOISE] * 2


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_a_step_that_has_seen_nothing_moves_no_row(sparse: bool) -> None:
    values = torch.nn.Parameter(torch.ones(6, 1, 3, 4))
    optimiser = RowwiseAdam([{"params": [values], "lr": 0.1, "by_rows": True}])
    empty = torch.sparse_coo_tensor(
        torch.zeros(1, 0, dtype=torch.int64), torch.zeros(0, 1, 3, 4), values.shape, check_invariants=True
    )
    values.grad = empty if sparse else torch.zeros_like(values)
    optimiser.step()
    assert torch.equal(values, torch.ones_like(values))
