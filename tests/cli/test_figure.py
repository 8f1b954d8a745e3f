"""The figure of the demo, read back as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.image import imread

from napari_stinr.cli.figure import BACKGROUND, CONTAMINATION_COLOUR, GAMMA, Panel, composite, views, write_figure
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (20, 12, 20)
DARK = np.array([int(BACKGROUND[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def ball(z: float, x: float, radius: float) -> np.ndarray:
    at_z, at_y, at_x = np.indices(SHAPE)
    return ((at_z - z) ** 2 + (at_y - 5.5) ** 2 + (at_x - x) ** 2 < radius**2).astype(np.float32)


def small_series() -> TiltSeries:
    projections = np.random.default_rng(0).random((7, SHAPE[1], SHAPE[2]), dtype=np.float32)
    return TiltSeries(projections, np.linspace(0, 180, 7), pixel_size=0.5)


def draw(path: Path, panels: list[Panel], **options: object) -> np.ndarray:
    write_figure(path, panels, series=small_series(), truth=ball(9.5, 9.5, 5), voxel_size=0.5, **options)
    return imread(path)[..., :3]


def orange_pixels(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] > 0.3) & (image[..., 0] > 2 * image[..., 2])


def test_the_picture_is_dark_and_has_one_column_for_each_panel(tmp_path: Path) -> None:
    truth = ball(9.5, 9.5, 5)
    two = draw(tmp_path / "two.png", [Panel("a", truth), Panel("b", truth)])
    three = draw(tmp_path / "three.png", [Panel("a", truth), Panel("b", truth), Panel("c", truth)])
    assert two.shape[0] == three.shape[0]
    assert three.shape[1] / two.shape[1] == pytest.approx(4 / 3, rel=0.03)
    np.testing.assert_allclose(two[0, 0], DARK, atol=1 / 255)
    assert np.median(two) < 0.2


def test_contamination_is_orange_and_only_where_it_is(tmp_path: Path) -> None:
    truth, carbon = ball(9.5, 9.5, 5), ball(9.5, 1.5, 2)
    clean = draw(tmp_path / "clean.png", [Panel("clean", truth), Panel("truth", truth)])
    dirty = draw(tmp_path / "dirty.png", [Panel("dirty", truth, carbon), Panel("truth", truth)])
    assert not orange_pixels(clean).any()
    columns = np.flatnonzero(orange_pixels(dirty).any(axis=0))
    # All of it is in the second of three columns.
    assert columns.min() > dirty.shape[1] * 0.33
    assert columns.max() < dirty.shape[1] * 0.68


def test_the_scale_bar_is_as_long_as_it_says(tmp_path: Path) -> None:
    # 20 voxels of 0.5 Å are 10 Å; the bar is the largest of 1, 2, 5, ... below 30 %: 2 Å, a fifth of the column.
    image = draw(tmp_path / "figure.png", [Panel("truth", np.zeros(SHAPE, dtype=np.float32))])
    lower_right = image[image.shape[0] // 2 :, image.shape[1] * 2 // 3 :].min(axis=-1) > 0.8
    column_width = 2.4 * 160
    assert lower_right.sum(axis=1).max() == pytest.approx(column_width / 5, abs=2)


def test_the_same_data_make_the_same_bytes(tmp_path: Path) -> None:
    panels = [Panel("truth", ball(9.5, 9.5, 5), caption="caption")]
    draw(tmp_path / "first.png", panels)
    draw(tmp_path / "second.png", panels)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_a_volume_on_another_grid_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(StinrError, match=r"'coarse' has the shape \(2, 2, 2\); expected \(20, 12, 20\)"):
        draw(tmp_path / "figure.png", [Panel("coarse", np.zeros((2, 2, 2), dtype=np.float32))])
    assert not list(tmp_path.iterdir())


def test_views_are_seen_as_the_beam_sees_them() -> None:
    volume = np.zeros(SHAPE, dtype=np.float32)
    volume[3, 7, 15] = 1
    along_z, along_y, along_x = views(volume)
    assert [np.argwhere(view).tolist() for view in (along_z, along_y, along_x)] == [[[7, 15]], [[3, 15]], [[7, 3]]]


def test_composite_of_specimen_and_contamination() -> None:
    specimen, carbon = np.array([[1.0, 0.0, 0.5, -1.0]]), np.array([[0.0, 1.0, 0.5, 0.0]])
    white, orange, mixed, nothing = composite(specimen, carbon, white=1.0)[0]
    np.testing.assert_allclose(white, 1)
    np.testing.assert_allclose(orange, CONTAMINATION_COLOUR)
    np.testing.assert_allclose(mixed, (white + orange) / 2)
    np.testing.assert_allclose(nothing, DARK)
    half = composite(np.array([[0.5]]), None, white=1.0)[0, 0]
    np.testing.assert_allclose(half, DARK + 0.5**GAMMA * (1 - DARK))
