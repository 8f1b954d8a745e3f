"""What the window shows of a stack, and that the training takes what the shell takes, however large the stack is."""

from __future__ import annotations

import math
import os
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import psutil
import pytest
import tifffile
from napari.utils import notifications

from helpers.plugin_cases import same_series
from napari_stinr import read_tilt_series
from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.data.preprocessing.contrast import background_level
from napari_stinr.errors import StinrError
from napari_stinr.io import write_tilt_series
from napari_stinr.io.formats.stored import StoredImages
from napari_stinr.plugin.canvas.layer_data import contrast_limits, series_layer
from napari_stinr.plugin.session import preview as preview_module
from napari_stinr.plugin.session.corrections import angles_from
from napari_stinr.plugin.session.new_draft import read_draft
from napari_stinr.plugin.session.stack_facts import mean_intensity

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft

SHAPE = (31, 41, 62)
STACK = np.random.default_rng(2).normal(3.0, 1.0, SHAPE).astype(np.float32)


def write(path: Path, stack: np.ndarray = STACK, **options: object) -> Path:
    if path.suffix == ".npy":
        np.save(path, np.asfortranarray(stack) if options else stack)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, stack, photometric="minisblack", **options)
    else:
        write_tilt_series(path, stack, pixel_size=0.5)
    return path


