"""Training: it recovers a known specimen, is deterministic, stops, resumes exactly, and honours masks."""

from __future__ import annotations

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers.series_cases import CONTAMINATION, SPECIMEN, blob_projection, blob_volume, growing_series
from napari_stinr import (
    Reconstruction,
    StepReport,
    TiltSeries,
    Trainer,
    load_reconstruction,
    preset_config,
    reconstruct,
)
from napari_stinr.analysis.metrics import correlation, nrmse
from napari_stinr.config import JointFieldConfig, ReconstructionConfig, TrainingConfig
from napari_stinr.errors import StinrError
from napari_stinr.training.batching import Bag
from napari_stinr.training.trainer import TrainingError

SMALL_PAPER = ReconstructionConfig(
    preset="paper",
    field=JointFieldConfig(hidden=32, layers=2, spatial_frequencies=4),
    training=TrainingConfig(batches="rays", rays_per_step=256, density_rate=1e-2),
)
GROWTH = preset_config("growth").with_training(steps=500)


@pytest.fixture(scope="module")
def grown() -> Reconstruction:
    return reconstruct(growing_series(), config=GROWTH, device="cpu", threads=1)


def test_growth_gives_the_clean_specimen_back(grown: Reconstruction) -> None:
    truth = blob_volume(grown.grid.shape, SPECIMEN)
    static = reconstruct(growing_series(), preset="static", steps=120, device="cpu", threads=1)
    ours, theirs = nrmse(grown.render(0.0), truth), nrmse(static.render(0.0), truth)
    assert ours < 0.25
    assert ours < 0.6 * theirs


def test_contamination_and_final_volume_are_found(grown: Reconstruction) -> None:
    carbon = blob_volume(grown.grid.shape, CONTAMINATION)
    # What comes late is seen in few tilts only: a wedge of its own is missing.
    assert correlation(grown.contamination(1.0), carbon) > 0.75
    full = blob_volume(grown.grid.shape, SPECIMEN) + carbon
    assert nrmse(grown.render(1.0), full) < 0.4


def test_arrival_times_are_those_of_the_blobs(grown: Reconstruction) -> None:
    arrival = grown.arrival_time()
    centre = (np.array(arrival.shape) - 1) / 2
    for z, y, x, _, t in CONTAMINATION:
        index = tuple(np.round(centre + np.array([z, y, x])).astype(int))
        assert arrival[index] == pytest.approx(t, abs=0.06)
    for z, y, x, _ in SPECIMEN:
        assert arrival[tuple(np.round(centre + np.array([z, y, x])).astype(int))] < 0


def test_growth_curve_rises_to_all_of_the_contamination(grown: Reconstruction) -> None:
    times, amount = grown.growth_curve(5)
    np.testing.assert_allclose(times, [0, 0.25, 0.5, 0.75, 1])
    assert amount[0] == 0
    assert (np.diff(amount) >= 0).all()
    assert amount[-1] == pytest.approx(grown.contamination(1.0).sum(dtype=float), rel=1e-4)
    assert amount[-1] == pytest.approx(blob_volume(grown.grid.shape, CONTAMINATION).sum(), rel=0.15)


def test_flip_tilt_gives_the_mirror_image_in_z(grown: Reconstruction) -> None:
    flipped = reconstruct(growing_series(flip_tilt=True), config=GROWTH, device="cpu", threads=1)
    assert correlation(flipped.render(0.0)[::-1], grown.render(0.0)) > 0.98
    assert correlation(flipped.render(0.0), grown.render(0.0)) < 0.9


def test_projection_keeps_its_scale_with_the_pixel_size() -> None:
    angles = np.linspace(0, 180, 61)
    fine = TiltSeries(np.stack([blob_projection(9, 25, SPECIMEN, angle) for angle in angles]), angles, pixel_size=0.25)
    volume = reconstruct(fine, preset="static", steps=300, device="cpu", threads=1).render(0.0)
    assert volume.sum() * 0.25 == pytest.approx(float(fine.projections.sum(axis=(1, 2)).mean()), rel=0.05)


