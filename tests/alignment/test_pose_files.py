"""Poses of IMOD and AreTomo mean what those programs mean by them, and what is no pose is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import affine_transform, center_of_mass

from helpers.recorded_cases import series_of
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.pose_files import read_pose, write_pose
from napari_stinr.alignment.warp import warped
from napari_stinr.data.preprocessing.prepare import turned
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANGLES = np.array([0.0, 10, -10, 20, -20])
N = len(ANGLES)
SHAPE = (41, 60)
SPOT = np.array([7.0, -5.0])
"""(u, v) from the tilt axis and the middle row."""
TURN = 9.0
TURNS = np.array([0.7, -1.2, 2.1, -0.4, 1.5])


def some_pose(*, gain: float = 1.0, **values: object) -> Pose:
    rng = np.random.default_rng(5)
    pose = Pose(*rng.uniform(-4, 4, (2, N)), rng.uniform(-1, 1, N), np.full(N, gain), axis_offset=2.5)
    return replace(pose, **({"axis_rotation": TURN, "rotation": TURNS} | values))


def rotation(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


def centre(shape: tuple[int, int]) -> np.ndarray:
    """(x, y) of the middle of an image."""
    return (np.array(shape[::-1]) - 1) / 2


def spot_at(place: np.ndarray, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return an image of a round spot at (x, y) from the centre."""
    x, y = place + centre(shape)
    rows, columns = np.indices(shape)
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.5**2)).astype(np.float32)


def recorded_spot(pose: Pose, k: int) -> np.ndarray:
    """Return the image of the spot that the definition of the pose gives."""
    place = rotation(pose.axis_rotation + pose.rotation[k]) @ (SPOT + np.array([pose.axis_offset, 0])) + [
        pose.dx[k],
        pose.dy[k],
    ]
    return spot_at(place)


def found_spot(image: np.ndarray) -> np.ndarray:
    """Return (x, y) of the spot from the centre."""
    return np.array(center_of_mass(np.maximum(image - 0.05, 0)))[::-1] - centre(image.shape)


