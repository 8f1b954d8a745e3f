"""Images that are turned one by one: undone, kept in every file, and meant as IMOD and AreTomo mean them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_stinr as stinr
from helpers.recorded_cases import series_of
from helpers.series_cases import growing_series
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.pose_files import read_pose, write_pose
from napari_stinr.alignment.warp import aligned, central_row
from napari_stinr.errors import StinrError
from napari_stinr.training.run import Order, drive

if TYPE_CHECKING:
    from pathlib import Path

ANGLES = np.array([0.0, 10, -10, 20, -20])
N = len(ANGLES)
SHAPE = (41, 60)
TURNS = np.array([1.9, -1.1, 0.4, -2.3, 3.1])
BLOBS = ((7.0, -5.0, 2.5, 1.0), (-12.0, 4.0, 2.0, 0.7), (3.0, 9.0, 3.0, 0.5), (-5.0, -9.0, 1.8, 0.8))
"""x, y, width and height of Gaussians, from the tilt axis and the middle row."""


def some_pose(**values: object) -> Pose:
    rng = np.random.default_rng(7)
    pose = Pose(*rng.uniform(-2, 2, (2, N)), rng.uniform(-1, 1, N), np.ones(N), 2.5, 6.0, TURNS)  # type: ignore[misc]
    return replace(pose, **values)  # type: ignore[arg-type]


def turn(degrees: float) -> np.ndarray:
    """Matrix that takes x towards y."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


def grid(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """`(2, height, width)` x and y of the pixels from the centre."""
    rows, columns = np.indices(shape, dtype=float)
    return np.stack([columns - (shape[1] - 1) / 2, rows - (shape[0] - 1) / 2])


def picture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return sum((h * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * w**2)) for a, b, w, h in BLOBS), np.zeros(x.shape))


def recorded(pose: Pose) -> np.ndarray:
    """Images of the picture, turned and moved by its formula: nothing is interpolated."""
    images = []
    for k in range(N):
        moved = grid() - np.array([pose.dx[k], pose.dy[k]])[:, None, None]
        x, y = np.tensordot(turn(-(pose.axis_rotation + pose.rotation[k])), moved, 1)
        images.append(picture(x - pose.axis_offset, y))
    return np.array(images, dtype=np.float32)


def error_of(pose: Pose, stack: np.ndarray) -> float:
    """How far images are from the picture once the pose is undone, the largest of all, by its norm."""
    back = aligned(series_of(stack, ANGLES), pose)
    assert back.mask is not None
    wrong = np.where(back.mask, back.projections - picture(*grid()), 0)
    return float(np.linalg.norm(wrong, axis=(1, 2)).max() / np.linalg.norm(picture(*grid())))


def read(path: Path, **options: object) -> Pose:
    return read_pose(path, shape=SHAPE, tilt_angles=ANGLES, **options)  # type: ignore[arg-type]


def write(path: Path, pose: Pose, **options: object) -> Path:
    write_pose(path, pose, shape=SHAPE, tilt_angles=ANGLES, **options)  # type: ignore[arg-type]
    return path


def xf_file(path: Path, turns: np.ndarray, moves: np.ndarray | None = None) -> np.ndarray:
    """Write the .xf of images that are recorded turned, and return its numbers."""
    moves = np.zeros((N, 2)) if moves is None else moves
    np.savetxt(path, [[*turn(-psi).ravel(), *move] for psi, move in zip(turns, moves, strict=True)], fmt="%.7f")
    return np.loadtxt(path)


def aln_file(path: Path, turns: np.ndarray) -> Path:
    """Write an .aln that leaves out as dark the images for which no turn is given (NaN)."""
    listed = np.flatnonzero(np.isfinite(turns))
    lines = [f"{k} {turns[k]} 1 0 0 1 1 1 0 {ANGLES[k]}" for k in listed]
    path.write_text("\n".join(["# DarkFrame = 1"] * (N - len(listed)) + lines))
    return path


