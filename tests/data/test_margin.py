"""Whether matter reaches the edge of the view, found from the projections alone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr import TiltSeries
from napari_stinr.data.geometry import VoxelGrid, grid_of
from napari_stinr.data.margin import EdgeMatter, fitted_grid, margin_voxels
from napari_stinr.data.notes import NoteKind
from napari_stinr.errors import StinrError

N_TILTS, HEIGHT, WIDTH = 31, 12, 40


def rod(radius: float, *, noise: float = 0.0, background: float = 0.0) -> np.ndarray:
    """`(n_tilts, height, width)` projections of a rod along the tilt axis, 6 pixels off it, for half a turn."""
    angles = np.linspace(0, np.pi, N_TILTS)
    u = np.arange(WIDTH) - (WIDTH - 1) / 2
    chord = 2 * np.sqrt(np.clip(radius**2 - (u - 6 * np.cos(angles)[:, None]) ** 2, 0, None))
    stack = np.repeat(chord[:, None], HEIGHT, axis=1)
    random = np.random.default_rng(5)
    return (stack + background + noise * stack.max() * random.normal(size=stack.shape)).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("background", [0.0, 100.0, -30.0])
def test_a_rod_that_ends_inside_asks_for_no_margin_and_a_wider_one_does(noise: float, background: float) -> None:
    inside = EdgeMatter.of(rod(11.5, noise=noise, background=background))
    beyond = EdgeMatter.of(rod(17, noise=noise, background=background))
    assert not inside.is_there
    assert inside.margin(WIDTH, None) == 0
    assert inside.note(0) is None
    assert beyond.is_there
    assert beyond.margin(WIDTH, None) == WIDTH // 2
    # Its edge is 17 pixels from its axis, the outermost columns are 18 to 20 pixels from that of rotation.
    distance = np.abs(6 * np.cos(np.linspace(0, np.pi, N_TILTS)))
    assert np.count_nonzero(distance > 3) <= beyond.n_reaching <= np.count_nonzero(distance > 1)


def test_matter_everywhere_in_the_image_is_seen_by_how_it_changes_with_the_tilt() -> None:
    thickness = 5 / np.cos(np.linspace(-1, 1, N_TILTS))
    film = np.broadcast_to(thickness[:, None, None], (N_TILTS, HEIGHT, WIDTH)).astype(np.float32)
    assert EdgeMatter.of(film).is_there
    assert not EdgeMatter.of(np.full_like(film, 5.0)).is_there, "a background is the same at every tilt"
    assert not EdgeMatter.of(np.zeros_like(film)).is_there


def test_the_edge_is_where_pixels_count() -> None:
    stack = rod(8)
    stack[:, :, :3] = stack[:, :, -3:] = 50.0
    mask = np.ones(stack.shape, dtype=bool)
    assert EdgeMatter.of(stack).n_reaching == 0, "the same at every tilt"
    stack[::2, :, :3] = 90.0
    assert EdgeMatter.of(stack).is_there
    mask[:, :, :3] = mask[:, :, -3:] = False
    mask[4] = False
    found = EdgeMatter.of(stack, mask=mask)
    assert (found.n_reaching, found.n_used) == (0, N_TILTS - 1)
    assert EdgeMatter.of(stack, mask=np.zeros_like(mask)) == EdgeMatter(0, 0)


def test_one_stray_projection_asks_for_no_margin() -> None:
    stack = rod(11.5)
    stack[7] += 40.0
    found = EdgeMatter.of(stack)
    assert found.n_reaching == 1
    assert not found.is_there


def test_the_note_counts_projections_and_says_what_is_done() -> None:
    found = EdgeMatter(20, 31)
    note = found.note(34)
    assert note is not None
    assert note.kind is NoteKind.MARGIN
    assert "20 of 31 projections" in note
    assert "a margin of 34 voxels that is not shown" in note
    assert "without a margin" in (found.note(0) or "")


def test_settings_come_before_the_data() -> None:
    series = TiltSeries(rod(17), np.linspace(0, 180, N_TILTS), pixel_size=0.5)
    assert fitted_grid(series, None) == grid_of(series, margin=20)
    assert fitted_grid(series, 0.0) == grid_of(series)
    assert fitted_grid(series, 0.25) == grid_of(series, margin=10)
    assert margin_voxels(WIDTH, None, reaches_edge=False) == 0


def test_a_margin_surrounds_the_grid_in_the_slices_alone() -> None:
    grid = VoxelGrid(8, 5, 6, voxel_size=0.5, margin=3)
    assert grid.shape == (8, 5, 6)
    assert grid.fitted == VoxelGrid(14, 5, 12, voxel_size=0.5)
    assert grid.fitted.fitted == grid.fitted
    np.testing.assert_array_equal(grid.fitted.axis_positions(2)[3:-3], grid.axis_positions(2))
    assert grid.resampled(0.25).margin == 0
    with pytest.raises(StinrError, match="margin -1"):
        VoxelGrid(8, 5, 6, margin=-1)
