"""A crop keeps the tilt axis where it is in the specimen, whichever way it lies, binned or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_stinr as stinr
from napari_stinr.cli.main import main
from napari_stinr.data.notes import NoteKind
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.data.preprocessing.prepare import turned
from napari_stinr.errors import StinrError
from napari_stinr.io.series.discovery import find_series
from napari_stinr.io.series.reading import load_series

if TYPE_CHECKING:
    from pathlib import Path

ANGLES = np.linspace(-60, 60, 13)
SHAPE = (20, 31)
AXIS = 1.5
"""Offset of the axis in the whole image [pixel]."""


def written(folder: Path, stack: np.ndarray) -> Path:
    path = folder / "needle.npy"
    np.save(path, stack.astype(np.float32))
    stinr.write_tilt_angles(folder / "needle.rawtlt", ANGLES)
    return path


def ramps(axis: int) -> np.ndarray:
    """`(13, 20, 31)` images of which every pixel is its distance from a tilt axis along x (2) or, upwards, y (1)."""
    height, width = SHAPE
    y, x = np.indices(SHAPE)
    distance = x - (width - 1) / 2 - AXIS if axis == 2 else -(y - (height - 1) / 2) - AXIS
    return np.repeat(distance[None], len(ANGLES), axis=0)


def at_axis(series: stinr.TiltSeries) -> float:
    """Value of the first row of the first image where the series says that its axis is."""
    columns = np.arange(series.width) - (series.width - 1) / 2
    return float(np.interp(series.axis_offset, columns, series.projections[0, 0]))


@pytest.mark.parametrize("binning", [1, 2, 3])
@pytest.mark.parametrize("crop", [(0, 20, 0, 31), (3, 17, 4, 30), (2, 9, 0, 24), (1, 4, 11, 28)])
def test_a_vertical_axis_stays_where_it_is(tmp_path: Path, crop: tuple[int, int, int, int], binning: int) -> None:
    series = stinr.read_tilt_series(written(tmp_path, ramps(2)), axis_offset=AXIS, crop=crop, binning=binning)
    assert (series.height, series.width) == ((crop[1] - crop[0]) // binning, (crop[3] - crop[2]) // binning)
    assert at_axis(series) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("binning", [1, 2, 3])
@pytest.mark.parametrize("crop", [(0, 20, 0, 31), (3, 17, 22, 30), (1, 15, 0, 6)])
def test_a_horizontal_axis_is_where_it_was_once_the_images_are_turned(
    tmp_path: Path, crop: tuple[int, int, int, int], binning: int
) -> None:
    # Along x, the crop may lie anywhere: the axis goes on there.
    read = stinr.read_tilt_series(written(tmp_path, ramps(1)), axis_offset=AXIS, crop=crop, binning=binning)
    series = turned(read)
    assert series.width == (crop[1] - crop[0]) // binning
    assert at_axis(series) == pytest.approx(0, abs=1e-5)


def test_pixels_mask_and_a_note_are_those_of_the_rectangle(tmp_path: Path) -> None:
    stack = np.random.default_rng(1).normal(size=(13, *SHAPE)).astype(np.float32)
    stack[2, 5, 6] = np.nan
    series = stinr.read_tilt_series(written(tmp_path, stack), crop=(4, 16, 5, 26))
    assert series.mask is not None
    np.testing.assert_array_equal(series.projections, np.nan_to_num(stack[:, 4:16, 5:26]))
    np.testing.assert_array_equal(~series.mask, np.isnan(stack[:, 4:16, 5:26]))
    (note,) = [note for note in series.notes if note.kind is NoteKind.CROPPED]
    assert note == "Cropped to rows 4 to 15 and columns 5 to 25 (from 0): 12 x 21 pixels."


@pytest.mark.parametrize("crop", [(0, 21, 0, 31), (-1, 5, 0, 31), (5, 5, 0, 31), (0, 20, 7, 8), (9, 3, 0, 31)])
def test_a_rectangle_that_is_empty_or_not_within_the_images_is_refused(
    tmp_path: Path, crop: tuple[int, int, int, int]
) -> None:
    with pytest.raises(StinrError, match=r"a crop to .* expected a rectangle within 0:20,0:31"):
        stinr.read_tilt_series(written(tmp_path, ramps(2)), crop=crop)


def test_a_crop_beside_the_axis_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    path = written(tmp_path, ramps(2) + np.random.default_rng(0).normal(size=(13, *SHAPE)))
    series = stinr.read_tilt_series(path, crop=(0, 20, 20, 31))
    with pytest.raises(StinrError, match=r"axis offset is -10 pixels.*crop images about it"):
        stinr.reconstruct(series, steps=1, threads=1)
    with pytest.raises(StinrError, match="axis offset"):
        stinr.read_tilt_series(path, crop=(12, 20, 20, 31))


def test_text_is_read_as_it_is_written() -> None:
    assert Crop.of_text(" 10:200, 20:180 ") == Crop(10, 200, 20, 180)
    assert Crop.of_text(Crop(1, 2, 3, 4).text) == Crop(1, 2, 3, 4)
    for text in ("", "10:200", "1:2,3:x", "1:2:3:4"):
        with pytest.raises(StinrError, match="TOP:BOTTOM,LEFT:RIGHT"):
            Crop.of_text(text)


def test_the_command_line_crops_what_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = np.random.default_rng(3).random((13, *SHAPE)) + 3 * np.exp(-(ramps(2) ** 2) / 20)
    path, out = written(tmp_path, stack), tmp_path / "run.stinr"
    words = ["train", str(path), "--out", str(out), "--crop", "2:10,3:30", "--steps", "2", "--preset", "static"]
    assert main([*words, "--align", "off", "--threads", "1"]) == 0
    assert "Cropped to rows 2 to 9 and columns 3 to 29" in capsys.readouterr().err
    assert stinr.load_reconstruction(out).grid.shape == (27, 8, 27)
    assert main(["train", str(path), "--out", str(out), "--crop", "2:10", "--steps", "2"]) != 0
    assert "TOP:BOTTOM,LEFT:RIGHT" in capsys.readouterr().err


def test_what_was_read_before_is_taken_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, ramps(2))
    found, crop = find_series(path), Crop(2, 12, 3, 30)
    whole = stinr.read_tilt_series(path)
    given = load_series(found, crop=crop, pixels=(crop.image(whole.projections), None))
    assert given.fingerprint() == load_series(found, crop=crop).fingerprint()
