"""Real and third-party files beside the checkout: what their README says of them, found by reading them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from helpers.places import SHARED_DATA
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series
from napari_stinr.io.series.discovery import find_series
from napari_stinr.io.series.mdoc import read_mdoc

pytestmark = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the folder shared/data is not beside this checkout")


def noted(notes: tuple[str, ...], *words: str) -> bool:
    return any(all(word in note for word in words) for note in notes)


def test_fei_stack_with_its_list_and_without(tmp_path):
    series = read_tilt_series(SHARED_DATA / "etspy" / "HAADF.mrc")
    assert series.projections.shape == (77, 256, 256)
    np.testing.assert_allclose(series.tilt_angles, np.arange(-76, 77, 2), atol=0.01)
    assert series.pixel_size == 33.6
    assert 0 <= series.projections.min() < series.projections.max() < 65536
    assert noted(series.notes, "32768 was added")
    assert noted(series.notes, "HAADF.rawtlt")
    assert noted(series.notes, "assumed to be stack order")
    shutil.copy(SHARED_DATA / "etspy" / "HAADF.mrc", tmp_path)
    alone = read_tilt_series(tmp_path / "HAADF.mrc")
    np.testing.assert_allclose(alone.tilt_angles, series.tilt_angles, atol=0.01)
    assert noted(alone.notes, "Tilt angles from the FEI extended header")


def test_microscope_log_is_no_list_of_angles():
    with pytest.raises(StinrError, match=r"HAADF\.txt cannot be read \(line \d+ is '11/18/11"):
        read_tilt_series(SHARED_DATA / "etspy" / "HAADF.mrc", tilt_angles=SHARED_DATA / "etspy" / "HAADF.txt")


def test_dm3_stack():
    pytest.importorskip("rsciio", reason="the extra 'formats' is not installed")
    series = read_tilt_series(SHARED_DATA / "etspy" / "HAADF.dm3")
    assert series.projections.shape == (91, 64, 64)
    np.testing.assert_allclose(series.tilt_angles, np.arange(-90, 91, 2), atol=1e-3)
    assert series.pixel_size is not None
    # The list beside it is that of HAADF.mrc.
    assert noted(series.notes, "77 tilt angles for HAADF.dm3 (Tilt angles from HAADF.rawtlt)", "Passed over")
    assert noted(series.notes, "assumed to be stack order")


def test_dm3_files_are_sorted_by_the_time_of_recording():
    pytest.importorskip("rsciio", reason="the extra 'formats' is not installed")
    series = read_tilt_series([SHARED_DATA / "etspy" / f"BF_00{n}.dm3" for n in (2, 1, 3)])
    # -72, -69, -66 in the order of the names, recorded in the reverse.
    np.testing.assert_allclose(series.tilt_angles, [-66, -69, -72], atol=0.05)
    assert (np.diff(series.times) > 0).all()
    assert series.time_unit == "s"
    assert series.name == "BF"


def test_serialem_folder_is_one_series_in_the_order_of_its_dates():
    series = read_tilt_series(SHARED_DATA / "serialem")
    np.testing.assert_allclose(series.tilt_angles, [0, -5, 5], atol=0.01)
    # 16:24:15, 16:24:40, 16:27:05
    assert series.time_range == (0, 170)
    np.testing.assert_allclose(series.times, [0, 25 / 170, 1])
    assert series.pixel_size == 7.88
    assert series.projections.shape == (3, 1024, 1024)
    by_mdoc = read_tilt_series([SHARED_DATA / "serialem" / f"test_00{n}.mdoc" for n in (1, 0, 2)])
    assert by_mdoc.fingerprint() == series.fingerprint()


def test_serialem_file_alone_is_a_tilt_with_two_frames():
    found = find_series(SHARED_DATA / "serialem" / "test_001.mrc")
    assert not isinstance(found.tilt_angles, StinrError)
    np.testing.assert_allclose(found.tilt_angles.values, [5, 5], atol=0.01)
    with pytest.raises(StinrError, match="2 projection"):
        read_tilt_series(SHARED_DATA / "serialem" / "test_001.mrc")


def test_dose_symmetric_mdoc():
    mdoc = read_mdoc(SHARED_DATA / "mdoc" / "tilt_series.mdoc")
    assert mdoc.n_images == 41
    assert not mdoc.of_frames
    assert mdoc.seconds is not None
    assert mdoc.tilt_angles is not None
    order = np.argsort(mdoc.seconds)
    assert abs(mdoc.tilt_angles[order[0]]) < 0.1
    assert (np.diff(np.abs(mdoc.tilt_angles[order]).round()) >= -0.5).all()
    assert mdoc.pixel_size == 5.4
    with pytest.raises(StinrError, match=r"41 image\(s\) in TS_01.mrc, which is not beside it"):
        read_tilt_series(SHARED_DATA / "mdoc" / "tilt_series.mdoc")


@pytest.mark.parametrize(("name", "angle"), [("frame_set_single", 32.984), ("frame_set_multiple", 32.986)])
def test_frame_sets_describe_one_file(name, angle):
    mdoc = read_mdoc(SHARED_DATA / "mdoc" / f"{name}.mdoc")
    assert mdoc.of_frames
    assert (mdoc.n_images, mdoc.pixel_size) == (1, 1.2827)
    np.testing.assert_array_equal(mdoc.tilt_angles, [angle])
    assert mdoc.timestamps is not None
    assert mdoc.frame_files[0].endswith(".tif")
    with pytest.raises(StinrError, match=r"_33\.0_.*\.tif, which is not beside it"):
        read_tilt_series(SHARED_DATA / "mdoc" / f"{name}.mdoc")


def test_montage_is_refused():
    with pytest.raises(StinrError, match=r"montage_section\.mdoc describes a montage"):
        read_tilt_series(SHARED_DATA / "mdoc" / "montage_section.mdoc")


def test_amorphous_silicon():
    series = read_tilt_series(SHARED_DATA / "asi" / "aSi_2nmFosCetr_Dose8p0e3_cov35pm_ForBM3D.mat", pixel_size=0.195)
    assert series.projections.shape == (60, 128, 128)
    np.testing.assert_array_equal(series.tilt_angles, np.arange(0, 178, 3))
    assert noted(series.notes, "Si_Angle.mat")


def test_amorphous_carbon():
    name = "14_Amorphous_carbon_simulation_input_data"
    series = read_tilt_series(SHARED_DATA / "carbon" / f"{name}_Projections.mat", pixel_size=0.33967)
    assert series.projections.shape == (37, 166, 166)
    np.testing.assert_allclose(series.tilt_angles, np.arange(-72, 73, 4), atol=0.5)
    assert noted(series.notes, f"{name}_Angles.mat")


def test_data_exchange():
    series = read_tilt_series(SHARED_DATA / "dataexchange" / "tooth.h5")
    assert series.projections.shape == (181, 2, 640)
    assert series.tilt_angles[0] == 0
    assert series.tilt_angles[-1] == pytest.approx(180, abs=1.1)


def test_a_folder_with_several_series_is_refused():
    with pytest.raises(StinrError, match=r"the folder etspy holds .*\.dm3"):
        read_tilt_series(SHARED_DATA / "etspy")
