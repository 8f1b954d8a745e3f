"""Layers as files: the right size, stack order, one volume at a time, and never silence where nothing was saved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pint
import pytest
import tifffile
from napari.layers import Image

import napari_stinr as stinr
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.canvas.streaming import VolumeStream
from napari_stinr.plugin.hooks.writers import write_mrc, write_ome_tiff, write_tiff
from napari_stinr.plugin.session.new_draft import draft_of_series, draft_of_stack
from napari_stinr.plugin.session.time_axis import TimeAxis

PLUGIN = "napari-stinr"
VOLUME = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
NM = {"scale": (0.05,) * 3, "units": ("nm",) * 3}
ANGLES = np.array([0.0, -10.0, 10.0, -20.0, 20.0])
# Not in stack order, so that the layer, which is in the order of time, is another one than the file.
TIMES = np.array([3.0, 11.0, 5.0, 9.0, 7.0])
STACK = np.arange(5 * 4 * 6, dtype=np.float32).reshape(5, 4, 6)


def save(path, data, **options) -> list[str]:
    """Save a layer as napari hands it to a writer."""
    values, meta, _ = Image(data, **options).as_layer_data_tuple()
    return write_mrc(str(path), values, meta)


def draft(**changes):
    series = stinr.TiltSeries(STACK, ANGLES, TIMES, pixel_size=0.5, name="rod", time_unit="s")
    return replace(draft_of_series(series), **changes)


def save_series(path, shown) -> list[str]:
    data, options, _ = series_layer(shown)
    return save(path, data, **options)


class LazyVolumes:
    """Volumes over time that count what is asked of them, and cannot be put together."""

    def __init__(self, n_times: int = 3) -> None:
        self.shape, self.dtype, self.ndim = (n_times, *VOLUME.shape), VOLUME.dtype, 4
        self.size = int(np.prod(self.shape))
        self.asked: list[object] = []

    def __getitem__(self, index):
        self.asked.append(index)
        return VOLUME * (index + 1) if isinstance(index, int) else np.zeros(self.shape, np.float32)[index]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the whole series was asked for")


@pytest.mark.parametrize("name", ["v.mrc", "v.tif", "v.tiff", "v.ome.tif", "V.OME.TIF"])
@pytest.mark.parametrize(("scale", "unit"), [(0.05, "nm"), (0.5, "Å"), (0.5, "angstrom"), (50.0, "pm")])
def test_a_volume_keeps_values_and_size(tmp_path, name, scale, unit):
    path = tmp_path / name
    assert save(path, VOLUME, scale=(scale,) * 3, units=(unit,) * 3) == [str(path)]
    values, voxel_size = stinr.read_volume(path)
    np.testing.assert_array_equal(values, VOLUME)
    assert voxel_size == pytest.approx(0.5, rel=1e-6)


def test_a_tiff_says_nm_to_imagej(tmp_path):
    save(tmp_path / "v.tif", VOLUME, **NM)
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        pixels, length = file.pages.first.tags["XResolution"].value
        assert (file.imagej_metadata["unit"], file.imagej_metadata["spacing"]) == ("nm", 0.05)
    assert pixels / length == pytest.approx(20)


@pytest.mark.parametrize("name", ["v.mrc", "v.tif", "v.ome.tif"])
def test_pixels_stay_pixels(tmp_path, name):
    save(tmp_path / name, VOLUME, scale=(2.0,) * 3)
    assert stinr.read_volume(tmp_path / name)[1] is None


def test_integers_and_multiscale_layers_are_saved(tmp_path):
    save(tmp_path / "v.mrc", (10 * VOLUME).astype(np.int16), **NM)
    np.testing.assert_array_equal(stinr.read_volume(tmp_path / "v.mrc")[0], (10 * VOLUME).astype(np.int16))
    save(tmp_path / "m.mrc", [VOLUME, VOLUME[::2, ::2, ::2]], **NM)
    np.testing.assert_array_equal(stinr.read_volume(tmp_path / "m.mrc")[0], VOLUME)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (VOLUME, {**NM, "scale": (0.05, 0.05, 0.1)}, "0.05 x 0.05 x 0.1 nm.*cubes"),
        (VOLUME, {**NM, "units": ("nm", "nm", "Å")}, "0.05 x 0.05 x 0.005 nm.*cubes"),
        (VOLUME, {**NM, "rotate": 30.0}, "turned.*is rotated"),
        (VOLUME, {**NM, "shear": (0.1, 0.0, 0.0)}, "turned.*is rotated, sheared"),
        (VOLUME, {**NM, "affine": np.diag([2.0, 2.0, 2.0, 1.0])}, "transformed"),
        (VOLUME, {"units": ("degree", "nm", "nm")}, "unit of the layer is degree"),
        (VOLUME, {"units": ("pixel", "nm", "nm")}, "unit of the layer is pixel"),
        (VOLUME[0], {}, r"shape \(5, 6\)"),
        (np.zeros((4, 5, 3), np.uint8), {"rgb": True}, "colours"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_aloud(tmp_path, data, options, words):
    # Not a ValueError: napari drops those.
    with pytest.raises(RuntimeError, match=words) as caught:
        save(tmp_path / "v.mrc", data, name="turned", **options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["v.tif", "v.ome.tif"])
def test_volumes_over_time_are_asked_for_one_by_one(tmp_path, name):
    data = LazyVolumes()
    options = {"scale": (0.5, 0.05, 0.05, 0.05), "translate": (2.0, 0, 0, 0), "units": ("s", "nm", "nm", "nm")}
    layer = Image(data, contrast_limits=(0, 1), projection_mode="none", **options)
    data.asked.clear()
    values, meta, _ = layer.as_layer_data_tuple()
    write_mrc(str(tmp_path / name), values, meta)
    assert data.asked == [0, 1, 2]
    with tifffile.TiffFile(tmp_path / name) as file:
        assert file.series[0].axes.replace("I", "T") == "TZYX"
        np.testing.assert_array_equal(file.asarray(), np.stack([VOLUME, 2 * VOLUME, 3 * VOLUME]))
        assert "times=2.0 2.5 3.0<" in file.ome_metadata


def test_volumes_over_time_do_not_fit_into_mrc(tmp_path):
    with pytest.raises(RuntimeError, match=r"3 volumes; expected one.*Save it as v\.ome\.tif"):
        save(tmp_path / "v.mrc", LazyVolumes(), contrast_limits=(0, 1), projection_mode="none")


def test_a_streamed_reconstruction_is_saved_exactly(tmp_path):
    class Field:
        def is_quick(self, part):
            return False

        def at(self, t, part, superseded=None):
            return VOLUME * np.float32(t)

    # By index the stream answers at once with what it has, which is not yet the right volume.
    stream = VolumeStream(TimeAxis(n_steps=3), VOLUME.shape)
    options = {"contrast_limits": (0, 1), "projection_mode": "none"}
    try:
        with pytest.raises(RuntimeError, match="nothing of the reconstruction is computed yet"):
            save(tmp_path / "v.tif", stream, **options)
        stream._field = Field()
        save(tmp_path / "v.tif", stream, **options)
    finally:
        stream.close()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "v.tif"), np.stack([0 * VOLUME, VOLUME / 2, VOLUME]))


@pytest.mark.parametrize("name", ["rod.mrc", "rod.tif", "rod.ome.tif"])
def test_a_tilt_series_comes_back_in_stack_order(tmp_path, name):
    written = save_series(tmp_path / name, draft())
    stem = name.rpartition(".")[0]
    assert written == [str(tmp_path / file) for file in (name, f"{stem}.rawtlt", f"{stem}_times.csv")]
    series = stinr.read_tilt_series(tmp_path / name)
    np.testing.assert_array_equal(series.projections, STACK)
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    np.testing.assert_allclose(series.times, (TIMES - 3) / 8)
    assert series.pixel_size == pytest.approx(0.5)


def test_a_tilt_series_without_angles_is_a_stack_alone(tmp_path):
    assert save_series(tmp_path / "rod.mrc", draft_of_stack(STACK)) == [str(tmp_path / "rod.mrc")]
    assert [path.name for path in tmp_path.iterdir()] == ["rod.mrc"]


def test_lists_that_belong_to_something_else_are_not_replaced(tmp_path):
    stinr.write_tilt_angles(tmp_path / "rod.rawtlt", ANGLES + 1)
    with pytest.raises(RuntimeError, match=r"rod\.rawtlt exists and holds other numbers.*another name"):
        save_series(tmp_path / "rod.mrc", draft())
    assert not (tmp_path / "rod.mrc").exists()
    stinr.write_tilt_angles(tmp_path / "rod.rawtlt", ANGLES)
    save_series(tmp_path / "rod.mrc", draft())
    # Replacing the stack, as napari has asked, replaces what belongs to it.
    save_series(tmp_path / "rod.mrc", draft(tilt_angles=ANGLES + 2))
    np.testing.assert_array_equal(stinr.read_tilt_series(tmp_path / "rod.mrc").tilt_angles, ANGLES + 2)


@pytest.mark.parametrize(("write", "ending"), [(write_mrc, ".mrc"), (write_ome_tiff, ".ome.tif"), (write_tiff, ".tif")])
def test_a_name_without_ending_gets_one_and_replaces_nothing(tmp_path, write, ending):
    values, meta, _ = Image(VOLUME, **NM).as_layer_data_tuple()
    expected = tmp_path / f"rod clean (t = 0.5){ending}"
    assert write(str(tmp_path / "rod clean (t = 0.5)"), values, meta) == [str(expected)]
    before = expected.read_bytes()
    # The dialog has asked about another name.
    with pytest.raises(RuntimeError, match="exists; expected a new file name"):
        write(str(tmp_path / "rod clean (t = 0.5)"), 2 * values, meta)
    assert expected.read_bytes() == before
    write(str(expected), 2 * values, meta)
    assert expected.read_bytes() != before


def test_a_script_needs_no_layer(tmp_path):
    units = (pint.get_application_registry().Unit("nm"),) * 3
    write_mrc(str(tmp_path / "v.mrc"), VOLUME, {"scale": [0.05] * 3, "units": units})
    assert stinr.read_volume(tmp_path / "v.mrc")[1] == pytest.approx(0.5)


@pytest.mark.qt
def test_napari_saves_through_the_plugin(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    viewer.add_image(VOLUME, **NM)
    for name in ("v.mrc", "v.ome.tif", "v.tif"):
        assert viewer.layers.save(str(tmp_path / name), plugin=PLUGIN) == [str(tmp_path / name)]
        assert stinr.read_volume(tmp_path / name)[1] == pytest.approx(0.5)
    # Without a plugin named, napari takes ours for what it does not write itself.
    assert viewer.layers.save(str(tmp_path / "w.ome.tif")) == [str(tmp_path / "w.ome.tif")]
    assert stinr.read_volume(tmp_path / "w.ome.tif")[1] == pytest.approx(0.5)


@pytest.mark.qt
def test_napari_does_not_hide_why_nothing_was_saved(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    viewer.add_image(VOLUME, units=("nm",) * 3, scale=(1, 1, 2))
    with pytest.raises(RuntimeError, match="cubes"):
        viewer.layers.save(str(tmp_path / "v.mrc"))
