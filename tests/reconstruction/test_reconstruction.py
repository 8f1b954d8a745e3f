"""The saved file and what is rendered from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors import safe_open

from helpers.series_cases import growing_series
from napari_stinr import Reconstruction, load_reconstruction, reconstruct
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", params=["growth", "static", "paper"])
def recon(request: pytest.FixtureRequest) -> Reconstruction:
    series = growing_series(n_tilts=21, width=15, height=7, pixel_size=0.8)
    return reconstruct(series, preset=request.param, steps=12, device="cpu", threads=1)


def test_loaded_reconstruction_is_the_saved_one(recon: Reconstruction, tmp_path: Path) -> None:
    recon.save(tmp_path / "run.stinr")
    loaded = load_reconstruction(tmp_path / "run.stinr")
    for t in (0.0, 0.37, 1.0):
        np.testing.assert_array_equal(loaded.render(t), recon.render(t))
    assert (loaded.config, loaded.grid, loaded.step) == (recon.config, recon.grid, 12)
    assert loaded.provenance == recon.provenance
    assert loaded.length_unit == "Å"
    assert [path.name for path in tmp_path.iterdir()] == ["run.stinr"]


def test_header_says_what_it_is_without_our_program(recon: Reconstruction, tmp_path: Path) -> None:
    recon.save(tmp_path / "run.stinr")
    with safe_open(tmp_path / "run.stinr", framework="np") as file:
        header = file.metadata()
    assert header["format"] == "napari-stinr reconstruction"
    assert json.loads(header["grid"])["voxel_size"] == 0.8
    assert json.loads(header["config"])["preset"] == recon.config.preset
    assert json.loads(header["provenance"])["tilts"] == "21"


def test_volume_is_in_the_order_z_y_x_and_contamination_is_a_difference(recon: Reconstruction) -> None:
    volume = recon.render(0.5)
    assert volume.shape == (15, 7, 15)
    assert volume.dtype == np.float32
    np.testing.assert_allclose(recon.contamination(0.5), volume - recon.render(0.0), atol=1e-5)


def test_other_voxel_size_samples_the_same_function(recon: Reconstruction) -> None:
    fine = recon.render(0.2, voxel_size=0.4)
    assert fine.shape == (29, 13, 29)
    np.testing.assert_allclose(fine[::2, ::2, ::2], recon.render(0.2), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("voxel_size", [0.0, -1.0, float("nan")])
def test_impossible_voxel_size_is_refused(recon: Reconstruction, voxel_size: float) -> None:
    with pytest.raises(StinrError, match="voxel size"):
        recon.render(0.0, voxel_size=voxel_size)


def test_time_must_be_a_number(recon: Reconstruction) -> None:
    with pytest.raises(StinrError, match="the time is nan"):
        recon.render(float("nan"))


def test_arrival_time_only_where_there_is_one(recon: Reconstruction) -> None:
    if recon.config.preset == "growth":
        assert recon.arrival_time().shape == recon.grid.shape
    else:
        with pytest.raises(StinrError, match="--preset growth"):
            recon.arrival_time()


def test_static_reconstruction_has_no_contamination(recon: Reconstruction) -> None:
    _, amount = recon.growth_curve(3)
    if recon.config.preset == "static":
        assert np.abs(amount).max() == 0
        assert np.abs(recon.contamination(1.0)).max() == 0
    else:
        assert amount[2] == pytest.approx(recon.contamination(1.0).sum(dtype=float) * 0.8**3, rel=1e-3, abs=1e-3)


def test_others_may_read_what_they_may_read_of_any_file(recon: Reconstruction, tmp_path: Path) -> None:
    recon.save(tmp_path / "run.stinr")
    (tmp_path / "plain.txt").write_text("")
    assert (tmp_path / "run.stinr").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_file_that_is_there_is_kept_where_asked(recon: Reconstruction, tmp_path: Path) -> None:
    target = tmp_path / "run.stinr"
    target.write_text("precious")
    with pytest.raises(StinrError):
        recon.save(target, overwrite=False)
    assert target.read_text() == "precious"


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StinrError, match="there is no file"):
        load_reconstruction(tmp_path / "none.stinr")


def test_pixel_is_the_unit_where_the_pixel_size_is_not_known() -> None:
    series = growing_series(n_tilts=11, width=9, height=3, pixel_size=None)
    recon = reconstruct(series, steps=2, device="cpu", threads=1)
    assert (recon.voxel_size, recon.length_unit) == (1.0, "pixel")