def draft_of(path: Path) -> SeriesDraft:
    return angles_from(read_draft(path), "-60:4")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every stack be a large one."""
    monkeypatch.setattr(preview_module, "COPIED_BYTES", 0)


def let_memory_be(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    free = psutil.virtual_memory()._replace(available=n_bytes)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)


def test_a_small_stack_is_copied_and_the_training_takes_that_copy(tmp_path):
    draft = draft_of(write(tmp_path / "s.mrc"))
    assert draft.preview.as_read
    assert np.shares_memory(draft.series().projections, draft.preview.values)
    (tmp_path / "s.mrc").unlink()  # whatever happens to the file now
    np.testing.assert_array_equal(draft.series().projections, STACK)


@pytest.mark.parametrize("name", ["s.mrc", "s.npy", "s.tif"])
def test_a_large_stack_is_shown_out_of_its_file(tmp_path, large, name):
    path = write(tmp_path / name)
    draft = draft_of(path)
    assert isinstance(draft.preview.values, StoredImages)
    np.testing.assert_array_equal(draft.preview, STACK)
    assert draft.preview[3].dtype == np.float32
    np.testing.assert_array_equal(draft.preview[np.array([[3, 7]])], STACK[[[3, 7]]])
    assert series_layer(draft)[1]["contrast_limits"] == contrast_limits(STACK)
    assert background_level(draft.preview.values) == background_level(STACK)
    for binning in (1, 2):
        same_series(
            replace(draft, binning=binning).series(), read_tilt_series(path, tilt_angles="-60:4", binning=binning)
        )


def test_a_large_stack_whose_images_do_not_lie_in_one_piece_is_copied(tmp_path, large):
    path = write(tmp_path / "s.npy", order="F")
    draft = draft_of(path)
    assert draft.preview.as_read
    np.testing.assert_array_equal(draft.preview, STACK)
    same_series(draft.series(), read_tilt_series(path, tilt_angles="-60:4"))


def test_the_contrast_is_that_of_a_sample_from_everywhere(tmp_path, large, monkeypatch):
    monkeypatch.setattr(preview_module, "SAMPLED_PIXELS", 1000)
    draft = draft_of(write(tmp_path / "s.mrc"))
    np.testing.assert_array_equal(draft.preview.pixels, STACK.ravel()[:: STACK.size // 1000])


LOSSES = {
    "cut": lambda path: os.truncate(path, 5000),
    "removed": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "replaced": lambda path: write(path, 1 - STACK),
}


# A crash would end the tests, too.
@pytest.mark.parametrize("name", ["s.mrc", "s.npy", "s.tif"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_stack_that_is_lost_while_it_is_shown_is_blank_and_said_once(tmp_path, large, monkeypatch, name, loss):
    said: list[str] = []
    monkeypatch.setattr(notifications, "show_error", said.append)
    path = write(tmp_path / name)
    draft = draft_of(path)
    data = series_layer(draft)[0]
    np.testing.assert_array_equal(data[10, 0], STACK[10])
    LOSSES[loss](path)
    for _ in range(2):
        shown = series_layer(draft)[0]
        np.testing.assert_array_equal(shown[10, 0], np.zeros(SHAPE[1:]))
        assert shown[2:5, :, 3].shape == (3, 1, SHAPE[2])
        assert shown[10].dtype == shown.dtype
    assert len(said) == 1
    assert name in said[0]
    # What is computed or written must not go on with blank images.
    with pytest.raises(StinrError, match=name):
        np.asarray(shown)
    for use in (mean_intensity, background_level):
        with pytest.raises(StinrError, match=name):
            use(draft.preview.values)
    for binning in (1, 2):
        with pytest.raises(StinrError, match=rf"{name} has changed since it was opened.*Open it again"):
            replace(draft, binning=binning).series()


@pytest.mark.parametrize("ending", [".mrc", ".npy", ".tif", ".npz", ".h5"])
def test_a_file_that_was_replaced_is_never_trained_with_the_old_angles(tmp_path, ending):
    path, other = tmp_path / f"s{ending}", tmp_path / f"t{ending}"
    for file, stack in ((path, STACK), (other, 1 - STACK)):
        if ending == ".npz":
            np.savez(file, projections=stack, tilt_angles=np.arange(31.0))
        elif ending == ".h5":
            with h5py.File(file, "w") as stream:
                stream["data"], stream["angles"] = stack, np.arange(31.0)
        else:
            write(file, stack)
    draft = draft_of(path)
    other.replace(path)
    # What was shown is trained, as it is in memory, and nothing else is.
    np.testing.assert_array_equal(draft.series().projections, STACK)
    with pytest.raises(StinrError, match=rf"s\{ending} has changed since it was opened"):
        replace(draft, binning=2).series()
    np.testing.assert_array_equal(draft_of(path).series().projections, 1 - STACK)


def test_integers_are_shown_as_single_precision(tmp_path, large):
    stack = (100 * STACK).astype("int16")
    draft = draft_of(write(tmp_path / "s.npy", stack))
    assert draft.preview.values.dtype == np.int16
    data, options, _ = series_layer(draft)
    assert data.dtype == data[2].dtype == np.float32
    np.testing.assert_array_equal(np.asarray(data)[:, 0], stack)
    assert options["contrast_limits"] == contrast_limits(stack.astype(np.float32))


def test_a_large_stack_costs_no_memory(tmp_path):
    shape = (24, 1024, 1024)
    hollow = np.lib.format.open_memmap(tmp_path / "s.npy", "w+", dtype="float32", shape=shape)
    hollow[5, :8, :8] = 640
    hollow.flush()
    assert 4 * math.prod(shape) > preview_module.COPIED_BYTES
    tracemalloc.start()
    try:
        draft = angles_from(read_draft(tmp_path / "s.npy"), "-24:2")
        series_layer(draft)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # An image of single precision has 4 MB, the sample for the contrast at most 3 MB.
    assert peak < 16e6
    assert draft.preview[5][0, 0] == 640


@pytest.mark.parametrize("gap", ["NaN", "beyond single precision", "infinite"])
def test_pixels_that_must_be_put_right_are_not_shown_out_of_the_file(tmp_path, large, gap):
    stack = STACK.astype(np.float64)
    stack[4, 2:7, 3] = {"NaN": np.nan, "infinite": np.inf}.get(gap, 1e300)
    path = write(tmp_path / "s.npy", stack)
    if gap != "NaN":
        with pytest.raises(StinrError, match=r"infinite pixel|beyond single precision"):
            draft_of(path)
        return
    draft = draft_of(path)
    assert draft.preview.as_read
    assert not draft.preview.mask[4, 2:7, 3].any()
    same_series(draft.series(), read_tilt_series(path, tilt_angles="-60:4"))


def test_a_stack_larger_than_the_memory_opens_and_trains_binned(tmp_path, large, monkeypatch):
    path = write(tmp_path / "s.tif", compression="zlib")
    expected = read_tilt_series(path, tilt_angles="-60:4", binning=4)
    size = 4 * math.prod(SHAPE)
    let_memory_be(monkeypatch, 2 * size // 3)
    draft = draft_of(path)
    assert (draft.preview.binning, draft.shape, len(draft.preview)) == (2, SHAPE, SHAPE[0])
    assert draft.preview.values.nbytes < size // 3
    same_series(replace(draft, binning=4).series(), expected)
    with pytest.raises(StinrError, match="of free memory"):
        draft.series()


def test_a_stack_that_fits_with_no_binning_is_refused(tmp_path, monkeypatch):
    let_memory_be(monkeypatch, 5_000)
    with pytest.raises(StinrError, match=r"s\.mrc declares the shape .* of free memory"):
        read_draft(write(tmp_path / "s.mrc"))


def test_a_binned_preview_lies_where_the_pixels_are(tmp_path, large, monkeypatch):
    stack = np.zeros(SHAPE, dtype=np.float32)
    stack[:, 20:24, 30:36] = 8
    path = write(tmp_path / "s.tif", stack, compression="zlib")
    let_memory_be(monkeypatch, 2 * 4 * math.prod(SHAPE) // 3)
    preview = draft_of(path).preview
    image = preview[7]
    assert image.shape == SHAPE[1:]
    rows, columns = np.indices(SHAPE[1:])
    np.testing.assert_allclose((image * rows).sum() / image.sum(), 21.5, atol=0.6)
    np.testing.assert_allclose((image * columns).sum() / image.sum(), 32.5, atol=0.6)
    np.testing.assert_allclose(preview[np.array([7, 2])], [image, preview[2]])
    assert preview[2:2].shape == (0, *SHAPE[1:])
    np.testing.assert_allclose(mean_intensity(preview.values), mean_intensity(stack), rtol=0.05)


def test_what_is_saved_of_a_binned_preview_are_the_pixels(tmp_path, large, monkeypatch):
    path = write(tmp_path / "s.tif", compression="zlib")
    with monkeypatch.context() as memory:
        let_memory_be(memory, 2 * 4 * math.prod(SHAPE) // 3)
        draft = draft_of(path)
    np.testing.assert_array_equal(draft.projections(), STACK)


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_enlarging_undoes_binning_where_squares_are_even(factor):
    way = Binning(41, 62, factor)
    binned = np.random.default_rng(3).random(way.shape)
    enlarged = way.enlarged(binned)
    assert enlarged.shape == (41, 62)
    np.testing.assert_allclose(way.image(enlarged, None)[0], binned)


def test_a_file_that_was_cut_while_it_was_open_is_told_at_the_start(tmp_path):
    path = write(tmp_path / "s.mrc")
    draft = replace(draft_of(path), binning=2)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(StinrError, match=r"s\.mrc has changed since it was opened"):
        draft.series()


@pytest.mark.skipif(not hasattr(psutil.Process, "memory_maps"), reason="this system does not list what is mapped")
def test_a_large_series_of_many_files_keeps_none_of_them_open(tmp_path, large):
    for number, image in enumerate(STACK):
        write(tmp_path / f"t_{number}.mrc", image[None])
    process = psutil.Process()
    n_before = len(process.memory_maps(grouped=False))
    draft = draft_of(tmp_path)
    assert len(process.memory_maps(grouped=False)) < n_before + len(STACK) // 2
    assert draft.preview.as_read
    np.testing.assert_array_equal(draft.preview, STACK)