def test_same_seed_same_numbers_and_another_seed_others() -> None:
    series = growing_series(n_tilts=61)
    first, second, other = (
        reconstruct(series, steps=15, seed=seed, device="cpu", threads=1).render(0.0) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_threads_do_not_change_the_numbers() -> None:
    series = growing_series(n_tilts=41)
    one, two = (reconstruct(series, steps=15, device="cpu", threads=n).render(0.0) for n in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [GROWTH, preset_config("static"), SMALL_PAPER], ids=["growth", "static", "paper"])
def test_resumed_run_equals_an_uninterrupted_one(config: ReconstructionConfig, tmp_path) -> None:
    series = growing_series(n_tilts=61, width=15, height=7)
    config = config.with_training(steps=14)
    whole = Trainer(series, config, device="cpu", threads=1)
    losses = [report.loss for report in whole.run()]

    interrupted = Trainer(series, config, device="cpu", threads=1)
    first_losses = []
    for report in interrupted.run():
        first_losses.append(report.loss)
        if report.step == 6:
            interrupted.stop()
    interrupted.reconstruction().save(tmp_path / "half.stinr")
    resumed = Trainer.resume(load_reconstruction(tmp_path / "half.stinr"), series, device="cpu", threads=1)
    last_losses = [report.loss for report in resumed.run()]

    assert len(first_losses) == 6
    assert first_losses + last_losses == losses
    np.testing.assert_array_equal(resumed.reconstruction().render(0.3), whole.reconstruction().render(0.3))


@pytest.mark.parametrize("config", [GROWTH, SMALL_PAPER], ids=["growth", "paper"])
def test_preview_is_the_field_alone_and_stays_as_it_was(config: ReconstructionConfig) -> None:
    series = growing_series(n_tilts=21, width=15, height=7)
    trainer = Trainer(series, config, device="cpu", threads=1)
    list(trainer.run(steps=4))
    preview, whole = trainer.reconstruction(with_training_state=False), trainer.reconstruction()
    assert not preview.training_state
    assert preview.provenance == whole.provenance
    with pytest.raises(StinrError, match="no state"):
        Trainer.resume(preview, series, device="cpu", threads=1)
    list(trainer.run(steps=8))
    np.testing.assert_array_equal(preview.render(0.4), whole.render(0.4))
    assert not np.array_equal(preview.render(0.4), trainer.reconstruction().render(0.4))


def test_stack_is_read_once_for_all_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(growing_series(n_tilts=11, width=9, height=3), GROWTH, device="cpu", threads=1)
    readings, fingerprint = [], TiltSeries.fingerprint
    monkeypatch.setattr(TiltSeries, "fingerprint", lambda self: readings.append(1) or fingerprint(self))
    snapshots = [trainer.reconstruction() for _ in range(3)]
    assert {snapshot.provenance["fingerprint"] for snapshot in snapshots} == {fingerprint(trainer.series)}
    assert len(readings) == 1


def test_other_data_are_not_resumed() -> None:
    series = growing_series(n_tilts=11, width=9, height=3)
    trainer = Trainer(series, preset_config("growth"), device="cpu", threads=1)
    next(iter(trainer.run(steps=3)))
    other = TiltSeries(series.projections + 1, series.tilt_angles, series.times, pixel_size=1.0)
    with pytest.raises(StinrError, match="fingerprint"):
        Trainer.resume(trainer.reconstruction(), other)


def test_reports_tell_the_state_of_the_run() -> None:
    reports: list[StepReport] = []
    series = growing_series(n_tilts=21)
    reconstruct(series, steps=100, device="cpu", threads=1, callback=reports.append)
    assert [report.step for report in reports] == list(range(1, 101))
    assert {report.n_steps for report in reports} == {100}
    stages = [stage for stage, _ in itertools.groupby(reports, key=lambda report: report.stage)]
    assert stages == ["surface 1 of 3", "surface 2 of 3", "surface 3 of 3", "volume"]
    volume = [report for report in reports if report.stage == "volume"]
    assert volume[-1].loss < 0.2 * volume[0].loss
    assert volume[-1].relative_residual < 0.5 * volume[0].relative_residual
    rates = [n for n, _ in itertools.groupby(len(report.learning_rates) for report in volume)]
    assert rates == [2, 3, 2]  # density, arrival time, and in the middle the shares of atoms
    assert np.all(np.diff([report.seconds for report in reports]) > 0)


def test_stop_from_another_thread_ends_a_run() -> None:
    trainer = Trainer(growing_series(n_tilts=21), preset_config("growth"), device="cpu", threads=1)
    steps: list[int] = []
    begun = threading.Event()

    def train() -> None:
        for report in trainer.run(steps=100_000):
            steps.append(report.step)
            begun.set()

    worker = threading.Thread(target=train)
    worker.start()
    assert begun.wait(60)
    trainer.stop()
    worker.join(60)
    assert not worker.is_alive()
    assert steps == list(range(1, trainer.step + 1))


def test_seconds_limit_the_run_and_anneal_it_fully(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.count()
    # Every step takes 1/256 s.
    clock = SimpleNamespace(perf_counter=lambda: next(readings) / 256)
    monkeypatch.setattr("napari_stinr.training.trainer.time", clock)
    trainer = Trainer(growing_series(n_tilts=21), preset_config("growth"), device="cpu", threads=1)
    reports = list(trainer.run(seconds=0.75))
    # Each of the three borders of stages takes one reading more.
    assert [report.step for report in reports] == list(range(1, 190))
    assert reports[-1].seconds == 0.75
    assert {report.stage for report in reports} == {"surface 1 of 3", "surface 2 of 3", "surface 3 of 3", "volume"}
    assert reports[-1].learning_rates[0] < 0.1 * max(report.learning_rates[0] for report in reports)


@pytest.mark.parametrize("options", [{"steps": 0}, {"seconds": -1.0}, {"steps": 5, "seconds": 5.0}])
def test_impossible_limits_are_refused(options: dict[str, float]) -> None:
    trainer = Trainer(growing_series(n_tilts=11), preset_config("growth"), device="cpu", threads=1)
    with pytest.raises(StinrError):
        next(iter(trainer.run(**options)))  # type: ignore[arg-type]


def test_masked_pixels_have_no_influence() -> None:
    series = growing_series(n_tilts=31)
    mask = np.ones(series.projections.shape, dtype=bool)
    mask[::3, :, :8] = False
    ruined = np.where(mask, series.projections, 1e4).astype(np.float32)
    gaps = np.where(mask, series.projections, np.nan).astype(np.float32)
    volumes = [
        reconstruct(TiltSeries(data, series.tilt_angles, series.times, pixel_size=1.0, mask=given), steps=100,
                    device="cpu", threads=1).render(0.0)
        for data, given in ((ruined, mask), (gaps, None))
    ]  # fmt: skip
    truth = blob_volume(volumes[0].shape, SPECIMEN)
    for volume in volumes:
        assert correlation(volume, truth) > 0.85


def test_excluded_tilts_have_no_influence() -> None:
    series = growing_series(n_tilts=31)
    ruined = series.projections.copy()
    ruined[[4, 17]] = 1e4
    both = [
        reconstruct(
            TiltSeries(data, series.tilt_angles, series.times, pixel_size=1.0).exclude([4, 17]),
            steps=10, device="cpu", threads=1,
        ).render(0.0)
        for data in (series.projections, ruined)
    ]  # fmt: skip
    np.testing.assert_array_equal(*both)


def test_unused_numbers_come_back_only_after_all_were_drawn() -> None:
    bag, generator = Bag(10, 3), torch.Generator().manual_seed(1)
    for _ in range(3):
        drawn = torch.cat([bag.draw(generator) for _ in range(bag.n_draws)])
        assert sorted(drawn.tolist()) == list(range(10))


def test_loss_that_is_not_finite_ends_the_run_with_a_reason() -> None:
    series = growing_series(n_tilts=11, width=9, height=3)
    trainer = Trainer(series, preset_config("static"), device="cpu", threads=1)
    next(trainer.field.parameters()).data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss is nan at step 1"):
        next(iter(trainer.run()))


def test_paper_preset_learns() -> None:
    reports: list[StepReport] = []
    series = growing_series(n_tilts=21, width=15, height=5)
    reconstruct(series, config=SMALL_PAPER.with_training(steps=80), device="cpu", threads=1, callback=reports.append)
    assert reports[-1].relative_residual < 0.7 * reports[0].relative_residual


@pytest.mark.parametrize("threads", [1, 2])
def test_rays_by_hand_train_as_rays_by_autograd(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    series = growing_series(n_tilts=21, width=15, height=5)
    config = SMALL_PAPER.with_training(precision="float32")

    def losses() -> list[float]:
        return [report.loss for report in Trainer(series, config, device="cpu", threads=threads).run(steps=20)]

    by_hand = losses()
    assert by_hand == losses()
    # A field of another kind goes the general way.
    monkeypatch.setattr("napari_stinr.training.rays.JointField", str)
    np.testing.assert_allclose(by_hand, losses(), rtol=1e-3)


def test_rays_for_a_growth_field_are_refused() -> None:
    with pytest.raises(StinrError, match="rays for a growth field"):
        preset_config("growth").with_training(batches="rays")


@pytest.mark.parametrize("device", ["cuda:7", "tpu"])
def test_unknown_device_lists_those_there_are(device: str) -> None:
    with pytest.raises(StinrError, match="cpu"):
        Trainer(growing_series(n_tilts=11), preset_config("growth"), device=device)


@pytest.mark.gpu
def test_gpu_gives_the_specimen_too() -> None:
    recon = reconstruct(growing_series(), config=GROWTH, device="auto")
    assert nrmse(recon.render(0.0), blob_volume(recon.grid.shape, SPECIMEN)) < 0.25


@pytest.mark.slow
def test_quick_look_is_rough_and_high_quality_is_finer() -> None:
    series = growing_series()
    truth = blob_volume((25, 9, 25), SPECIMEN)
    quick, standard, high = (
        nrmse(
            reconstruct(series, config=preset_config("growth").with_quality(name), device="cpu", threads=1).render(),
            truth,
        )
        for name in ("Quick look", "Standard", "High")
    )
    assert high < standard < quick < 0.5
