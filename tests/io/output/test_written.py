"""Files of ours are told from everything else, and give back what was written."""

from __future__ import annotations

import mrcfile
import numpy as np
import pytest
import tifffile

from napari_stinr.errors import StinrError
from napari_stinr.io import write_frames, write_tilt_series, write_volume
from napari_stinr.io.output.written import is_written_volume, open_written

RNG = np.random.default_rng(5)
VOLUMES = RNG.normal(size=(3, 4, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("name", ["v.tif", "v.ome.tif", "v.mrc"])
@pytest.mark.parametrize(("size", "unit", "in_angstrom"), [(0.5, "Å", 0.5), (0.05, "nm", 0.5), (1.0, "pixel", None)])
def test_volume_comes_back_with_its_voxel_size(tmp_path, name, size, unit, in_angstrom):
    write_volume(tmp_path / name, VOLUMES[0], voxel_size=size, length_unit=unit)
    assert is_written_volume(tmp_path / name)
    written = open_written(tmp_path / name)
    assert written.shape == (1, 4, 5, 6)
    assert written.voxel_size == (None if in_angstrom is None else pytest.approx(in_angstrom, rel=1e-6))
    np.testing.assert_array_equal(written.volume(0), VOLUMES[0])


@pytest.mark.parametrize("name", ["v.tif", "v.ome.tif"])
def test_volumes_over_time_come_back_with_their_times(tmp_path, name):
    times = (0.0, 0.25, 1.0)
    write_frames(tmp_path / name, VOLUMES, n_times=3, shape=(4, 5, 6), voxel_size=0.5, times=times)
    written = open_written(tmp_path / name)
    assert (written.shape, written.times) == ((3, 4, 5, 6), times)
    for step in range(3):
        np.testing.assert_array_equal(written.volume(step), VOLUMES[step])


def test_tilt_series_of_ours_are_none(tmp_path):
    write_tilt_series(tmp_path / "s.mrc", VOLUMES[0], pixel_size=0.5)
    write_frames(tmp_path / "s.tif", VOLUMES[0][:, None], n_times=4, shape=(1, 5, 6), voxel_size=0.5)
    assert not is_written_volume(tmp_path / "s.mrc")
    assert not is_written_volume(tmp_path / "s.tif")


def test_files_of_others_are_none(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", VOLUMES[0])
    tifffile.imwrite(tmp_path / "other.ome.tif", VOLUMES, metadata={"axes": "TZYX"})
    with mrcfile.new(tmp_path / "other.mrc") as file:
        file.set_data(VOLUMES[0])
        file.set_volume()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.txt").write_text('<OME Creator="napari-stinr" SizeT="1" SizeZ="2" SizeY="2" SizeX="2"')
    assert not [path.name for path in tmp_path.iterdir() if is_written_volume(path)]
    assert not is_written_volume(tmp_path / "missing.tif")
    assert not is_written_volume(tmp_path)


@pytest.mark.parametrize("name", ["v.tif", "v.ome.tif", "v.mrc"])
def test_one_that_is_cut_off_is_refused(tmp_path, name):
    path = tmp_path / name
    write_volume(path, VOLUMES[0], voxel_size=0.5)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(StinrError, match=name):
        open_written(path)


def test_one_that_is_replaced_after_it_was_opened_is_refused(tmp_path):
    path = tmp_path / "v.tif"
    write_volume(path, VOLUMES[0], voxel_size=0.5)
    written = open_written(path)
    write_volume(path, VOLUMES[1], voxel_size=0.5)
    with pytest.raises(StinrError, match="has changed since it was opened"):
        written.volume(0)