def test_turns_of_single_images_are_undone() -> None:
    pose = some_pose()
    stack = recorded(pose)
    assert error_of(pose, stack) < 5e-4
    for wrong in (-TURNS, 0 * TURNS, np.roll(TURNS, 1)):
        assert error_of(replace(pose, rotation=wrong), stack) > 0.1
    middle = picture(*grid())[SHAPE[0] // 2]
    np.testing.assert_allclose(central_row(series_of(stack, ANGLES), pose), np.tile(middle, (N, 1)), atol=0.01)


def test_a_positive_turn_takes_x_towards_y() -> None:
    rows, columns = some_pose(dx=0 * TURNS, dy=0 * TURNS, axis_offset=0.0, axis_rotation=0.0).places((3, 21), 4)
    assert (rows[1, -1] - 1, columns[1, -1] - 10) == pytest.approx(tuple(10 * turn(3.1)[::-1, 0]))


def test_a_turn_alone_is_no_identity_and_is_said() -> None:
    only = replace(Pose.identity(N), rotation=TURNS)
    series = series_of(recorded(only), ANGLES)
    assert not only.is_identity
    assert "turned beside it by -2.30 to 3.10 degrees" in str(aligned(series, only).notes[-1])
    common = replace(Pose.identity(N), axis_rotation=1.0)
    assert "beside" not in str(aligned(series, common).notes[-1])


def test_a_pose_from_before_there_were_turns_is_read() -> None:
    old = Pose.from_yaml(
        "dx: [1, 2]\ndy: [0, 0]\nangle_error: [0, 0]\ngain: [1, 1]\naxis_offset: 1\naxis_rotation: 2\n"
    )
    np.testing.assert_array_equal(old.rotation, [0, 0])
    np.testing.assert_array_equal(Pose(old.dx, old.dy, old.angle_error, old.gain, 1.0, 2.0).rotation, [0, 0])
    assert Pose.identity(2).is_identity


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("ending", [".yaml", ".xf", ".aln"])
def test_turns_survive_every_file(tmp_path: Path, ending: str, turned: bool) -> None:
    pose = some_pose()
    again = read(write(tmp_path / f"a{ending}", pose, turned=turned), turned=turned)
    for k in range(N):
        np.testing.assert_allclose(again.places(SHAPE, k), pose.places(SHAPE, k), atol=1.5e-4)
    # Only their sum with the axis rotation is told by files of others.
    np.testing.assert_allclose(again.axis_rotation + again.rotation, 6 + TURNS, atol=6e-5)
    assert again.axis_rotation == pytest.approx(6 if ending == ".yaml" else 6.4, abs=6e-5)


@pytest.mark.parametrize("axis", [0.0, 90.0])
def test_what_imod_makes_of_a_point_is_what_the_pose_means(tmp_path: Path, axis: float) -> None:
    moves = np.random.default_rng(2).uniform(-5, 5, (N, 2))
    lines = xf_file(tmp_path / "a.xf", -axis + 6 + TURNS, moves)
    pose = read(tmp_path / "a.xf", turned=axis == 90)
    for k, line in enumerate(lines):
        rows, columns = pose.places(SHAPE, k)
        here = np.stack([columns - (SHAPE[1] - 1) / 2, rows - (SHAPE[0] - 1) / 2])
        # (x, y) of the images in the file lies at (-y, x) once they are turned by 90 degrees, aligned or not.
        in_file = np.tensordot(turn(-axis), here, 1)
        by_imod = np.tensordot(line[:4].reshape(2, 2), in_file, 1) + line[4:, None, None]
        np.testing.assert_allclose(by_imod, grid(), atol=2e-5)


def test_files_have_the_rotation_of_every_image(tmp_path: Path) -> None:
    lines = np.loadtxt(write(tmp_path / "a.xf", some_pose()))
    np.testing.assert_allclose(np.rad2deg(np.arctan2(lines[:, 1], lines[:, 0])), 6 + TURNS, atol=1e-4)
    rows = np.loadtxt(write(tmp_path / "a.aln", some_pose()))
    np.testing.assert_allclose(rows[:, 1], 6 + TURNS[rows[:, 0].astype(int)], atol=1e-4)


def test_rotations_that_agree_are_one(tmp_path: Path) -> None:
    close = np.array([4, 4.02, 4.01, 4.05, 4.02])
    wider = np.array([4, 4.02, 4.01, 4.06, 4.02])
    pose = read(aln_file(tmp_path / "a.aln", close))
    assert not pose.rotation.any()
    assert pose.axis_rotation == pytest.approx(4.02, abs=1e-9)
    apart = read(aln_file(tmp_path / "a.aln", wider))
    np.testing.assert_allclose(apart.axis_rotation + apart.rotation, wider)


def test_dark_images_are_turned_between_their_neighbours(tmp_path: Path) -> None:
    pose = read(aln_file(tmp_path / "a.aln", np.array([5, 6, np.nan, 8, 4])))
    np.testing.assert_allclose(pose.axis_rotation + pose.rotation, [5, 6, 4.5, 8, 4])


def test_one_image_that_was_badly_followed_does_not_move_the_axis(tmp_path: Path) -> None:
    xf_file(tmp_path / "a.xf", np.array([3, 3.1, 2.9, 12.5, 3.0]))
    pose = read(tmp_path / "a.xf")
    assert pose.axis_rotation == pytest.approx(3, abs=1e-4)
    np.testing.assert_allclose(pose.rotation, [0, 0.1, -0.1, 9.5, 0], atol=1e-4)


@pytest.mark.parametrize("ending", [".xf", ".aln"])
@pytest.mark.parametrize("image", [0, 3])
@pytest.mark.parametrize("other", [-8.0, 14.0, 93.0, -87.0, 183.0, 183.25])
def test_an_image_of_another_alignment_is_refused(tmp_path: Path, ending: str, image: int, other: float) -> None:
    turns = np.full(N, 3.0) + 0.1 * np.arange(N)
    turns[image] = other
    (xf_file if ending == ".xf" else aln_file)(tmp_path / f"a{ending}", turns)
    with pytest.raises(StinrError, match=rf"turns image {image} \(from 0\) by .* about 3\.\d+") as caught:
        read(tmp_path / f"a{ending}")
    assert "10 degrees" in caught.value.expected
    assert "leave out" in caught.value.cure


def test_an_image_along_the_rows_is_refused_though_the_axis_is_not(tmp_path: Path) -> None:
    with pytest.raises(StinrError, match=r"turned by 40 to 47 degrees.* at most 45"):
        read(aln_file(tmp_path / "a.aln", np.array([40.0, 41, 42, 43, 47])))


def test_a_run_keeps_the_turns_and_goes_on_with_them(tmp_path: Path) -> None:
    series = growing_series(n_tilts=21, width=15, height=7, pixel_size=0.8)
    pose = replace(Pose.identity(21), rotation=np.linspace(-3, 2, 21))
    config = stinr.preset_config("growth").with_training(steps=2)
    path = tmp_path / "run.stinr"
    drive(Order(series, config, pose=pose, threads=1, path=path), lambda event: None, raises=True)
    run = stinr.load_reconstruction(path)
    assert run.pose is not None
    np.testing.assert_array_equal(run.pose.rotation, pose.rotation)
    drive(Order(series, resume=path, steps=3, threads=1), lambda event: None, raises=True)
    # Without the turns it would be other data.
    assert aligned(series, pose).fingerprint() != series.fingerprint()
