"""Predicted projections: against a slow oracle, against what training compares, and against the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.oracles import project_slice
from helpers.series_cases import growing_series
from napari_stinr import Reconstruction, TiltSeries, Trainer, preset_config, reconstruct
from napari_stinr.errors import StinrError
from napari_stinr.reconstruction.prediction import predict_projections
from napari_stinr.reconstruction.rendering import potential_at

PIXEL_SIZE = 0.8


def series_of(n_tilts: int = 21, **options: object) -> TiltSeries:
    return growing_series(n_tilts=n_tilts, width=13, height=5, pixel_size=PIXEL_SIZE, axis_offset=0.7, **options)


@pytest.fixture(scope="module", params=["growth", "static", "paper"])
def recon(request: pytest.FixtureRequest) -> Reconstruction:
    return reconstruct(series_of(), preset=request.param, steps=40, device="cpu", threads=1)


@pytest.mark.parametrize("flip_tilt", [False, True])
def test_every_voxel_lands_where_the_oracle_puts_it(recon: Reconstruction, flip_tilt: bool) -> None:
    series, tilts = series_of(flip_tilt=flip_tilt), [17, 2]
    predicted = predict_projections(recon, series, tilts)
    for image, tilt in zip(predicted, tilts, strict=True):
        volume = potential_at(recon.field, recon.grid.fitted, float(series.times[tilt]))
        for y in (0, 3):
            line = project_slice(volume[:, y].astype(float), series.ray_angles_rad[tilt], series.width, 0.7, PIXEL_SIZE)
            # At the ends of a line the blur of projections goes on beyond the view, that of the volume does not.
            np.testing.assert_allclose(image[y][3:-3], line[3:-3], rtol=1e-3, atol=5e-3 * np.abs(line).max())


def test_tilts_come_in_the_order_asked_for_and_threads_do_not_matter(recon: Reconstruction) -> None:
    series = series_of()
    three = predict_projections(recon, series, [9, 0, 20])
    assert three.shape == (3, 5, 13)
    assert three.dtype == np.float32
    np.testing.assert_array_equal(three[1:], predict_projections(recon, series, [0, 20], threads=2))
    assert predict_projections(recon, series, []).shape == (0, 5, 13)


@pytest.mark.parametrize("preset", ["growth", "static"])
def test_residual_is_that_of_the_training(preset: str) -> None:
    series = series_of(n_tilts=12)
    config = preset_config(preset).with_training(steps=30, tilts_per_step=12)
    trainer = Trainer(series, config.voxelwise(), device="cpu", threads=1)
    list(trainer.run())
    snapshot = trainer.reconstruction(with_training_state=False)
    # One block takes in all rows and tilts, and it is compared before the field changes.
    _, relative = trainer._volume.objective.loss(trainer.field, torch.Generator())
    residual = predict_projections(snapshot, series, range(12)) - series.projections
    found = np.linalg.norm(residual) / np.linalg.norm(series.projections)
    assert found == pytest.approx(float(relative), rel=1e-4)


def test_what_was_measured_is_predicted() -> None:
    series = growing_series()
    growth, static = (
        predict_projections(reconstruct(series, preset=preset, steps=300, device="cpu", threads=1), series, range(61))
        for preset in ("growth", "static")
    )
    errors = [
        np.linalg.norm(found - series.projections) / np.linalg.norm(series.projections) for found in (growth, static)
    ]
    assert errors[0] < 0.08
    assert errors[0] < 0.6 * errors[1]


def test_large_volumes_go_in_blocks_of_rows(monkeypatch: pytest.MonkeyPatch, recon: Reconstruction) -> None:
    whole = predict_projections(recon, series_of(), [3, 11])
    monkeypatch.setattr("napari_stinr.reconstruction.rendering.RENDERED_AT_ONCE", 2 * 13 * 13)
    np.testing.assert_allclose(predict_projections(recon, series_of(), [3, 11]), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tilts", [[21], [0, -1]])
def test_tilts_must_be_in_the_stack(recon: Reconstruction, tilts: list[int]) -> None:
    with pytest.raises(StinrError, match="from 0 to 20"):
        predict_projections(recon, series_of(), tilts)


def test_series_of_another_size_is_refused(recon: Reconstruction) -> None:
    for other in (growing_series(n_tilts=21, pixel_size=PIXEL_SIZE), replace(series_of(), pixel_size=0.4)):
        with pytest.raises(StinrError, match="as the reconstruction has"):
            predict_projections(recon, other, [0])
