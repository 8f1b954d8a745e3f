"""A series in several files, a folder, or files that an .mdoc describes: in any order, each angle with its image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tifffile

from helpers.reading_cases import refused
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series, write_tilt_angles, write_tilt_series, write_times
from napari_stinr.io.series.sources import natural_order

ANGLES = np.array([-30.0, -10.0, 10.0, 30.0])
MINUTES = np.array([4, 2, 1, 3])
"""Minutes at which they were taken: 10, -10, 30, -30 degrees."""


def image(tilt: int) -> np.ndarray:
    return np.full((4, 5), 10 * tilt + 1, dtype=np.float32) + np.arange(5, dtype=np.float32)


def section(tilt: int, *, kind: str = "ZValue", number: int = 0, dose: float = 0.0, frames: str = "") -> str:
    frame_line = f"SubFramePath = X:\\data\\{frames}\n" if frames else ""
    return (
        f"[{kind} = {number}]\nTiltAngle = {ANGLES[tilt]}\nPixelSpacing = 2.5\nPriorRecordDose = {dose}\n{frame_line}"
        f"DateTime = 31-Mar-23  16:0{MINUTES[tilt]}:00\n"
    )


def write_tilts(folder, *, with_mdoc: bool = True, name: str = "tilt_{}.mrc") -> list:
    paths = []
    for tilt in range(4):
        path = folder / name.format(tilt)
        if path.suffix == ".mrc":
            write_tilt_series(path, image(tilt)[None], pixel_size=2.5)
        else:
            tifffile.imwrite(path, image(tilt))
        if with_mdoc:
            (folder / f"{path.name}.mdoc").write_text(section(tilt))
        paths.append(path)
    return paths


def in_time_order(series) -> None:
    order = np.argsort(MINUTES)
    np.testing.assert_array_equal(series.tilt_angles, ANGLES[order])
    np.testing.assert_array_equal(series.projections, [image(tilt) for tilt in order])
    np.testing.assert_allclose(series.times, [0, 1 / 3, 2 / 3, 1])


def test_files_in_any_order_are_sorted_by_time(tmp_path):
    paths = write_tilts(tmp_path)
    fingerprints = set()
    for order in itertools.permutations(paths):
        series = read_tilt_series(order)
        in_time_order(series)
        fingerprints.add(series.fingerprint())
    assert len(fingerprints) == 1
    assert series.name == "tilt"
    assert series.pixel_size == 2.5
    assert series.time_unit == "s"
    assert series.time_range == (0, 180)


def test_a_folder_is_a_series(tmp_path):
    (tmp_path / "needle").mkdir()
    write_tilts(tmp_path / "needle")
    (tmp_path / "needle" / "._tilt_0.mrc").write_bytes(b"left by a Mac")
    series = read_tilt_series(tmp_path / "needle")
    in_time_order(series)
    assert series.name == "needle"
    assert any("4 files, in the order in which they were recorded" in note for note in series.notes)


def test_a_folder_with_one_stack_is_that_stack(tmp_path):
    write_tilt_series(tmp_path / "rod.mrc", np.stack([image(k) for k in range(4)]), pixel_size=1.0)
    write_tilt_angles(tmp_path / "rod.rawtlt", ANGLES)
    assert read_tilt_series(tmp_path).fingerprint() == read_tilt_series(tmp_path / "rod.mrc").fingerprint()


def test_a_folder_of_images_without_dates_is_in_the_order_of_the_names(tmp_path, caplog):
    for number, tilt in ((1, 0), (2, 1), (9, 2), (10, 3)):
        tifffile.imwrite(tmp_path / f"{number}.tif", image(tilt))
    write_tilt_angles(tmp_path / "angles.txt", ANGLES)
    series = read_tilt_series(tmp_path)
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    np.testing.assert_array_equal(series.projections, [image(tilt) for tilt in range(4)])
    assert "assumed to be stack order" in caplog.text
    assert any("assumed to be stack order" in note for note in series.notes)
    # Listed in another order, the rows of a list still belong to the files by name, an array to the files as listed.
    mixed = [tmp_path / f"{number}.tif" for number in (10, 1, 9, 2)]
    assert read_tilt_series(mixed).fingerprint() == series.fingerprint()
    given = read_tilt_series(mixed, tilt_angles=ANGLES[[3, 0, 2, 1]])
    assert given.fingerprint() == series.fingerprint()
    ranged = read_tilt_series(mixed, tilt_angles="-30:20")
    assert ranged.fingerprint() == series.fingerprint()


def test_a_table_of_times_belongs_to_the_files_by_name(tmp_path):
    paths = write_tilts(tmp_path)
    write_times(tmp_path / "clock.csv", ANGLES, [0, 1, 2, 3])
    series = read_tilt_series(paths[::-1], times=tmp_path / "clock.csv")
    order = np.argsort(MINUTES)
    np.testing.assert_array_equal(series.tilt_angles, ANGLES[order])
    np.testing.assert_allclose(series.times, order / 3)


def test_without_dates_the_dose_tells_the_time(tmp_path):
    stack = np.stack([image(tilt) for tilt in range(4)])
    write_tilt_series(tmp_path / "s.mrc", stack, pixel_size=None)
    text = "".join(section(tilt, number=tilt, dose=2.0 * MINUTES[tilt]) for tilt in range(4))
    text = "\n".join(line for line in text.splitlines() if not line.startswith("DateTime"))
    (tmp_path / "s.mrc.mdoc").write_text(text)
    series = read_tilt_series(tmp_path / "s.mrc")
    np.testing.assert_allclose(series.times, (MINUTES - 1) / 3)
    assert (series.time_unit, series.time_range) == ("e/Å²", (2.0, 8.0))
    assert any("PriorRecordDose of s.mrc.mdoc" in note for note in series.notes)


def test_an_mdoc_finds_its_stack_and_gives_its_angles(tmp_path):
    write_tilt_series(tmp_path / "TS_01.mrc", np.stack([image(tilt) for tilt in range(4)]), pixel_size=None)
    text = "ImageFile = D:\\scope\\TS_01.mrc\n\n" + "".join(section(tilt, number=tilt) for tilt in range(4))
    (tmp_path / "saved under another name.mdoc").write_text(text)
    series = read_tilt_series(tmp_path / "saved under another name.mdoc")
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    assert series.pixel_size == 2.5
    (tmp_path / "TS_01.mrc").unlink()
    refused(tmp_path / "saved under another name.mdoc", "4 image(s) in TS_01.mrc, which is not beside it")


def test_frame_sets_find_their_files(tmp_path):
    (tmp_path / "frames").mkdir()
    mdocs = []
    for tilt in range(4):
        frames = f"pos_{tilt}_{ANGLES[tilt]}.tif"
        tifffile.imwrite(tmp_path / "frames" / frames, np.stack([image(tilt) - 3, image(tilt) + 3]))
        mdocs.append(tmp_path / f"{frames}.mdoc")
        # Below a frame set, [ZValue = n] are ranges of its frames.
        ranges = "[ZValue = 0]\nTiltAngle = 33\nFrameTSStartEndFrames = 0 1\n"
        mdocs[-1].write_text(section(tilt, kind="FrameSet", frames=frames) + ranges)
    series = read_tilt_series(mdocs)
    in_time_order(series)
    assert any("their mean counts (up to 2 frames)" in note for note in series.notes)
    in_time_order(read_tilt_series(tmp_path))


def test_an_mdoc_in_the_folder_names_the_files_of_its_sections(tmp_path):
    # Recorded 10, -10, 30, -30; the names follow another order.
    paths = write_tilts(tmp_path, with_mdoc=False, name="fr_{}.tif")
    sections = [section(tilt, number=n, frames=f"fr_{tilt}.tif") for n, tilt in enumerate(np.argsort(MINUTES))]
    (tmp_path / "TS.mdoc").write_text("".join(sections))
    in_time_order(read_tilt_series(tmp_path))
    in_time_order(read_tilt_series([tmp_path, tmp_path / "TS.mdoc"]))
    given = read_tilt_series(paths, tilt_angles=tmp_path / "TS.mdoc", times=tmp_path / "TS.mdoc")
    np.testing.assert_array_equal(given.tilt_angles, ANGLES)
    np.testing.assert_allclose(given.times, (MINUTES - 1) / 3)


def test_signed_angles_in_names_are_read_and_sort_the_files(tmp_path):
    for tilt, angle in enumerate(ANGLES):
        tifffile.imwrite(tmp_path / f"tilt_{angle}deg.tif", image(tilt))
    series = read_tilt_series(tmp_path)
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    np.testing.assert_array_equal(series.projections, [image(tilt) for tilt in range(4)])
    assert any("Tilt angles from the names of the files" in note for note in series.notes)
    assert read_tilt_series(tmp_path, tilt_angles="-30:20").fingerprint() == series.fingerprint()


def test_times_of_an_mdoc_find_their_images_by_the_tilt_angle(tmp_path):
    write_tilt_series(tmp_path / "x.mrc", np.stack([image(tilt) for tilt in range(4)]), pixel_size=2.5)
    # Refined: an offset that all share, and a little beside it. The stack is sorted by angle, the .mdoc by time.
    write_tilt_angles(tmp_path / "x.rawtlt", ANGLES + np.array([2.1, 1.9, 2.0, 2.2]))
    (tmp_path / "x.mrc.mdoc").write_text("".join(section(tilt, number=n) for n, tilt in enumerate(np.argsort(MINUTES))))
    for options in ({}, {"times": tmp_path / "x.mrc.mdoc"}):
        series = read_tilt_series(tmp_path / "x.mrc", **options)
        np.testing.assert_allclose(series.times, (MINUTES - 1) / 3)
        assert any("its rows found by their tilt angles" in note for note in series.notes)
    write_tilt_angles(tmp_path / "x.rawtlt", [-50, -20, 20, 40])
    series = read_tilt_series(tmp_path / "x.mrc")
    assert any("assumed to be stack order" in note and "Passed over: " in note for note in series.notes)
    with pytest.raises(StinrError, match=r"x\.mrc\.mdoc gives 10 degrees for projection 1; expected -50"):
        read_tilt_series(tmp_path / "x.mrc", times=tmp_path / "x.mrc.mdoc")


def test_times_for_another_stack_stand_in_nobodys_way(tmp_path):
    write_tilt_series(tmp_path / "b.mrc", np.stack([image(tilt) for tilt in range(4)]), pixel_size=2.5)
    write_tilt_angles(tmp_path / "b.rawtlt", ANGLES)
    write_times(tmp_path / "times.csv", np.arange(9), np.arange(9))
    series = read_tilt_series(tmp_path / "b.mrc")
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    assert any("Passed over: 9 times for b.mrc" in note for note in series.notes)


@pytest.mark.parametrize("ending", [".mrc.mdoc", ".rawtlt"])
def test_whole_stacks_are_not_averaged(tmp_path, ending):
    paths = [tmp_path / f"s_{n}.mrc" for n in range(3)]
    for path in paths:
        write_tilt_series(path, np.stack([image(tilt) for tilt in range(4)]), pixel_size=2.5)
        beside = path.with_name(path.stem + ending)
        if ending == ".rawtlt":
            write_tilt_angles(beside, ANGLES)
        else:
            beside.write_text("".join(section(tilt, number=tilt) for tilt in range(4)))
    refused(paths, "s_0.mrc is a series by itself: 4 images")
    refused(tmp_path, "s_0.mrc is a series by itself")


def test_what_is_no_series_is_said(tmp_path):
    paths = write_tilts(tmp_path, with_mdoc=False)
    refused([*paths, tmp_path / "missing.mrc"], "missing.mrc does not exist")
    tifffile.imwrite(tmp_path / "overview.tif", image(0))
    refused(tmp_path, "holds 1 .tif, 4 .mrc")
    write_tilt_series(tmp_path / "wide.mrc", np.ones((1, 4, 9)), pixel_size=None)
    refused([*paths, tmp_path / "wide.mrc"], "wide.mrc has images of 4 x 9 pixels", "4 x 5")
    write_tilt_series(tmp_path / "far.mrc", np.ones((1, 4, 5)), pixel_size=5.0)
    refused([*paths, tmp_path / "far.mrc"], "far.mrc has a pixel size of 5 Å", "2.5 Å")
    with pytest.raises(StinrError, match="no tilt angles for the 4 files of tilt"):
        read_tilt_series(paths)
    with pytest.raises(StinrError, match="no file was given"):
        read_tilt_series([])


def test_names_are_sorted_as_people_do(tmp_path):
    names = ["b1", "a10", "a2", "a", "A3", "a2b", "10", "9"]
    assert [path.name for path in sorted(map(tmp_path.joinpath, names), key=natural_order)] == [
        "9", "10", "a", "a2", "a2b", "A3", "a10", "b1"
    ]  # fmt: skip
