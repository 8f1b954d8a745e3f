"""One Gauss-Newton step finds shifts, turns and tilt angles of known objects; what no data tell is known as such."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr.alignment.gauges import constant_beside_moves, moves, smooth_modes, without
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.registration import pose_step
from napari_stinr.alignment.rounds import Rounds, Shown

ANGLES = np.arange(-60.0, 61.0, 4.0)
SHAPE = (30, 44)


def atoms(seed: int, n: int = 60) -> np.ndarray:
    """`(n, 3)` positions (x, y, z) in a ball of 9 pixels [pixel]."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-9, 9, (4 * n, 3))
    return points[np.square(points).sum(1) < 81][:n]


def recorded(points: np.ndarray, angles: np.ndarray, pose: Pose) -> np.ndarray:
    """Projections of Gaussian atoms, each where the pose puts it: nothing is interpolated."""
    height, width = SHAPE
    rows, columns = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width)[None] - (width - 1) / 2
    psi = np.deg2rad(pose.axis_rotation)
    images = np.zeros((len(angles), height, width), dtype=np.float32)
    for k, angle in enumerate(np.deg2rad(angles + pose.angle_error)):
        for x, y, z in points:
            u, v = x * np.cos(angle) + z * np.sin(angle) + pose.axis_offset, y
            at_x = np.cos(psi) * u - np.sin(psi) * v + pose.dx[k]
            at_y = np.sin(psi) * u + np.cos(psi) * v + pose.dy[k]
            images[k] += pose.gain[k] * np.exp(-(np.square(columns - at_x) + np.square(rows - at_y)) / (2 * 1.2**2))
    return images


def posed(seed: int, *, shift: float = 0.0, rotation: float = 0.0, angle: float = 0.0, gain: float = 0.0) -> Pose:
    rng, n = np.random.default_rng(seed), len(ANGLES)
    return Pose(
        shift * rng.standard_normal(n),
        shift * rng.standard_normal(n),
        angle * rng.standard_normal(n),
        np.exp(gain * rng.standard_normal(n)),
        axis_rotation=rotation,
    )


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_shifts_are_found_beside_gains_and_a_rotation(scale: float) -> None:
    points, pose = atoms(3), posed(4, shift=0.3, rotation=0.4, gain=0.05)
    still = recorded(points, ANGLES, Pose.identity(len(ANGLES))) * np.float32(scale)
    found = pose_step(recorded(points, ANGLES, pose) * np.float32(scale), None, still)
    assert np.abs(found.dx - pose.dx).max() < 0.08
    assert np.abs(found.dy - pose.dy).max() < 0.08
    assert found.rotation == pytest.approx(0.4, abs=0.03)
    assert not found.angle.any()


def test_tilt_angles_are_found() -> None:
    points, pose = atoms(5), posed(6, angle=0.4)
    still = recorded(points, ANGLES, Pose.identity(len(ANGLES)))
    turned = (recorded(points, ANGLES + 0.25, Pose.identity(len(ANGLES))) - still) / 0.25
    found = pose_step(recorded(points, ANGLES, pose), None, still, turned=turned)
    assert np.corrcoef(found.angle, pose.angle_error)[0, 1] > 0.99
    assert np.abs(found.angle - pose.angle_error).max() < 0.12


def test_rows_know_how_far_they_are_from_the_middle() -> None:
    points, pose = atoms(3), posed(4, rotation=0.5)
    still, moved = (recorded(points, ANGLES, known) for known in (Pose.identity(len(ANGLES)), pose))
    part = slice(4, 18)
    found = pose_step(moved[:, part], None, still[:, part], first_row=part.start - (SHAPE[0] - 1) / 2)
    assert found.rotation == pytest.approx(0.5, abs=0.05)
    assert np.abs(found.dx).max() < 0.02