def imod_aligned(image: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Return what newstack makes of an image: X' = A (X - centre) + D + centre, by (x, y)."""
    matrix, move = line[:4].reshape(2, 2), line[4:]
    back = np.linalg.inv(matrix)
    middle = centre(image.shape)
    offset = middle - back @ (middle + move)
    return affine_transform(image, back[::-1, ::-1], offset[::-1], order=3)


def aretomo_aligned(image: np.ndarray, rot: float, move: np.ndarray) -> np.ndarray:
    """Return what AreTomo makes of an image: the pixel at X' is that at R(ROT) (X' - centre) + T + centre."""
    matrix, middle = rotation(rot), centre(image.shape)
    offset = middle + move - matrix @ middle
    return affine_transform(image, matrix[::-1, ::-1], offset[::-1], order=3)


def read(path: Path, angles: np.ndarray = ANGLES, **options: object) -> Pose:
    return read_pose(path, shape=SHAPE, tilt_angles=angles, **options)  # type: ignore[arg-type]


def write(path: Path, pose: Pose | None = None, **options: object) -> Path:
    write_pose(path, pose or some_pose(), shape=SHAPE, tilt_angles=ANGLES, **options)  # type: ignore[arg-type]
    return path


def same_places(one: Pose, other: Pose, tolerance: float = 2e-3) -> None:
    """Both send every pixel to the same place."""
    for k in range(N):
        np.testing.assert_allclose(one.places(SHAPE, k), other.places(SHAPE, k), atol=tolerance)


def xf(turn: float = 0.0, *, matrix: np.ndarray | None = None, moves: np.ndarray | None = None) -> np.ndarray:
    """`(N, 6)` numbers of an .xf of images that are turned."""
    turns = rotation(-turn) if matrix is None else matrix
    return np.c_[np.tile(turns.ravel(), (N, 1)), np.zeros((N, 2)) if moves is None else moves]


def saved(path: Path, numbers: np.ndarray) -> Path:
    np.savetxt(path, numbers, fmt="%.7f")
    return path


def test_imod_puts_the_spot_where_the_aligned_image_has_it(tmp_path: Path) -> None:
    pose = some_pose()
    lines = np.loadtxt(write(tmp_path / "a.xf", pose))
    assert lines.shape == (N, 6)
    for k in range(N):
        image = recorded_spot(pose, k)
        aligned, _ = warped(image, None, pose, k)
        np.testing.assert_allclose(found_spot(aligned), SPOT, atol=0.01)
        np.testing.assert_allclose(found_spot(imod_aligned(image, lines[k])), SPOT, atol=0.01)


def test_aretomo_puts_the_spot_where_the_aligned_image_has_it(tmp_path: Path) -> None:
    pose = some_pose()
    lines = np.loadtxt(write(tmp_path / "a.aln", pose))
    np.testing.assert_array_equal(np.diff(lines[:, 9]) > 0, np.ones(N - 1, dtype=bool))
    for line in lines:
        image = recorded_spot(pose, int(line[0]))
        np.testing.assert_allclose(found_spot(aretomo_aligned(image, line[1], line[3:5])), SPOT, atol=0.01)


def test_a_file_of_imod_aligns_as_imod_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    lines = xf(-12, moves=rng.uniform(-5, 5, (N, 2)))
    pose = read(saved(tmp_path / "a.xf", lines))
    assert pose.axis_rotation == pytest.approx(-12, abs=1e-4)
    assert (pose.axis_offset, pose.angle_error.any()) == (0, False)
    image = spot_at(np.array([3.0, 6.0]))
    for k in range(N):
        aligned, _ = warped(image, None, pose, k)
        np.testing.assert_allclose(found_spot(aligned), found_spot(imod_aligned(image, lines[k])), atol=0.01)


@pytest.mark.parametrize("ending", [".yaml", ".yml", ".xf", ".aln", ".XF"])
@pytest.mark.parametrize("turn", [TURN, -40.0, 0.0])
def test_a_pose_survives_every_file(tmp_path: Path, ending: str, turn: float) -> None:
    pose = some_pose(axis_rotation=turn)
    again = read(write(tmp_path / f"a{ending}", pose))
    same_places(again, pose, 0 if ending.startswith(".y") else 2e-3)
    np.testing.assert_allclose(again.angle_error, pose.angle_error, atol=6e-5)
    assert (again.gain == 1).all()


@pytest.mark.parametrize("ending", [".xf", ".aln"])
def test_a_pose_is_written_again_with_the_same_numbers(tmp_path: Path, ending: str) -> None:
    first = write(tmp_path / f"a{ending}")
    second = write(tmp_path / f"b{ending}", read(first))
    np.testing.assert_allclose(np.loadtxt(second), np.loadtxt(first), atol=1.5e-4)


def test_angles_of_a_tlt_become_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xf")
    np.testing.assert_allclose(np.loadtxt(tmp_path / "a.tlt"), ANGLES + some_pose().angle_error, atol=6e-5)
    assert not np.loadtxt(tmp_path / "a.xtilt").any()
    saved(tmp_path / "a.tlt", ANGLES + 15.5)
    np.testing.assert_allclose(read(path).angle_error, 15.5)
    saved(tmp_path / "a.tlt", ANGLES - 360)
    np.testing.assert_allclose(read(path).angle_error, 0)


@pytest.mark.parametrize("ending", [".xf", ".aln"])
def test_an_axis_along_the_rows_is_that_of_turned_images(tmp_path: Path, ending: str) -> None:
    pose = some_pose()
    path = write(tmp_path / f"a{ending}", pose, turned=True)
    with pytest.raises(StinrError, match="--axis horizontal"):
        read(path)
    again = read(path, turned=True)
    same_places(again, pose)
    lines = np.loadtxt(path)
    for k in range(N):
        line = lines[k] if ending == ".xf" else lines[lines[:, 0] == k][0]
        image = spot_at(np.array([-9.0, 4.0]))
        other = imod_aligned(image, line) if ending == ".xf" else aretomo_aligned(image, line[1], line[3:5])
        here = turned(series_of(np.stack([image] * 3), np.arange(3.0))).projections[0]
        np.testing.assert_allclose(found_spot(warped(here, None, again, k)[0]), found_spot(other), atol=0.01)


def test_a_file_for_images_that_are_not_turned_is_not_turned(tmp_path: Path) -> None:
    with pytest.raises(StinrError, match="--axis vertical"):
        read(write(tmp_path / "a.xf"), turned=True)


@pytest.mark.parametrize(("ending", "cure"), [(".xf", "sign of all numbers"), (".aln", "every ROT by 180")])
def test_an_image_upside_down_is_refused_and_the_cure_works(tmp_path: Path, ending: str, cure: str) -> None:
    path = write(tmp_path / f"a{ending}")
    lines = np.loadtxt(path)
    upside_down = -lines if ending == ".xf" else lines + 180 * np.eye(10)[1]
    with pytest.raises(StinrError, match=cure) as caught:
        read(saved(path, upside_down))
    assert "--flip-tilt" in caught.value.cure

    pose = read(saved(path, lines))
    x, y, z = 7.0, -5.0, 4.0
    for k, line in enumerate(upside_down if ending == ".xf" else upside_down[np.argsort(lines[:, 0])]):
        tilt = np.deg2rad(ANGLES[k])
        aligned = np.array([x * np.cos(tilt) + z * np.sin(tilt), y])
        if ending == ".xf":
            there = np.linalg.solve(line[:4].reshape(2, 2), aligned - line[4:])
        else:
            there = rotation(line[1]) @ aligned + line[3:5]
        flipped = np.array([-x * np.cos(-tilt) + z * np.sin(-tilt), -y])
        here = rotation(pose.axis_rotation + pose.rotation[k]) @ flipped + [pose.dx[k], pose.dy[k]]
        np.testing.assert_allclose(here, there, atol=1e-3)


def test_gains_are_said_to_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "a.aln", some_pose(gain=1.5))
    assert "1.5" in caplog.text
    caplog.clear()
    again = read(write(tmp_path / "a.yaml", some_pose(gain=1.5)))
    assert (again.gain == 1.5).all()
    assert not caplog.text


