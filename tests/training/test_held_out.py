"""Held-out projections: never trained on, evenly spread, and a judge of the model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.series_cases import VOXELWISE_GROWTH, growing_series
from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.config import JointFieldConfig, ReconstructionConfig, TrainingConfig
from napari_stinr.errors import StinrError
from napari_stinr.training.held_out import HELD_OUT_EVERY, HELD_OUT_ROWS, HeldOut, evenly_spread, held_out_tilts

if TYPE_CHECKING:
    from napari_stinr.training.schedule import StepReport

PAPER = ReconstructionConfig(
    preset="paper",
    field=JointFieldConfig(hidden=32),
    training=TrainingConfig(batches="rays", rays_per_step=256, density_rate=1e-2),
)
ALL_PRESETS = pytest.mark.parametrize(
    "config", [VOXELWISE_GROWTH, preset_config("static"), PAPER], ids=["growth", "static", "paper"]
)


def train(series, config: ReconstructionConfig, **changes: int) -> list[StepReport]:
    return list(Trainer(series, config.with_training(**changes), device="cpu", threads=1).run())


def held_out_losses(reports: list[StepReport]) -> list[float]:
    return [report.held_out_loss for report in reports if not math.isnan(report.held_out_loss)]


@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
def test_spread_over_time_and_never_the_first_or_last(order: str) -> None:
    times = np.linspace(0, 1, 41)
    if order != "forward":
        times = times[::-1] if order == "backward" else np.random.default_rng(3).permutation(times)
    chosen = held_out_tilts(times, np.ones(41, dtype=bool), 5, early=3)
    when = np.sort(times[chosen])
    assert len(set(chosen)) == 5
    assert list(chosen) == sorted(chosen)
    assert when[0] > times[np.argsort(times)[2]]
    assert when[-1] < 1
    np.testing.assert_allclose(np.diff(when), 0.185, atol=0.02)


def test_only_used_projections_are_held_out() -> None:
    used = np.arange(20) % 2 == 1
    chosen = held_out_tilts(np.linspace(0, 1, 20), used, 4, early=2)
    assert used[chosen].all()
    assert not set(chosen) & {1, 3, 19}


@pytest.mark.parametrize(("n_tilts", "n", "early", "most"), [(8, 5, 3, 4), (6, 4, 0, 3), (5, 3, 0, 2), (4, 1, 5, 0)])
def test_enough_is_left_to_train_on(n_tilts: int, n: int, early: int, most: int) -> None:
    times, used = np.linspace(0, 1, n_tilts), np.ones(n_tilts, dtype=bool)
    with pytest.raises(StinrError, match=f"{n} of {n_tilts} projections .* at most {most}"):
        held_out_tilts(times, used, n, early=early)
    assert len(held_out_tilts(times, used, most, early=early)) == most


def test_too_many_are_refused_before_training() -> None:
    with pytest.raises(StinrError, match=r"training\.held_out"):
        Trainer(growing_series(n_tilts=11), preset_config("growth").with_training(held_out=8), device="cpu")


@pytest.mark.parametrize(("n_items", "n"), [(40, 16), (7, 16), (16, 16), (9, 1), (1, 0)])
def test_positions_differ_and_lie_symmetrically(n_items: int, n: int) -> None:
    positions = evenly_spread(n_items, n)
    assert len(set(positions)) == min(n, n_items)
    assert all(0 <= position < n_items for position in positions)
    if n:
        assert np.mean(positions) == pytest.approx((n_items - 1) / 2, abs=0.6)


def test_few_rows_are_looked_at() -> None:
    held = HeldOut.of(growing_series(n_tilts=11, height=50), np.array([4, 7]))
    assert held is not None
    assert held.measured.shape == (2, HELD_OUT_ROWS, 25)


@ALL_PRESETS
def test_garbage_in_held_out_projections_changes_nothing_but_their_loss(config: ReconstructionConfig) -> None:
    series = growing_series(n_tilts=41, width=15, height=7)
    chosen = held_out_tilts(series.times, series.used, 4, early=config.training.early_tilts)
    garbage = series.projections.copy()
    garbage[chosen] = np.random.default_rng(0).normal(0, 300, garbage[chosen].shape)
    clean, ruined = (
        train(data, config, steps=20, held_out=4) for data in (series, replace(series, projections=garbage))
    )
    assert [(r.loss, r.relative_residual, r.learning_rates) for r in clean] == [
        (r.loss, r.relative_residual, r.learning_rates) for r in ruined
    ]
    assert len(held_out_losses(clean)) == 2
    assert min(held_out_losses(ruined)) > 10 * max(held_out_losses(clean))


@ALL_PRESETS
def test_looking_at_them_does_not_change_the_training(config: ReconstructionConfig) -> None:
    series = growing_series(n_tilts=41, width=15, height=7)
    chosen = held_out_tilts(series.times, series.used, 4, early=config.training.early_tilts)
    without = train(series.exclude(chosen), config, steps=12)
    held_out = train(series, config, steps=12, held_out=4)
    assert [report.loss for report in held_out] == [report.loss for report in without]
    assert not held_out_losses(without)


def test_reconstruction_says_which_were_held_out() -> None:
    trainer = Trainer(growing_series(n_tilts=11), preset_config("static").with_training(held_out=2), device="cpu")
    assert trainer.held_out == (2, 7)
    assert trainer.reconstruction().provenance["held_out"] == "2, 7"


def test_masked_pixels_of_held_out_projections_do_not_count() -> None:
    series = growing_series(n_tilts=21, width=15, height=7)
    chosen = held_out_tilts(series.times, series.used, 3, early=3)
    ruined, mask = series.projections.copy(), np.ones(series.projections.shape, dtype=bool)
    ruined[chosen, :, :3], mask[chosen, :, :3] = 1e4, False
    gaps = np.where(mask, ruined, np.nan)
    first, second = (
        train(replace(series, projections=data, mask=given), preset_config("growth"), steps=10, held_out=3)[-1]
        for data, given in ((ruined, mask), (gaps, None))
    )
    assert first.held_out_loss == second.held_out_loss < 1


@pytest.fixture(scope="module")
def growth_reports() -> list[StepReport]:
    return train(growing_series(), VOXELWISE_GROWTH, steps=300, held_out=6)


def test_loss_falls_with_the_training_loss_at_every_tenth_step(growth_reports: list[StepReport]) -> None:
    looks = [report.step for report in growth_reports if not math.isnan(report.held_out_loss)]
    losses = held_out_losses(growth_reports)
    assert looks == list(range(HELD_OUT_EVERY, 301, HELD_OUT_EVERY))
    assert losses[-1] < 0.3 * losses[0]
    # One scale: unseen projections are predicted worse than those that were fitted, but not in another unit.
    assert growth_reports[-1].loss < losses[-1] < 20 * growth_reports[-1].loss


def test_static_model_predicts_growing_data_worse(growth_reports: list[StepReport]) -> None:
    static = train(growing_series(), preset_config("static"), steps=300, held_out=6)
    assert held_out_losses(static)[-1] > 2 * held_out_losses(growth_reports)[-1]


@ALL_PRESETS
def test_resumed_run_goes_on_exactly(config: ReconstructionConfig, tmp_path) -> None:
    series = growing_series(n_tilts=21, width=15, height=7)
    config = config.with_training(steps=20, held_out=3)
    whole = train(series, config)
    interrupted = Trainer(series, config, device="cpu", threads=1)
    for report in interrupted.run():
        if report.step == 13:
            interrupted.stop()
    interrupted.reconstruction().save(tmp_path / "half.stinr")
    resumed = list(Trainer.resume(load_reconstruction(tmp_path / "half.stinr"), series, device="cpu", threads=1).run())
    assert [report.loss for report in resumed] == [report.loss for report in whole[13:]]
    assert held_out_losses(resumed) == held_out_losses(whole)[1:]


def test_a_search_for_a_surface_does_not_see_them() -> None:
    series = growing_series(n_tilts=21, width=16, height=7)
    config = preset_config("growth").with_training(steps=25, held_out=3)
    chosen = held_out_tilts(series.times, series.used, 3, early=config.training.early_tilts)
    ruined = series.projections.copy()
    ruined[chosen] = 1e3
    clean, other = (train(data, config) for data in (series, replace(series, projections=ruined)))
    assert [report.loss for report in clean] == [report.loss for report in other]
    assert {report.stage for report in clean if not math.isnan(report.held_out_loss)} == {"volume"}