def test_what_does_not_count_moves_nothing() -> None:
    points = atoms(7)
    still = recorded(points, ANGLES, Pose.identity(len(ANGLES)))
    spoilt, counts = still.copy(), np.ones(still.shape, dtype=bool)
    spoilt[:, 8:12, 10:20], counts[:, 8:12, 10:20] = 1e6, False
    spoilt[3], counts[3] = 1e6, False
    found = pose_step(np.where(counts, spoilt, 0).astype(np.float32), counts, still)
    assert max(np.abs(found.dx).max(), np.abs(found.dy).max()) < 1e-6
    assert abs(found.rotation) < 1e-6


def test_moves_of_the_object_are_a_gauge_and_the_axis_is_none() -> None:
    object_moved = 3.0 * np.cos(np.deg2rad(ANGLES)) - 2.0 * np.sin(np.deg2rad(ANGLES))
    assert np.abs(without(moves(ANGLES), object_moved)).max() < 1e-12
    assert constant_beside_moves(object_moved + 1.7, ANGLES) == pytest.approx(1.7)
    smooth = smooth_modes(ANGLES, moves(ANGLES))
    assert np.abs(smooth.T @ smooth - np.eye(smooth.shape[1])).max() < 1e-10
    assert np.abs(smooth.T @ object_moved).max() < 1e-8
    drift = np.square(ANGLES / 60)
    rest = without(moves(ANGLES), drift)
    assert np.std(rest - smooth @ (smooth.T @ rest)) < 0.15 * np.std(rest)


def test_rounds_find_a_pose_that_fits_mostly_hide() -> None:
    """The fit is imitated: of what is smooth it shows a part, of some of it most, and mixes it; of the rest all."""
    rng = np.random.default_rng(8)
    n = len(ANGLES)
    place = (ANGLES - ANGLES.mean()) / 60
    true = Pose(
        0.8 * (place**2 - 0.3) + 0.3 * rng.standard_normal(n), place + 0.3 * rng.standard_normal(n),
        np.zeros(n), np.ones(n), axis_offset=2.5, axis_rotation=-1.2,
    )  # fmt: skip
    rounds, pose, one = Rounds(ANGLES, np.ones(n, dtype=bool)), Pose.identity(n), np.ones((n, 1))
    gauge = np.c_[moves(ANGLES), one]
    smooth = [smooth_modes(ANGLES, known) for known in (gauge, one)]
    sizes = [modes.shape[1] for modes in smooth]
    parts = [np.diag(np.linspace(0.2, 0.9, n)) + 0.04 * rng.standard_normal((n, n)) for n in sizes]
    shown = []
    for _ in range(8):
        error_x, error_y = true.dx - pose.dx, true.dy - pose.dy
        offset = true.axis_offset - pose.axis_offset
        seen = [without(known, error) for known, error in ((gauge, error_x), (one, error_y))]
        dx, dy = (
            error + basis @ (part - np.eye(len(part))) @ (basis.T @ error)
            for error, basis, part in zip(seen, smooth, parts, strict=True)
        )
        rotation = 0.05 * (true.axis_rotation - pose.axis_rotation)
        step = type("Step", (), {"dx": dx + 0.04 * offset, "dy": dy, "angle": np.zeros(n), "rotation": rotation})()
        pose, told = rounds.moved(pose, step)
        shown.append(told)
    assert pose.axis_offset == pytest.approx(2.5, abs=0.1)
    assert pose.axis_rotation == pytest.approx(-1.2, abs=0.1)
    assert np.std(without(gauge, pose.dx - true.dx)) < 0.02
    assert np.std(pose.dy - true.dy) < 0.02
    assert not shown[0].is_within(Shown(0.1, 0.1, 1.0, 1.0))
    assert shown[-1].is_within(Shown(0.1, 0.1, 1.0, 1.0))


def test_the_object_stays_where_the_axis_moves() -> None:
    rounds, pose = Rounds(ANGLES, np.ones(len(ANGLES), dtype=bool)), Pose.identity(len(ANGLES))
    moved = rounds.with_offset(pose, 2.0)
    assert moved.axis_offset == 2.0
    assert np.abs((moved.dx + moved.axis_offset) @ moves(ANGLES)).max() < 1e-9