# Rows of AreTomo3, with sections from 1, of five images at -20 to 20 degrees in this order.
ALN = """# AreTomo Alignment / Priims bprmMn
# RawSize = 60 41 5
# NumPatches = 0
# DarkFrame =     1    5   -10.00
# AlphaOffset =     2.00
# BetaOffset =     0.00
# Thickness = 50
# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT
    1     4.0000    1.00000      1.000      -3.000     1.00     1.00     1.00     0.00    -18.00
    2     4.0000    1.00000      0.000      0.000     1.00     1.00     1.00     0.00      2.00
    3     4.0000    1.00000      2.000      5.000     1.00     1.00     1.00     0.00     12.00
    4     4.0000    1.00000      3.000      6.000     1.00     1.00     1.00     0.00     22.00
"""
IN_STACK = np.array([-20.0, 0, 10, 20, -10])


@pytest.mark.parametrize("first", [0, 1])
def test_dark_images_get_a_pose_between_their_neighbours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: int
) -> None:
    (tmp_path / "a.aln").write_text(ALN if first else re.sub(r"(?m)^    (\d)", lambda m: f"{int(m[1]) - 1:5d}", ALN))
    pose = read(tmp_path / "a.aln", IN_STACK)
    np.testing.assert_allclose(pose.dx, [1, 0, 2, 3, 0.5])
    np.testing.assert_allclose(pose.dy, [-3, 0, 5, 6, -1.5])
    np.testing.assert_allclose(pose.angle_error, 2)
    assert pose.axis_rotation == pytest.approx(4)
    assert "--exclude 4" in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("BetaOffset =     0.00", "BetaOffset =     3.00", "tilt of 3 degrees about x"),
        ("    22.00\n", "    22.00\n# Local Alignment\n   0   0   1.0 2.0 3.0 4.0 1.0\n", "local alignment"),
        ("1.00     1.00     1.00     0.00      2.00", "1.00     0.50     1.00     0.00      2.00", "SFIT"),
        ("3.000      6.000", "3.000     99.000", "beyond their frame"),
    ],
)
def test_what_is_not_applied_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, old: str, new: str, said: str
) -> None:
    (tmp_path / "a.aln").write_text(ALN)
    read(tmp_path / "a.aln", IN_STACK)
    assert said not in caplog.text
    assert old in ALN
    (tmp_path / "a.aln").write_text(ALN.replace(old, new, 1))
    read(tmp_path / "a.aln", IN_STACK)
    assert said in caplog.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# RawSize = 60 41 5", "# RawSize = 120 82 5"),
        ("# RawSize = 60 41 5", "# RawSize = a b c"),
        ("    4     4.0000", "    3     4.0000"),
        ("    4     4.0000", "    9     4.0000"),
        ("    4     4.0000", "  3.5     4.0000"),
        ("    4     4.0000    1.00000", "    4     4.0000    1.01000"),
        ("    4     4.0000", "    4        nan"),
        ("    4     4.0000", "    4       four"),
        ("    4     4.0000", "    4"),
        ("# DarkFrame =     1    5   -10.00\n", ""),
        ("22.00", "-22.00"),
        ("4.0000    1.00", "84.0000    1.00"),
    ],
)
def test_an_aln_of_something_else_is_refused(tmp_path: Path, old: str, new: str) -> None:
    count = -1 if "1.00" in new and new.startswith("84") else 1
    assert old in ALN
    (tmp_path / "a.aln").write_text(ALN.replace(old, new, count))
    with pytest.raises(StinrError):
        read(tmp_path / "a.aln", IN_STACK)


