"""HDF5 files of all layouts: what is read from them, and what is refused before it does harm."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from helpers.hdf5_cases import (
    ANGLES,
    DATES,
    PIXEL_SIZE,
    WRITERS,
    add_emd_group,
    add_velox_image,
    images,
    velox_metadata,
    write_berkeley,
    write_data_exchange,
    write_hostile,
    write_nxtomo,
    write_plain,
    write_tomviz,
    write_velox,
)
from helpers.places import SHARED_DATA
from helpers.waiting import PATIENCE
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series
from napari_stinr.io.formats import hdf5_files, isolation
from napari_stinr.io.formats.containers import read_images
from napari_stinr.io.formats.guards import hdf5_chunks
from napari_stinr.io.formats.hdf5_files import dataset_images, open_hdf5
from napari_stinr.io.formats.hdf5_layouts import read_hdf5
from napari_stinr.io.formats.hdf5_text import read_text, text_attribute
from napari_stinr.io.formats.registry import read_stack

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.io.formats.containers import Stack

TOOTH = SHARED_DATA / "dataexchange" / "tooth.h5"


def pixels(stack: Stack, path: Path) -> np.ndarray:
    return read_images(stack.images, path)


def notes(stack: Stack) -> str:
    return " ".join(stack.notes)


@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_gives_its_images_and_angles(tmp_path, layout):
    # The ending says nothing about the layout.
    path = tmp_path / "series.h5"
    WRITERS[layout](path)
    stack = read_hdf5(path)
    assert np.array_equal(pixels(stack, path), images())
    assert stack.tilt_angles == pytest.approx(ANGLES, abs=1e-4)
    assert stack.pixel_size == (None if layout == "data_exchange" else pytest.approx(PIXEL_SIZE))
    # They may be read again.
    assert np.array_equal(pixels(stack, path), images())


# --- Velox


def test_velox_gives_the_dates_of_its_frames(tmp_path):
    path = tmp_path / "series.emd"
    write_velox(path)
    stack = read_hdf5(path)
    assert stack.timestamps == pytest.approx(DATES)
    assert stack.tilt_angles == pytest.approx(ANGLES, abs=1e-9)
    assert stack.notes == ()


def test_velox_dates_that_are_all_the_same_give_way_to_the_time_stamps(tmp_path):
    path = tmp_path / "series.emd"
    write_velox(path, dates=np.full(5, DATES[0]), stamps=DATES + 0.5)
    assert read_hdf5(path).timestamps == pytest.approx(DATES + 0.5)
    write_velox(path, dates=np.full(5, DATES[0]))
    assert read_hdf5(path).timestamps is None


def test_velox_takes_most_frames_then_the_haadf_detector(tmp_path):
    path = tmp_path / "series.emd"
    series = [velox_metadata(angle, date, detector="HAADF") for angle, date in zip(ANGLES, DATES, strict=True)]
    other = [velox_metadata(angle, date, detector="BF") for angle, date in zip(ANGLES, DATES, strict=True)]
    with h5py.File(path, "w") as file:
        add_velox_image(file, "a", images()[:1], [velox_metadata(0, DATES[0], detector="Ceta")])
        add_velox_image(file, "b", images() + 7, other)
        add_velox_image(file, "c", images(), series)
    stack = read_hdf5(path)
    assert np.array_equal(pixels(stack, path), images())
    assert "BF (5 images)" in notes(stack)
    assert "those of HAADF were read" in notes(stack)


def test_velox_single_image_is_a_stack_of_one_with_its_angle(tmp_path):
    path = tmp_path / "image.emd"
    with h5py.File(path, "w") as file:
        add_velox_image(file, "a", images()[:1], [velox_metadata(-12.5, DATES[0])])
    stack = read_hdf5(path)
    assert stack.images.shape == (1, 6, 8)
    assert stack.tilt_angles == pytest.approx([-12.5])
    assert stack.timestamps == pytest.approx([DATES[0]])


def test_velox_movie_and_diffraction_are_no_tilt_series_of_known_size(tmp_path):
    path = tmp_path / "movie.emd"
    with h5py.File(path, "w") as file:
        add_velox_image(file, "a", images(), [velox_metadata(20, date, unit="1/m") for date in DATES])
    stack = read_hdf5(path)
    assert stack.tilt_angles is None
    assert "stood at 20°" in notes(stack)
    assert stack.pixel_size is None


def test_velox_metadata_that_do_not_fit_are_left_out(tmp_path):
    path = tmp_path / "series.emd"
    with h5py.File(path, "w") as file:
        add_velox_image(file, "a", images(), [velox_metadata(20, DATES[0])])
    stack = read_hdf5(path)
    assert stack.tilt_angles is None
    assert stack.pixel_size == pytest.approx(PIXEL_SIZE)
    assert "tilt angles of 1 of 5 images" in notes(stack)
    with h5py.File(path, "r+") as file:
        file["Data/Image/a/Metadata"][:] = ord("[")
    assert "tilt angles of 0 of 5 images" in notes(read_hdf5(path))


# --- Berkeley and tomviz


@pytest.mark.parametrize("tilt_axis", [0, 1, 2])
def test_berkeley_finds_the_tilt_axis_by_its_unit(tmp_path, tilt_axis):
    path = tmp_path / "series.emd"
    write_berkeley(path, tilt_axis=tilt_axis, in_radians=True)
    stack = read_hdf5(path)
    assert np.array_equal(pixels(stack, path), images())
    assert stack.tilt_angles == pytest.approx(ANGLES)


def test_berkeley_images_stored_as_x_y_are_turned_to_y_x(tmp_path):
    path = tmp_path / "series.emd"
    dims = [("tilt", "deg", ANGLES), ("x", "nm", np.arange(8) * 0.5), ("y", "nm", np.arange(6) * 0.5)]
    with h5py.File(path, "w") as file:
        add_emd_group(file, "data/series", images().transpose(0, 2, 1), dims)
    stack = read_hdf5(path)
    assert np.array_equal(pixels(stack, path), images())
    assert stack.pixel_size == pytest.approx(5.0)


def test_berkeley_tolerates_what_is_in_the_wild(tmp_path):
    # Axes of length 1, lists of text, missing lists, no mark of the group, a start and a step in place of a list.
    path = tmp_path / "series.emd"
    with h5py.File(path, "w") as file:
        group = add_emd_group(
            file,
            "data/series",
            images()[None],
            [("channel", "", ["HAADF"]), ("tilt angle", "", ANGLES), ("row", "[n_m]", np.array([0, 0.325]))],
        )
        del group.attrs["emd_group_type"]
    stack = read_hdf5(path)
    assert np.array_equal(pixels(stack, path), images())
    assert stack.tilt_angles == pytest.approx(ANGLES)
    assert stack.pixel_size == pytest.approx(PIXEL_SIZE)
    assert "taken as degrees" in notes(stack)


def test_berkeley_with_several_series_is_refused_with_their_names(tmp_path):
    path = tmp_path / "series.emd"
    dims = [("angles", "deg", ANGLES), ("y", "nm", np.arange(6)), ("x", "nm", np.arange(8))]
    with h5py.File(path, "w") as file:
        add_emd_group(file, "data/first", images(), dims)
        add_emd_group(file, "data/second", images(), dims)
    with pytest.raises(StinrError, match=r"holds 2 data sets.*/data/first, /data/second"):
        read_hdf5(path)


def test_tomviz_series_has_its_order_of_acquisition(tmp_path):
    path = tmp_path / "series.emd"
    write_tomviz(path)
    stack = read_hdf5(path)
    assert stack.times == pytest.approx([4, 3, 2, 1, 0])
    assert stack.time_unit == ""


def test_tomviz_volume_has_no_angles_and_says_so(tmp_path):
    path = tmp_path / "volume.emd"
    write_tomviz(path, is_volume=True)
    stack = read_hdf5(path)
    assert stack.tilt_angles is None
    assert "marks it as a volume" in notes(stack)
    # tomviz writes volumes as (x, y, z); ours are (z, y, x).
    assert np.array_equal(pixels(stack, path), images().transpose(2, 1, 0))


def test_rosettasciio_writes_berkeley_files_that_are_read_with_the_same_axes(tmp_path):
    emd = pytest.importorskip("rsciio.emd")
    path = tmp_path / "series.emd"
    axes = [
        {"size": n, "name": name, "units": units, "scale": scale, "offset": offset, "navigate": name == "tilt"}
        for n, name, units, scale, offset in (
            (5, "tilt", "deg", 2.0, -4.0),
            (6, "y", "nm", 0.4, 0.0),
            (8, "x", "nm", 0.4, 0.0),
        )
    ]
    for number, axis in enumerate(axes):
        axis["index_in_array"] = number
    signal = {
        "data": images(),
        "axes": axes,
        "metadata": {"General": {"title": "series", "original_filename": "series"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "learning_results": {},
    }
    emd.file_writer(path, signal)
    stack = read_hdf5(path)
    assert np.array_equal(pixels(stack, path), images())
    assert stack.tilt_angles == pytest.approx([-4, -2, 0, 2, 4])
    assert stack.pixel_size == pytest.approx(4.0)


# --- Data Exchange and NXtomo


def test_data_exchange_says_that_flat_and_dark_fields_were_not_applied(tmp_path):
    path = tmp_path / "scan.h5"
    write_data_exchange(path, in_radians=True)
    stack = read_hdf5(path)
    assert stack.tilt_angles == pytest.approx(ANGLES)
    assert "data_white and data_dark: these flat and dark fields were not applied" in notes(stack)


LISTS_OF_ANGLES = {
    "data_exchange": "exchange/theta",
    "nxtomo": "entry/sample/rotation_angle",
    "berkeley": "data/experiment/dim1",
    "plain": "angles",
}


@pytest.mark.parametrize("layout", LISTS_OF_ANGLES)
@pytest.mark.parametrize("number", [3, 0])
def test_angles_of_another_number_are_said_to_be_there(tmp_path, layout, number):
    # "Neither a file beside it nor its header has them" would be wrong, and hide a truncated list.
    path = tmp_path / "scan.h5"
    WRITERS[layout](path)
    with h5py.File(path, "r+") as file:
        name = LISTS_OF_ANGLES[layout]
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = np.arange(float(number))
        file[name].attrs.update(attributes)
    words = f"{number} tilt angles for scan.h5.*expected 5" if number else "no tilt angles"
    with pytest.raises(StinrError, match=words):
        read_tilt_series(path)
    assert read_tilt_series(path, tilt_angles=ANGLES).n_tilts == 5


@pytest.mark.skipif(not TOOTH.exists(), reason="the example tooth.h5 is not beside the checkout")
def test_data_exchange_of_a_synchrotron():
    stack = read_hdf5(TOOTH)
    assert stack.images.shape == (181, 2, 640)
    assert stack.tilt_angles.shape == (181,)
    assert stack.tilt_angles[0] == 0
    assert stack.tilt_angles[-1] == pytest.approx(180, abs=1)
    with h5py.File(TOOTH) as file:
        assert np.array_equal(pixels(stack, TOOTH), file["exchange/data"][()])


@pytest.mark.parametrize("subentry", [False, True])
def test_nxtomo_keeps_projections_alone_with_their_angles_and_frame_numbers(tmp_path, subentry):
    path = tmp_path / "scan.nxs"
    write_nxtomo(path, subentry=subentry)
    stack = read_hdf5(path)
    assert np.array_equal(pixels(stack, path), images())
    assert stack.tilt_angles == pytest.approx(ANGLES)
    assert stack.times == pytest.approx([2, 3, 5, 6, 7])
    assert "4 of 9 frames were left out by their image key: 2 flat fields, 1 dark fields, 1 others" in notes(stack)
    assert "mind the magnification" in notes(stack)


def test_nxtomo_keys_must_fit_the_frames(tmp_path):
    path = tmp_path / "scan.nxs"
    write_nxtomo(path)
    with h5py.File(path, "r+") as file:
        file["entry/instrument/detector/image_key"][:] = 1
    with pytest.raises(StinrError, match="9 frames and 9 image keys, 0 of them 0"):
        read_hdf5(path)


# --- any other file


def test_plain_file_gives_angles_times_and_mask_under_usual_names(tmp_path):
    path = tmp_path / "series.h5"
    write_plain(path)
    mask = images() > 3
    with h5py.File(path, "r+") as file:
        file["mask"] = mask
        file["times"] = np.arange(5) * 7.0
        file["times"].attrs["units"] = "min"
    stack = read_stack(path)
    assert np.array_equal(stack.mask, mask)
    assert stack.times == pytest.approx(np.arange(5) * 7.0)
    assert stack.time_unit == "min"
    assert "no unit and were taken as degrees" in notes(stack)


def test_a_mask_is_no_part_of_the_memory_that_a_header_may_take(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "_BASE_BYTES", 32_000_000)
    path = tmp_path / "series.h5"
    shape = (40, 1024, 1024)
    with h5py.File(path, "w") as file:
        for name in ("data", "mask"):
            file.create_dataset(name, shape, "u1", chunks=(1, *shape[1:]), compression="gzip")
        file["mask"][3] = 1
    stack = read_stack(path)
    assert stack.mask.dtype == bool
    assert stack.mask.sum(axis=(1, 2)).tolist() == [0] * 3 + [1024 * 1024] + [0] * 36


def test_times_of_another_number_are_left_out_with_both_numbers(tmp_path):
    path = tmp_path / "series.h5"
    write_plain(path)
    with h5py.File(path, "r+") as file:
        file["times"] = np.arange(4.0)
    series = read_tilt_series(path)
    assert "/times lists 4 times for 5 images and was left out." in series.notes
    write_tomviz(path)
    with h5py.File(path, "r+") as file:
        del file["data/tomography/scan_ids"]
        file["data/tomography/scan_ids"] = np.arange(4)
    stack = read_hdf5(path)
    assert stack.times is None
    assert "scan_ids lists 4 times for 5 images" in notes(stack)


@pytest.mark.parametrize(
    ("unit", "size", "note"), [("", 7.0, "has no unit and was taken as Å"), ("nm", 70.0, ""), ("1/nm", None, "7 1/nm")]
)
def test_pixel_size_of_a_plain_file(tmp_path, unit, size, note):
    path = tmp_path / "series.h5"
    write_plain(path)
    with h5py.File(path, "r+") as file:
        del file["pixel_size"]
        file["pixel_size"] = 7.0
        if unit:
            file["pixel_size"].attrs["units"] = unit
    series = read_tilt_series(path)
    assert series.pixel_size == size
    assert ("The pixel size in /pixel_size" in " ".join(series.notes)) == bool(note)
    assert note in " ".join(series.notes)


def test_notes_name_the_place_of_each_value(tmp_path):
    path = tmp_path / "series.h5"
    write_plain(path)
    with h5py.File(path, "r+") as file:
        file["times"] = np.arange(5.0)
    series = read_tilt_series(path)
    assert any(note.startswith("Tilt angles from the HDF5 dataset /angles.") for note in series.notes)
    assert "Times from the HDF5 datasets." in series.notes


def test_angles_of_whole_numbers_without_sign_are_not_counted_round(tmp_path):
    path = tmp_path / "series.h5"
    with h5py.File(path, "w") as file:
        file["stack"] = images()
        file["theta"] = np.array([0, 45, 90, 135, 250], np.uint8)
        file["theta"].attrs["units"] = "degrees"
    assert read_hdf5(path).tilt_angles == pytest.approx([0, 45, 90, 135, 250])


def test_data_of_a_kind_that_numpy_does_not_have_do_not_matter(tmp_path):
    path = tmp_path / "series.h5"
    write_plain(path)
    with h5py.File(path, "r+") as file:
        for shape in ((), (3, 4, 5)):
            h5py.h5d.create(file.id, f"time{len(shape)}".encode(), h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple(shape))
    assert np.array_equal(pixels(read_hdf5(path), path), images())


def test_number_of_angles_says_which_axis_is_the_tilt(tmp_path):
    path = tmp_path / "series.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.moveaxis(images(), 0, 2)
        file["angles"] = ANGLES
    stack = read_hdf5(path)
    assert np.array_equal(pixels(stack, path), images())
    assert "on axis 3 of the data" in notes(stack)


def test_several_stacks_or_none_are_refused_with_what_was_found(tmp_path):
    path = tmp_path / "series.h5"
    with h5py.File(path, "w") as file:
        file["a/one"] = images()
        file["a/two"] = images()
    with pytest.raises(StinrError, match=r"holds 2 stacks.*/a/one, /a/two"):
        read_hdf5(path)
    with h5py.File(path, "w") as file:
        file["table"] = np.zeros((4, 2))
    with pytest.raises(StinrError, match="/table 4x2"):
        read_hdf5(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(StinrError, match="cannot be read"):
        read_hdf5(path)


# --- reading in blocks


@pytest.mark.parametrize("storage", [{}, {"chunks": (2, 3, 2)}, {"chunks": (6, 4, 5), "compression": "gzip"}])
@pytest.mark.parametrize("block", [1, 500, 10**6])
def test_images_are_the_same_in_blocks_of_any_size(tmp_path, monkeypatch, storage, block):
    monkeypatch.setattr(hdf5_files, "BLOCK_BYTES", block)
    path = tmp_path / "series.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.moveaxis(images("int32"), 0, 2), **storage)
    every = dataset_images(path, "data", axes=(2, 0, 1))
    assert np.array_equal(read_images(every, path), images())
    some = dataset_images(path, "data", axes=(2, 0, 1), selection=[1, 4])
    assert np.array_equal(read_images(some, path), images()[[1, 4]])


@pytest.mark.parametrize("dtype", ["bool", ">u2", "float16", "int8", "<f8", ">f4"])
def test_chunks_are_decoded_as_h5py_decodes_them(tmp_path, dtype):
    path = tmp_path / "series.h5"
    values = np.random.default_rng(0).integers(0, 100, (5, 7, 9)).astype(dtype)
    kinds = (
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"compression": "lzf"},
        {"fletcher32": True},
        {"shuffle": True},
    )
    with h5py.File(path, "w", libver="latest") as file:
        for k, kind in enumerate(kinds):
            file.create_dataset(f"data{k}", data=values, chunks=(2, 4, 4), maxshape=(None, 7, None), **kind)
        # Chunks that were never written hold the fill value.
        file.create_dataset("holes", values.shape, dtype, chunks=(2, 4, 4), fillvalue=1)[:, :4] = values[:, :4]
        holes = file["holes"][()]
    for k in range(len(kinds)):
        assert np.array_equal(read_images(dataset_images(path, f"data{k}"), path), values.astype(np.float32))
    assert np.array_equal(read_images(dataset_images(path, "holes"), path), holes.astype(np.float32))


def test_chunk_that_spans_all_tilts_is_expanded_once(tmp_path, monkeypatch):
    path = tmp_path / "series.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.moveaxis(images(), 0, 2), chunks=(3, 4, 5), compression="gzip")
    decoded = []
    decode = hdf5_chunks._decoded

    def counted(*given):
        decoded.append(given)
        return decode(*given)

    monkeypatch.setattr(hdf5_chunks, "_decoded", counted)
    read_images(dataset_images(path, "data", axes=(2, 0, 1)), path)
    assert len(decoded) == 4


def test_file_that_this_program_has_open_already_is_read(tmp_path):
    path = tmp_path / "series.h5"
    write_plain(path)
    with h5py.File(path, "r"):
        assert np.array_equal(pixels(read_hdf5(path), path), images())


# --- text


@pytest.mark.parametrize("n_attributes", [1, 40])
@pytest.mark.parametrize("how", [{}, {"libver": "latest"}, {"userblock_size": 512}, {"track_order": True}])
def test_text_of_variable_length_is_found_wherever_it_is_stored(tmp_path, n_attributes, how):
    # Many attributes make the header continue elsewhere, or leave it altogether (in the newest format).
    path = tmp_path / "text.h5"
    with h5py.File(path, "w", **how) as file:
        for k in range(n_attributes - 1):
            file.attrs[f"other{k}"] = "x" * k
        file.attrs["units"] = "[n_m] µ"
        file["definition"] = "NXtomo"
        file["fixed"] = np.bytes_("fixed")
    with open_hdf5(path) as file:
        assert text_attribute(file, "units") == "[n_m] µ"
        assert text_attribute(file, "none") == ""
        assert read_text(file["definition"], path) == "NXtomo"
        assert read_text(file["fixed"], path) == "fixed"


def test_damaged_heap_of_text_is_no_endless_loop(tmp_path):
    path = tmp_path / "series.emd"
    write_berkeley(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 24 : heap + 32] = bytes(8)  # the size of the first object
    path.write_bytes(content)
    with pytest.raises(StinrError, match="does not come to an end"):
        read_stack(path)
    write_berkeley(path)
    assert np.array_equal(pixels(read_stack(path), path), images())


# --- hostile files

REFUSALS = {
    "external_link": "refers to another file",
    "external_storage": "refers to another file",
    "virtual": "refers to another file",
    "soft_link_loop": "round and round",
    "declares_36_tib": "would expand|cannot be read",
    "chunks_of_36_tib": "would expand",
    "gzip_bomb": "would expand",
    "chunk_expands_to_more": "5000000 bytes in /data",
    "chunk_expands_to_less": "5000000 bytes in /data",
    "chunk_larger_than_declared": "one has 4000",
    "millions_of_chunks": "only 0 were written",
    "mostly_unwritten": "only 0 were written",
    "objects": "holds /data 3x4x5",
    "complex": "complex numbers.*Save the phase",
    "empty": "none of them empty|holds /data 5x0x8",
}
READ = """
import resource, sys, time
from pathlib import Path
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import read_images
from napari_stinr.io.formats.isolation import end_workers
from napari_stinr.io.formats.registry import read_stack
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in map(Path, sys.argv[1:]):
    try:
        read_images(read_stack(path).images, path)
        print("read")
    except StinrError as error:
        print(error)
end_workers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
children = resource.getrusage(resource.RUSAGE_CHILDREN)
print(children.ru_maxrss)
print(time.process_time() + children.ru_utime + children.ru_stime)
"""


def test_hostile_files_are_refused_at_once_and_with_little_memory(tmp_path):
    paths = write_hostile(tmp_path)
    assert paths["gzip_bomb"].stat().st_size < 2_500_000
    assert paths["declares_36_tib"].stat().st_size < 10_000
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths.values())],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    *answers, grown, child, seconds = done.stdout.splitlines()
    for (name, path), answer in zip(paths.items(), answers, strict=True):
        assert path.name in answer, name
        assert re.search(REFUSALS[name], answer), f"{name}: {answer}"
    unit = 1024 if sys.platform == "darwin" else 1
    assert int(grown) / unit < 150_000
    # The process that opens them: itself and what a file takes.
    assert int(child) / unit < 300_000
    assert float(seconds) < 10
