"""A pose is what the simulated instrument does, can be undone, and survives a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.recorded_cases import ANGLES, recorded, series_of
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.warp import aligned
from napari_stinr.errors import StinrError
from napari_stinr.simulation import SimulationConfig, simulate
from napari_stinr.simulation.instrument import Instrument

N = len(ANGLES)


def pose_of(**values: object) -> Pose:
    return replace(Pose.identity(N), **values)  # type: ignore[arg-type]


def test_nothing_is_done_to_an_aligned_series() -> None:
    series = series_of(recorded())
    assert aligned(series, Pose.identity(N)) is series


def test_a_shift_by_whole_pixels_is_exact_and_what_was_not_seen_does_not_count() -> None:
    stack = recorded()
    moved = np.roll(stack, (2, -3), axis=(1, 2))
    back = aligned(series_of(moved), pose_of(dx=np.full(N, -3.0), dy=np.full(N, 2.0)))
    assert back.mask is not None
    assert not back.mask[:, -2:].any()
    assert not back.mask[:, :, :3].any()
    assert back.mask[:, :-2, 3:].all()
    np.testing.assert_allclose(back.projections[back.mask], stack[back.mask], atol=1e-4)


def test_the_pose_of_the_simulated_instrument_is_undone() -> None:
    instrument = Instrument(
        drift_x=2, drift_y=-1.5, jitter=0.6, axis_offset=1.5, axis_rotation=2, gain_error=0.05, angle_error=0.0
    )
    config = SimulationConfig(grid=(48, 24, 48), pixel_size=0.5, tilt_step=15, seed=3)
    clean = simulate(config).series
    simulation = simulate(config.model_copy(update={"instrument": instrument}))
    true = simulation.pose
    pose = Pose(true.dx, true.dy, true.angle_error, true.gain, true.axis_offset, true.axis_rotation)
    back = aligned(simulation.series, pose)
    assert back.mask is not None
    inner = back.mask[:, 4:-4, 6:-6]
    found, expected = back.projections[:, 4:-4, 6:-6][inner], clean.projections[:, 4:-4, 6:-6][inner]
    assert np.linalg.norm(found - expected) < 0.01 * np.linalg.norm(expected)


def test_some_rows_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(5)
    stack = rng.random((N, 60, 40)).astype(np.float32)
    series = series_of(stack).exclude([1])
    pose = pose_of(dx=rng.normal(size=N), dy=rng.normal(size=N), axis_rotation=1.7, gain=rng.uniform(0.9, 1.1, N))
    pose = replace(pose, rotation=rng.normal(size=N))
    rows = slice(21, 30)
    for known in (pose, Pose.identity(N)):
        whole, part = aligned(series, known), aligned(series, known, rows=rows, threads=2)
        np.testing.assert_allclose(part.projections, whole.projections[:, rows], atol=1e-4)
        assert whole.mask is not None
        assert part.mask is not None
        np.testing.assert_array_equal(part.mask, whole.mask[:, rows])


def test_bad_pixels_stay_bad() -> None:
    series = series_of(recorded()).exclude([4])
    back = aligned(series, pose_of(dx=np.full(N, 0.4)))
    assert back.mask is not None
    assert not back.mask[4].any()


def test_projections_that_a_pose_moves_out_of_sight_are_told_of_and_refused_where_few_stay() -> None:
    series = series_of(recorded())
    far = np.where(np.arange(N) < 4, 1e5, 0.0)
    moved = aligned(series, pose_of(dx=far))
    assert int(moved.used.sum()) == N - 4
    assert "Of 4 projections nothing is in sight any more" in str(moved.notes[-1])
    far[:-2] = 1e5
    with pytest.raises(StinrError, match=f"moves {N - 2} of {N} projections out of sight"):
        aligned(series, pose_of(dx=far))


def test_a_pose_survives_a_file() -> None:
    rng = np.random.default_rng(1)
    pose = Pose(*rng.normal(size=(3, N)), rng.uniform(0.5, 2, N), 1.25, -3, rng.normal(size=N))  # type: ignore[misc]
    again = Pose.from_yaml(pose.to_yaml())
    for name in ("dx", "dy", "angle_error", "gain", "axis_offset", "axis_rotation", "rotation"):
        np.testing.assert_array_equal(getattr(again, name), getattr(pose, name))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "dx: [1, 2]\ndy: [1]",
        "dx: a",
        "dx: [.nan]",
        "dx: [0]\nother: 1",
        "dx: [0]\ngain: [0]",
        "dx: [0]\nrotation: [1, 2]",
        "dx: [0]\nrotation: [.inf]",
        "dx: [0, 0]\nrotation: [0, 46]",
        "dx: [0, 0]\naxis_rotation: -40\nrotation: [0, -6]",
        "dx: [0]\naxis_rotation: .nan",
        "dx: {a: 1}",
    ],
)
def test_what_is_no_pose_is_refused(text: str) -> None:
    with pytest.raises(StinrError):
        Pose.from_yaml(text)


def test_other_pixels_have_other_shifts() -> None:
    pose = pose_of(dx=np.full(N, 3.0), axis_offset=2.0, axis_rotation=1.5, rotation=np.full(N, 0.25))
    half = pose.scaled(0.5)
    assert (half.dx[0], half.axis_offset, half.axis_rotation, half.rotation[0]) == (1.5, 1.0, 1.5, 0.25)
