"""A view smaller than the specimen: what is outside is fitted and not shown."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from helpers.series_cases import VOXELWISE_GROWTH
from napari_stinr import TiltSeries, Trainer, load_reconstruction, preset_config, reconstruct
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.data.notes import NoteKind
from napari_stinr.fields.base import Slices
from napari_stinr.projection.backends import projector_for
from napari_stinr.projection.operator import project_slices
from napari_stinr.projection.views import SliceShape, Views
from napari_stinr.reconstruction.prediction import predict_projections
from napari_stinr.reconstruction.run_file import RunFile, read_run, write_run
from napari_stinr.training.estimates import Speed, expected_memory, expected_seconds, expected_steps
from napari_stinr.training.events import Prepared
from napari_stinr.training.run import Order, drive

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

N_TILTS, HEIGHT, WIDTH, AROUND = 61, 4, 24, 12
GROWTH = preset_config("growth")


def scene(*, grows: bool = True) -> tuple[TiltSeries, NDArray[np.float32], NDArray[np.bool_]]:
    """Series with a view of 24 pixels, `(24, 4, 24)` specimen in it, and the cylinder that every tilt sees.

    Beyond the view lies a ring of matter with gaps: there from the start, or grown from one side to the other.
    """
    random = np.random.default_rng(3)
    n = WIDTH + 2 * AROUND
    z, x = np.meshgrid(*2 * [np.arange(n) - (n - 1) / 2], indexing="ij")
    radius, blobs = np.hypot(z, x), np.zeros((HEIGHT, n, n))
    for _ in range(110):
        row, where = random.integers(HEIGHT), random.uniform(-19, 19, 2)
        blobs[row] += random.uniform(2, 5) * np.exp(-((z - where[0]) ** 2 + (x - where[1]) ** 2) / 2.5)
    specimen, ring = blobs * (radius < 9), blobs * ((radius > 13) & (radius < 20))
    times = np.linspace(0, 1, N_TILTS)
    views = Views.at(np.deg2rad(np.linspace(0, 180, N_TILTS)), times, n_pixels=WIDTH)
    projector = projector_for(SliceShape(n, n, WIDTH, 0.5), device=torch.device("cpu"), threads=1)
    arrival = np.broadcast_to((x + 20) / 40 if grows else np.full_like(x, -1.0), ring.shape)
    parts = (tensor_part(specimen), Slices(*map(as_tensor, (ring, arrival)), width=0.01))
    stack = project_slices(projector, parts, views).numpy()
    series = TiltSeries(stack, np.linspace(0, 180, N_TILTS), times, pixel_size=0.5)
    view = slice(AROUND, AROUND + WIDTH)
    return series, specimen[:, view, view].transpose(1, 0, 2).astype(np.float32), radius[view, view] < WIDTH / 2


def as_tensor(values: NDArray[np.float64]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).contiguous()


def tensor_part(values: NDArray[np.float64]) -> Slices:
    return Slices(as_tensor(values))


def error(volume: NDArray[np.float32], truth: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """NRMSE in the cylinder."""
    chosen = np.broadcast_to(inside[:, None], truth.shape)
    return float(np.linalg.norm((volume - truth)[chosen]) / np.linalg.norm(truth[chosen]))


@pytest.mark.parametrize("grows", [True, False])
def test_what_is_outside_is_not_taken_for_matter_inside(grows: bool) -> None:
    series, truth, inside = scene(grows=grows)
    errors, invented = {}, {}
    for margin in (None, 0.0):
        config = VOXELWISE_GROWTH.with_training(visits=200).with_training(margin=margin)
        run = reconstruct(series, config=config, device="cpu", threads=1)
        assert run.grid.margin == (WIDTH // 2 if margin is None else 0)
        assert run.render().shape == run.contamination().shape == (WIDTH, HEIGHT, WIDTH)
        errors[margin] = error(run.render(), truth, inside)
        invented[margin] = run.contamination().transpose(1, 0, 2)[:, inside].sum() / truth.sum()
    assert errors[None] < 0.7 * errors[0.0]
    # Nothing grows inside: all of it is invented.
    assert invented[None] <= max(0.5 * invented[0.0], 1e-6)
    assert invented[None] < 0.1


def test_what_a_training_says_and_predicts_with_a_margin() -> None:
    series, _, _ = scene()
    events: list[object] = []
    drive(Order(series, GROWTH.with_training(held_out=4, steps=30), device="cpu", threads=1), events.append)
    (prepared,) = [event for event in events if isinstance(event, Prepared)]
    (note,) = prepared.notes
    assert note.kind is NoteKind.MARGIN
    assert "margin of 12 voxels" in note
    trainer = Trainer(series, GROWTH.with_training(held_out=4, steps=30), device="cpu", threads=1)
    losses = [report.held_out_loss for report in trainer.run()]
    seen = [loss for loss in losses if np.isfinite(loss)]
    assert len(seen) == 3
    assert seen[-1] < seen[0]
    run = trainer.reconstruction()
    predicted = predict_projections(run, series, range(series.n_tilts))
    assert predicted.shape == series.projections.shape
    without = replace(run, grid=replace(run.grid, margin=0))
    residuals = [
        np.linalg.norm(predict_projections(which, series, range(series.n_tilts)) - series.projections)
        for which in (run, without)
    ]
    assert residuals[0] < residuals[1], "what is in the margin is part of the projections"


@pytest.mark.parametrize("preset", ["growth", "static", "paper"])
def test_a_run_with_a_margin_is_saved_and_gone_on_with_bit_for_bit(preset: str, tmp_path: Path) -> None:
    series, _, _ = scene()
    config = preset_config(preset).with_training(steps=8)
    whole = reconstruct(series, config=config, device="cpu", threads=1)
    half = Trainer(series, config, device="cpu", threads=1)
    for report in half.run():
        if report.step == 4:
            half.stop()
    half.reconstruction().save(tmp_path / "half.stinr")
    loaded = load_reconstruction(tmp_path / "half.stinr")
    assert loaded.grid == VoxelGrid(WIDTH, HEIGHT, WIDTH, voxel_size=0.5, margin=12)
    resumed = Trainer.resume(loaded, series, device="cpu", threads=1)
    list(resumed.run())
    for t in (0.0, 0.7):
        np.testing.assert_array_equal(resumed.reconstruction().render(t), whole.render(t))


def test_a_run_from_before_margins_is_gone_on_with_without_one(tmp_path: Path) -> None:
    series, _, _ = scene()
    config = VOXELWISE_GROWTH.with_training(steps=8, margin=0.0)
    trainer = Trainer(series, config, device="cpu", threads=1)
    for report in trainer.run():
        if report.step == 4:
            trainer.stop()
    trainer.reconstruction().save(tmp_path / "run.stinr")
    content = read_run(tmp_path / "run.stinr", lambda header, shapes: None)
    header = {name: text for name, text in content.header.items() if name != "checksum"}
    for name, part in (("config", "training"), ("grid", None)):
        values = json.loads(header[name])
        del (values if part is None else values[part])["margin"]
        header[name] = json.dumps(values)
    write_run(tmp_path / "old.stinr", RunFile(header, content.tensors))
    old = load_reconstruction(tmp_path / "old.stinr")
    assert old.grid.margin == 0
    assert old.config.training.margin is None
    resumed = Trainer.resume(old, series, device="cpu", threads=1)
    assert resumed.grid.margin == 0
    assert "without a margin" in resumed.notes[0]
    list(resumed.run())
    whole = reconstruct(series, config=config, device="cpu", threads=1)
    np.testing.assert_array_equal(resumed.reconstruction().render(), whole.render())


def test_where_the_specimen_ends_inside_there_is_no_margin_and_no_note() -> None:
    series, truth, _ = scene()
    views = Views.of(series)
    projector = projector_for(SliceShape(WIDTH, WIDTH, WIDTH, 0.5), device=torch.device("cpu"), threads=1)
    stack = project_slices(projector, (tensor_part(truth.transpose(1, 0, 2)),), views).numpy()
    trainer = Trainer(replace(series, projections=stack), GROWTH, device="cpu", threads=1)
    assert trainer.grid.margin == 0
    assert all(note.kind is not NoteKind.MARGIN for note in trainer.notes)


def test_estimates_count_the_margin() -> None:
    speed = Speed(samples=1e7, static_voxels=1e8, growth_voxels=2e7, parameters=1e8)
    shape = (61, 64, 64)
    for estimate in (expected_memory, lambda *values, **options: expected_seconds(*values, speed, **options)):
        narrow, wide = estimate(shape, VOXELWISE_GROWTH), estimate(shape, VOXELWISE_GROWTH, reaches_edge=True)
        assert 1.5 * narrow < wide < 5 * narrow
        assert estimate(shape, VOXELWISE_GROWTH.with_training(margin=0.5)) == wide
        assert estimate(shape, VOXELWISE_GROWTH.with_training(margin=0.0), reaches_edge=True) == narrow
    series, _, _ = scene()
    trainer = Trainer(series, GROWTH.with_training(visits=2, voxels_per_step=4_000), device="cpu", threads=1)
    (*_, report) = trainer.run()
    assert report.n_steps == expected_steps(series.projections.shape, trainer.config, reaches_edge=True)