def test_an_aln_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.aln").write_text("\n".join(ALN.splitlines()[:8]))
    with pytest.raises(StinrError, match="lists no images"):
        read(tmp_path / "a.aln", IN_STACK)


@pytest.mark.parametrize(
    ("lines", "cure"),
    [
        (xf(matrix=1.002 * np.eye(2)), "shifts and rotations"),
        (xf(matrix=np.array([[1, 0.004], [0, 1]])), "shifts and rotations"),
        (xf(matrix=np.diag([1.0, -1.0])), "shifts and rotations"),
        (xf(matrix=np.zeros((2, 2))), "shifts and rotations"),
        (xf(88), "--axis horizontal"),
        (xf(-95), "--axis horizontal"),
        (xf(176), "--flip-tilt"),
        (xf(50), "--axis horizontal"),
        (xf()[1:], "belongs to this stack"),
        (np.r_[xf(), xf()[:1]], "belongs to this stack"),
        (xf()[:, 1:], "Write the file again"),
        (np.full((N, 6), np.nan), "Write the file again"),
    ],
)
def test_an_xf_that_is_no_pose_is_refused(tmp_path: Path, lines: np.ndarray, cure: str) -> None:
    with pytest.raises(StinrError, match=re.escape(cure)):
        read(saved(tmp_path / "a.xf", lines))


def test_what_aretomo_rounds_is_no_magnification(tmp_path: Path) -> None:
    for turn in np.linspace(-44, 44, 23):
        np.savetxt(tmp_path / "a.xf", xf(turn), fmt="%9.3f")
        assert read(tmp_path / "a.xf").axis_rotation == pytest.approx(turn, abs=0.05)


@pytest.mark.parametrize("content", ["", "a b c d e f\n", "\0\1\2", "1 0 0 1 0\n" * N, "1 0 0 1 0 0 0\n" * N])
@pytest.mark.parametrize("ending", [".xf", ".aln", ".yaml"])
def test_damaged_files_say_what_is_wrong(tmp_path: Path, content: str, ending: str) -> None:
    (tmp_path / f"a{ending}").write_text(content)
    with pytest.raises(StinrError) as caught:
        read(tmp_path / f"a{ending}")
    assert all((caught.value.found, caught.value.expected, caught.value.cure))


@pytest.mark.parametrize(
    ("name", "spoil", "match"),
    [
        ("a.xtilt", lambda: np.full(N, 0.5), "about x"),
        ("a.tlt", lambda: ANGLES[1:], "a.tlt lists 4"),
        ("a.tlt", lambda: -ANGLES, "a.tlt has a tilt angle"),
        ("a.tlt", lambda: np.sort(ANGLES), "a.tlt has a tilt angle"),
        ("a.tlt", lambda: ANGLES * np.nan, "a.tlt cannot be read"),
    ],
)
def test_files_beside_an_xf_are_checked(tmp_path: Path, name: str, spoil: Callable[[], np.ndarray], match: str) -> None:
    path = write(tmp_path / "a.xf")
    saved(tmp_path / name, spoil())
    with pytest.raises(StinrError, match=match):
        read(path)


@pytest.mark.parametrize("name", ["a.yaml", "a.xf", "a.aln"])
def test_a_pose_of_another_series_is_neither_read_nor_written(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    before = path.read_bytes()
    with pytest.raises(StinrError, match="expected 4"):
        read(path, ANGLES[:-1])
    with pytest.raises(StinrError, match="this stack"):
        write(path, Pose.identity(N + 1))
    assert path.read_bytes() == before


def test_names_are_checked(tmp_path: Path) -> None:
    with pytest.raises(StinrError, match=r"ends in '\.txt'"):
        write(tmp_path / "a.txt")
    with pytest.raises(StinrError, match=r"ends in '\.txt'"):
        read(tmp_path / "a.txt")
    with pytest.raises(StinrError, match="a file with a pose"):
        read(tmp_path / "a.xf")


def test_tilt_angles_of_somebody_else_are_not_replaced(tmp_path: Path) -> None:
    mine = saved(tmp_path / "a.tlt", ANGLES).read_bytes()
    with pytest.raises(StinrError, match=r"a\.tlt exists"):
        write(tmp_path / "a.xf")
    assert (tmp_path / "a.tlt").read_bytes() == mine
    assert not (tmp_path / "a.xf").exists()


def test_three_files_are_written_or_none(tmp_path: Path) -> None:
    write(tmp_path / "a.xf")
    (tmp_path / "a.xtilt").unlink()
    (tmp_path / "a.xtilt").mkdir()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(StinrError, match="is a folder"):
        write(tmp_path / "a.xf", Pose.identity(N))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
