"""What ``stinr info`` says of a series that is too large to be judged pixel by pixel in a moment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_stinr.cli import describe_series
from napari_stinr.cli.describe import describe_files
from napari_stinr.cli.describe_series import describe_found
from napari_stinr.data.preprocessing.prepare import TURNED
from napari_stinr.io.formats.containers import Images
from napari_stinr.io.series.glance import Glance
from napari_stinr.io.series.grouping import find_given_series
from napari_stinr.io.series.reading import load_series

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.series.found import FoundSeries

N, HEIGHT, WIDTH = 41, 96, 128
ANGLES = np.linspace(-60, 60, N)
BLOBS = np.random.default_rng(3).uniform((-28, -34, -28, 0.5), (28, 34, 28, 1.5), (40, 4))
"""z, y, x and height of what the specimen consists of [pixel]."""


def projections(*, shift: float = 0.0, level: float = 0.0, wide: bool = False, seed: int = 0) -> NDArray[np.float32]:
    """Projections of blobs with noise, shifted at random along y, with a background; wide: more at one edge."""
    rng = np.random.default_rng(seed)
    y, u = np.mgrid[:HEIGHT, :WIDTH]
    stack = np.empty((N, HEIGHT, WIDTH), np.float32)
    for k, angle in enumerate(np.deg2rad(ANGLES)):
        stack[k] = level + rng.normal(0, 0.2, (HEIGHT, WIDTH))
        moved = rng.normal(0, shift) if shift else 0.0
        for z0, y0, x0, height in [*BLOBS, *([(0.0, 10.0, 62.0, 6.0), (0.0, -20.0, 62.0, 6.0)] if wide else [])]:
            centre = WIDTH / 2 + x0 * np.cos(angle) + z0 * np.sin(angle)
            distance = (u - centre) ** 2 + (y - HEIGHT / 2 - y0 - moved) ** 2
            stack[k] += 5 * height * np.exp(-distance / (2 * 4.0**2))
    return stack


def written(folder: Path, stack: NDArray[Any]) -> Path:
    np.save(folder / "stack.npy", stack)
    np.savetxt(folder / "stack.rawtlt", ANGLES)
    return folder / "stack.npy"


def as_large(monkeypatch: pytest.MonkeyPatch, *, binning: int = 4, most_projections: int = N) -> None:
    """Let as much be done as is needed for this binning of so many projections."""
    monkeypatch.setattr(describe_series, "_CHAIN_SIZE", max(HEIGHT, WIDTH) // binning)
    monkeypatch.setattr(describe_series, "_MOST_PROJECTIONS", most_projections)
    shape, is_chained = (min(N, most_projections), HEIGHT, WIDTH), most_projections >= N
    reading = shape[0] * HEIGHT * WIDTH * 4 * describe_series._OF_BYTE
    work = describe_series._work(shape, binning, is_chained=is_chained) + reading
    monkeypatch.setattr(describe_series, "_MOST_WORK", work)
    monkeypatch.setattr(describe_series, "_READING_ALL", 1.0)
    monkeypatch.setattr(describe_series, "_READING_SOME", 1.0)


def said(path: Path) -> dict[str, str]:
    """Everything that is said, by its label; notes in one text."""
    found: dict[str, str] = {}
    for text in describe_files([path]):
        label = text[: describe_series._LABEL_WIDTH].strip()
        found[label] = f"{found.get(label, '')}{text[describe_series._LABEL_WIDTH :]}\n"
    return found


def shift_said(text: str) -> float:
    match = re.search(r"shifted against each other by about ([\d.]+) pixels", text)
    assert match is not None, text
    return float(match[1])


def test_a_small_series_is_judged_pixel_by_pixel(tmp_path: Path) -> None:
    stack = projections(shift=6.0, level=30.0, wide=True)
    stack[:, 40, 40] += 500
    path = written(tmp_path, stack)
    found = find_given_series([path])
    assert describe_found(found) == describe_series.describe_series(load_series(found))
    text = said(path)["note"]
    assert "1 pixel(s) that are hot" in text
    assert "at once" not in text


@pytest.mark.parametrize("binning", [2, 4])
def test_lengths_are_in_pixels_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binning: int) -> None:
    path = written(tmp_path, projections(shift=8.0, level=30.0, wide=True))
    whole = said(path)["note"]
    as_large(monkeypatch, binning=binning)
    copy = said(path)["note"]
    assert f"judged on a copy binned {binning} x {binning}; bad pixels are looked for when" in copy
    assert shift_said(copy) == pytest.approx(shift_said(whole), rel=0.25)
    assert 4 < shift_said(copy) < 14
    assert f"margin of {WIDTH // 2} voxels" in whole
    assert f"margin of {WIDTH // 2} voxels" in copy
    levels = [float(re.findall(r"Background of ([\d.]+)", text)[0]) for text in (whole, copy)]
    assert levels == pytest.approx([30, 30], abs=0.3)


def test_numbers_that_binning_changes_are_not_said_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, projections(level=30.0))
    film = gaussian_filter(np.random.default_rng(0).normal(size=(N, HEIGHT, WIDTH)), (0, 4, 4))
    film = 100 + 10 * film / film.std()
    (tmp_path / "film").mkdir()
    covered = written(tmp_path / "film", film.astype(np.float32))
    assert re.search(r"Background of 30[.\d]* \(.*% of the height of the specimen\) subtracted", said(path)["note"])
    assert "is clearly empty, and none is darker than" in said(covered)["note"]
    as_large(monkeypatch)
    assert re.search(r"Background of (30|29\.9)[.\d]* subtracted", said(path)["note"])
    assert "No part of the projections is clearly empty: no background was subtracted." in said(covered)["note"]


def test_all_but_the_notes_on_pixels_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = projections()
    stack[7, 50, 20], stack[8, 60, 21] = 444.5, -77.5
    path = written(tmp_path, stack)
    whole = said(path)
    as_large(monkeypatch)
    copy = said(path)
    assert {**copy, "note": ""} == {**whole, "note": ""}
    assert copy["values"].startswith("-77.5 to 444.5, mean ")


def test_the_margin_is_half_the_view_also_where_it_was_turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = np.rot90(projections(wide=True), axes=(1, 2))
    path = written(tmp_path, np.ascontiguousarray(stack))
    whole = said(path)["note"]
    as_large(monkeypatch, binning=2)
    for text in (whole, said(path)["note"]):
        assert TURNED in text
        assert f"margin of {WIDTH // 2} voxels" in text


def test_blank_images_are_named_by_their_places_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = projections()
    stack[[5, 20]] = np.random.default_rng(1).normal(0, 0.2, (2, HEIGHT, WIDTH))
    path = written(tmp_path, stack)
    as_large(monkeypatch)
    assert "2 blank image(s), with next to no signal, left out: 5, 20 (from 0)" in said(path)["note"]


def test_of_some_projections_only_what_they_can_tell_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = projections(shift=8.0, level=30.0, wide=True)
    stack *= np.random.default_rng(1).uniform(0.8, 1.2, (N, 1, 1)).astype(np.float32)
    stack[5] = 30 + np.random.default_rng(1).normal(0, 0.2, (HEIGHT, WIDTH))
    stack[:, 40, 40] += 500
    path = written(tmp_path, stack)
    as_large(monkeypatch, binning=2, most_projections=9)
    looked: list[tuple[int, ...]] = []
    look = Glance.of

    def spy(found: FoundSeries, positions: tuple[int, ...], *, binning: int) -> Glance:
        looked.append(positions)
        return look(found, positions, binning=binning)

    monkeypatch.setattr(Glance, "of", spy)
    found = said(path)
    assert looked == [(0, 5, 10, 15, 20, 25, 30, 35, 40)]
    part = stack[list(looked[0])]
    assert (
        found["values"]
        == f"{part.min():.4g} to {part.max():.4g}, mean {part.mean(dtype=float):.4g}, of 9 of 41 projections\n"
    )
    assert "judged on 9 of 41 projections, binned 2 x 2, alone" in found["note"]
    assert "of 9 projections: the volume is fitted with a margin of 64 voxels" in found["note"]
    for word in ("shifted against", "blank image(s)", "hot", "intensity (gain)", "exposures follow"):
        assert word not in found["note"]
    assert found["tilt angles"] == "-60 to 60 degrees, step 3\n"
    assert "There are 9" not in found["note"]


def test_a_part_of_a_series_is_no_error_of_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = projections()
    # The projections that are looked at hold nothing.
    stack[::5] = np.nan
    path = written(tmp_path, stack)
    as_large(monkeypatch, most_projections=9)
    found = said(path)
    assert found["values"] == "none that counts, of 9 of 41 projections\n"
    assert found["left out"] == "100 % of the pixels, 9 whole projection(s), of 9 of 41 projections\n"
    assert "the projections were not judged" in found["note"]
    assert "missing" not in found or "cannot" not in found["missing"]


def test_a_file_that_is_read_from_its_beginning_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = projections()
    np.savez_compressed(tmp_path / "stack.npz", projections=stack, tilt_angles=ANGLES)
    as_large(monkeypatch, most_projections=5)
    monkeypatch.setattr(describe_series, "_OF_PACKED", 1e-9)
    found = said(tmp_path / "stack.npz")
    assert found["values"].endswith("of the first 5 of 41 projections\n")
    assert f"{stack[:5].max():.4g}," in found["values"]


def test_a_single_image_may_be_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, projections())
    as_large(monkeypatch)
    monkeypatch.setattr(describe_series, "_OF_BYTE", 1e9)
    found = said(path)
    assert found["values"].startswith("not looked at")
    assert "the projections were not judged" in found["note"]
    assert found["size"] == "41 projections of 96 x 128 pixels (height x width)\n"


@pytest.mark.parametrize("n_tilts", [3, 61, 181, 500, 5000])
@pytest.mark.parametrize("edge", [16, 128, 300, 2048, 8192])
@pytest.mark.parametrize("itemsize", [0, 1, 2, 4])
def test_what_is_planned_is_little_work(n_tilts: int, edge: int, itemsize: int) -> None:
    images = Images((n_tilts, edge, edge), lambda: iter(()), choose=lambda *_: iter(()), plain_itemsize=itemsize)
    plan = describe_series._Plan.of(images)
    n = len(plan.positions)
    if plan.is_whole:
        assert (n, plan.binning) == (n_tilts, 1)
        return
    per_pixel = itemsize * describe_series._OF_BYTE or describe_series._OF_PACKED
    reading = n * edge * edge * per_pixel
    work = describe_series._work((n, edge, edge), plan.binning, is_chained=n == n_tilts)
    assert reading <= 0.5 * describe_series._MOST_WORK
    assert work + reading <= describe_series._MOST_WORK
    # What is held: binned projections, and their neighbours' spectra.
    assert n * (edge // plan.binning) ** 2 <= describe_series._MOST_WORK
    assert list(plan.positions) == sorted(set(plan.positions))
    if n > 1:
        assert (plan.positions[0], plan.positions[-1]) == (0, n_tilts - 1)
