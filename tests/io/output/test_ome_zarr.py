"""OME-Zarr of ours: values, levels and metadata, read by other programs; whole or absent; on from where it stopped."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from helpers.waiting import PATIENCE
from napari_stinr.errors import StinrError
from napari_stinr.io import read_volume, write_frames, write_volume
from napari_stinr.io.output.ome_zarr import check_store_target, writing_store
from napari_stinr.io.output.ome_zarr_layout import StoreLayout, halved
from napari_stinr.io.output.ome_zarr_reading import is_written_store, open_store

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(7)
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
SMALL = RNG.normal(size=(5, 7, 12, 9)).astype(np.float32)
on_posix = pytest.mark.skipif(os.name != "posix", reason="limits and kills of this kind are those of POSIX")


def several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a volume of 7 x 12 x 9 voxels have 3 blocks of 4 rows, in chunks of 2 slices."""
    monkeypatch.setattr("napari_stinr.io.output.ome_zarr_layout._SHARD_BYTES", 4 * 7 * 9 * 4)
    monkeypatch.setattr("napari_stinr.io.output.ome_zarr_layout._CHUNK_BYTES", 4 * 4 * 9 * 2)
    monkeypatch.setattr("napari_stinr.io.output.ome_zarr_layout._COARSEST", 4)


def layout_of(values: np.ndarray = SMALL, **options: Any) -> StoreLayout:
    return StoreLayout(values.shape[1:], **({"voxel_size": 0.7, "times": TIMES[: len(values)]} | options))


def write(path: Path, values: np.ndarray = SMALL, *, fail_at: int | None = None, **options: Any) -> list[int]:
    """Write all blocks that are missing and return which they were; raise before one of them where asked."""
    told = {name: options.pop(name) for name in ("fingerprint", "overwrite", "attributes") if name in options}
    written = []
    with writing_store(path, layout_of(values, **options), **told) as writer:
        for number, rows in enumerate(writer.blocks[writer.n_done :], writer.n_done):
            if number == fail_at:
                raise KeyboardInterrupt
            for step, volume in enumerate(values):
                writer.put(step, number, volume[:, rows])
            writer.close_block(number)
            written.append(number)
    return written


def averaged(values: np.ndarray) -> np.ndarray:
    """Average blocks of 2 x 2 x 2 voxels, of which some are cut off by the border."""
    z, y, x = (range(0, n, 2) for n in values.shape)
    return np.array([[[values[k : k + 2, j : j + 2, i : i + 2].mean() for i in x] for j in y] for k in z])


@pytest.mark.parametrize("shape", [(4, 6, 8), (5, 7, 3), (1, 4, 5), (1, 1, 1)])
def test_a_coarser_level_is_the_average_of_blocks(shape: tuple[int, int, int]) -> None:
    values = RNG.normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(halved(values), averaged(values), rtol=1e-5, atol=1e-6)


def test_volumes_come_back_and_every_level_belongs_to_the_finest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several_blocks(monkeypatch)
    path = tmp_path / "film.ome.zarr"
    assert write(path, attributes={"seed": 3}) == [0, 1, 2]
    group = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(group["0"][:], SMALL)
    assert [group[name].shape for name in "012"] == [(5, 7, 12, 9), (5, 4, 6, 5), (5, 2, 3, 3)]
    for step in range(5):
        for finer, coarser in (("0", "1"), ("1", "2")):
            np.testing.assert_allclose(group[coarser][step], averaged(group[finer][step]), rtol=1e-5, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["film.ome.zarr"]
    assert not list(path.rglob("*.partial")) + list(path.rglob("progress*"))
    store = open_store(path)
    assert (store.shape, store.voxel_size, store.times) == ((5, 7, 12, 9), 0.7, TIMES)
    assert store.attributes["seed"] == 3
    np.testing.assert_array_equal(store.read((2, slice(1, 5))), SMALL[2, 1:5])
    assert store.limits == pytest.approx(np.quantile(SMALL[-1], (0.001, 0.999)))


def test_a_chunk_is_one_time_by_a_slab_and_lies_in_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several_blocks(monkeypatch)
    path = tmp_path / "film.ome.zarr"
    write(path)
    arrays = [zarr.open_array(path / name, mode="r") for name in "012"]
    assert [array.chunks for array in arrays] == [(1, 2, 4, 9), (1, 4, 2, 5), (1, 2, 1, 3)]
    assert [array.shards for array in arrays] == [(1, 8, 4, 9), (1, 4, 2, 5), (1, 2, 1, 3)]
    files = [file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json"]
    assert len(files) == 3 * 3 * 5


def test_a_volume_of_512_is_cut_into_slabs_and_three_levels() -> None:
    layout = StoreLayout((512, 512, 512), 0.5)
    assert [level.shape for level in layout.levels] == [(512,) * 3, (256,) * 3, (128,) * 3]
    assert next(level.chunk for level in layout.levels) == (8, 64, 512)
    assert len(layout.blocks) == 8
    for level in StoreLayout((1024, 700, 900), 0.5).levels:
        assert all(shard % chunk == 0 for shard, chunk in zip(level.shard, level.chunk, strict=True))


def transforms(path: Path, level: int = 0) -> tuple[list[float], list[float]]:
    multiscale = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    scale, translation = multiscale["datasets"][level]["coordinateTransformations"]
    return scale["scale"], translation["translation"]


def axes(path: Path) -> list[tuple[str, str | None]]:
    multiscale = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    return [(axis["name"], axis.get("unit")) for axis in multiscale["axes"]]


SPACE = [("z", "angstrom"), ("y", "angstrom"), ("x", "angstrom")]


@pytest.mark.parametrize(
    ("options", "t_axis", "spacing", "start"),
    [
        ({"time_range": (10.0, 130.0), "time_unit": "s"}, ("t", "second"), 30.0, 10.0),
        ({"time_range": (0.0, 2.0), "time_unit": "min"}, ("t", "minute"), 0.5, 0.0),
        ({"time_range": (0.0, 900.0), "time_unit": "e/Å²"}, ("t", None), 0.25, 0.0),
        ({}, ("t", None), 0.25, 0.0),
        ({"times": (0.0, 0.1, 0.2, 0.3, 1.0)}, ("t", None), 1.0, 0.0),
    ],
)
def test_axes_have_units_and_a_place(
    tmp_path: Path, options: dict[str, Any], t_axis: tuple[str, str | None], spacing: float, start: float
) -> None:
    path = tmp_path / "film.ome.zarr"
    write(path, **options)
    assert axes(path) == [t_axis, *SPACE]
    assert transforms(path) == ([spacing, 0.7, 0.7, 0.7], [start, 0.0, 0.0, 0.0])
    # The centre of the first block of 2 x 2 x 2 voxels lies half a voxel further.
    assert transforms(path, 1) == ([spacing, 1.4, 1.4, 1.4], [start, 0.35, 0.35, 0.35])
    assert open_store(path).times == options.get("times", TIMES)


@pytest.mark.parametrize(("size", "unit", "stated", "name"), [(0.07, "nm", 0.7, "angstrom"), (2.0, "pixel", 2.0, None)])
def test_the_voxel_size_comes_back(tmp_path: Path, size: float, unit: str, stated: float, name: str | None) -> None:
    path = tmp_path / "v.ome.zarr"
    write_volume(path, SMALL[0], voxel_size=size, length_unit=unit)
    assert transforms(path)[0] == [stated] * 3
    assert axes(path) == [(axis, name) for axis in "zyx"]
    volume, voxel_size = read_volume(path)
    np.testing.assert_array_equal(volume, SMALL[0])
    assert voxel_size == (None if name is None else stated)


def test_frames_are_written_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several_blocks(monkeypatch)
    path = tmp_path / "film.ome.zarr"
    write_frames(path, iter(SMALL), n_times=5, shape=(7, 12, 9), voxel_size=0.7, times=TIMES)
    np.testing.assert_array_equal(open_store(path).read(), SMALL)
    assert open_store(path).times == TIMES
    with pytest.raises(StinrError, match="holds 5 volumes"):
        read_volume(path)


def test_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    broken = SMALL[0].copy()
    broken[1, 2, 3] = np.nan
    with pytest.raises(StinrError, match="not finite"):
        write_volume(tmp_path / "v.ome.zarr", broken, voxel_size=1.0)
    assert not list(tmp_path.iterdir())


def test_the_metadata_are_valid_for_two_libraries(tmp_path: Path) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    models = pytest.importorskip("ome_zarr_models.v05", reason="ome-zarr-models has no release for this Python")
    film, volume = tmp_path / "film.ome.zarr", tmp_path / "v.ome.zarr"
    write(film, time_range=(0.0, 60.0), time_unit="s", attributes={"seed": 1})
    write_volume(volume, SMALL[0], voxel_size=0.5, length_unit="pixel")
    for path, shape in ((film, (5, 7, 12, 9)), (volume, (7, 12, 9))):
        yaozarrs.validate_zarr_store(str(path))
        image = models.Image.from_zarr(zarr.open_group(path, mode="r"))
        assert image.ome_attributes.version == "0.5"
        datasets = image.ome_attributes.multiscales[0].datasets
        assert zarr.open_group(path, mode="r")[datasets[0].path].shape == shape
        assert len(datasets) >= 2


@pytest.mark.parametrize("n_times", [1, 5])
def test_the_reader_of_the_ecosystem_opens_it(tmp_path: Path, n_times: int) -> None:
    reader = pytest.importorskip("napari_ome_zarr")
    path = tmp_path / "film.ome.zarr"
    write(path, SMALL[:n_times], time_range=(0.0, 60.0), time_unit="s", voxel_size=0.7)
    ((levels, options, kind),) = reader.napari_get_reader(str(path))(str(path))
    expected = SMALL if n_times > 1 else SMALL[0]
    np.testing.assert_array_equal(np.asarray(levels[0]), expected)
    assert kind == "image"
    assert options["scale"] == pytest.approx(([15.0] if n_times > 1 else []) + [0.7] * 3)
    assert options["units"] == (("second",) if n_times > 1 else ()) + ("angstrom",) * 3
    assert options["contrast_limits"] == pytest.approx(list(open_store(path).limits))


def test_what_is_missing_or_damaged_is_found_and_never_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several_blocks(monkeypatch)
    path = tmp_path / "film.ome.zarr"
    write(path)
    shard = path / "0" / "c" / "2" / "0" / "1" / "0"
    store, whole = open_store(path), shard.read_bytes()
    shard.unlink()
    assert np.isnan(zarr.open_array(path / "0", mode="r")[2, :, 4:8]).all()
    with pytest.raises(StinrError, match=r"film\.ome\.zarr is damaged: a part of it is missing"):
        open_store(path)
    with pytest.raises(StinrError, match="is damaged"):
        store.read((2,))
    for position in (0, 10, len(whole) // 2, len(whole) - 3):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        shard.write_bytes(flipped)
        with pytest.raises(StinrError, match="is damaged"):
            open_store(path).read((2,))
    shard.write_bytes(whole)
    np.testing.assert_array_equal(open_store(path).read(), SMALL)


@pytest.mark.parametrize(
    "change",
    [
        lambda ome, told: told.update(times=[0.0]),
        lambda ome, told: told.update(voxel_size="large"),
        lambda ome, told: told.pop("length_unit"),
        lambda ome, told: ome.pop("omero"),
        lambda ome, told: ome["multiscales"][0]["datasets"].reverse(),
        lambda ome, told: ome["multiscales"][0]["datasets"][0].update(path="../elsewhere"),
    ],
)
def test_metadata_that_somebody_edited_are_refused(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "film.ome.zarr"
    write(path)
    metadata = json.loads((path / "zarr.json").read_text())
    change(metadata["attributes"]["ome"], metadata["attributes"]["stinr"])
    (path / "zarr.json").write_text(json.dumps(metadata))
    assert is_written_store(path)
    with pytest.raises(StinrError, match="is damaged"):
        open_store(path)


def test_stores_of_others_are_none(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "other.ome.zarr", attributes={"ome": {"version": "0.5"}})
    zarr.create_group(tmp_path / "odd.ome.zarr", attributes={"stinr": "napari-stinr"})
    (tmp_path / "empty.ome.zarr").mkdir()
    (tmp_path / "deep.ome.zarr").mkdir()
    (tmp_path / "deep.ome.zarr" / "zarr.json").write_text("[" * 100_000)
    (tmp_path / "file.ome.zarr").write_text("{}")
    assert not [path.name for path in tmp_path.iterdir() if is_written_store(path)]
    assert not is_written_store(tmp_path / "missing.ome.zarr")


def test_only_a_store_of_ours_is_replaced(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "other.ome.zarr", attributes={"ome": {"version": "0.5"}})
    (tmp_path / "file.ome.zarr").write_text("precious")
    (tmp_path / "folder.ome.zarr").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for name in ("other", "file", "folder"):
        with pytest.raises(StinrError, match=r"did not write|is a file"):
            write_volume(tmp_path / f"{name}.ome.zarr", SMALL[0], voxel_size=1.0)
    with pytest.raises(StinrError, match="does not exist"):
        write_volume(tmp_path / "missing" / "v.ome.zarr", SMALL[0], voxel_size=1.0)
    assert sorted(tmp_path.rglob("*")) == before
    ours = tmp_path / "ours.ome.zarr"
    write_volume(ours, SMALL[0], voxel_size=1.0)
    with pytest.raises(StinrError, match="exists"):
        write_volume(ours, SMALL[1], voxel_size=1.0, overwrite=False)
    np.testing.assert_array_equal(read_volume(ours)[0], SMALL[0])
    write_volume(ours, SMALL[1], voxel_size=1.0)
    np.testing.assert_array_equal(read_volume(ours)[0], SMALL[1])
    check_store_target(ours, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 4


def test_without_the_library_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaozarrs.write.v05", None)
    with pytest.raises(StinrError, match=r'pip install "napari-stinr\[zarr\]"'):
        write_volume(tmp_path / "v.ome.zarr", SMALL[0], voxel_size=1.0)
    assert not list(tmp_path.iterdir())


def test_what_ctrl_c_interrupts_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    several_blocks(monkeypatch)
    path = tmp_path / "film.ome.zarr"
    with pytest.raises(KeyboardInterrupt, match="the same export is asked for again"):
        write(path, fail_at=2, fingerprint="a")
    assert not path.exists()
    with caplog.at_level(logging.WARNING):
        assert write(path, fingerprint="a") == [2]
    assert caplog.messages == [f"An earlier export of {path} was interrupted; it goes on where it stopped"]
    np.testing.assert_array_equal(open_store(path).read(), SMALL)
    store = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["omero"]["channels"][0]["window"]
    # Those of the blocks that were written before count, too.
    assert (store["min"], store["max"]) == (SMALL.min(), SMALL.max())
    assert list(tmp_path.iterdir()) == [path]


def test_another_export_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several_blocks(monkeypatch)
    path = tmp_path / "film.ome.zarr"
    for fingerprint in ("a", "", "b"):
        with pytest.raises(KeyboardInterrupt):
            write(path, -SMALL, fail_at=2, fingerprint=fingerprint)
    assert len(list(tmp_path.iterdir())) == 1
    assert write(path, fingerprint="a") == [0, 1, 2]
    np.testing.assert_array_equal(open_store(path).read(), SMALL)
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several_blocks(monkeypatch)
    path = tmp_path / "film.ome.zarr"
    write(path)
    broken = SMALL.copy()
    broken[-1, -1, -1] = np.inf
    with pytest.raises(StinrError, match="not finite"):
        write(path, broken, fingerprint="a")
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(open_store(path).read(), SMALL)


@on_posix
@pytest.mark.parametrize("limit", [0, 500, 3000])
@pytest.mark.parametrize("has_old", [False, True])
def test_a_disk_that_takes_no_more_leaves_the_old_one_or_none(tmp_path: Path, limit: int, has_old: bool) -> None:
    import resource

    path, values = tmp_path / "film.ome.zarr", RNG.normal(size=(2, 9, 30, 30)).astype(np.float32)
    if has_old:
        write(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(StinrError, match="cannot be written"):
            write(path, values, fingerprint="a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == ([path] if has_old else [])
    if has_old:
        np.testing.assert_array_equal(open_store(path).read(), SMALL)


_CHILD = """
import sys, time
import numpy as np
from pathlib import Path
from napari_stinr.io.output.ome_zarr import writing_store
from napari_stinr.io.output import ome_zarr_layout
ome_zarr_layout._SHARD_BYTES = 4 * 7 * 9 * 4
ome_zarr_layout._COARSEST = 4
values = np.load(sys.argv[2])
layout = ome_zarr_layout.StoreLayout(values.shape[1:], 0.7, times=(0.0, 0.25, 0.5, 0.75, 1.0))
with writing_store(sys.argv[1], layout, fingerprint="a") as writer:
    for number, rows in enumerate(writer.blocks[writer.n_done:], writer.n_done):
        for step, volume in enumerate(values):
            writer.put(step, number, volume[:, rows])
            print(number, step, flush=True)
            if sys.argv[3:] == [f"{number},{step}"]:
                time.sleep(600)
        writer.close_block(number)
"""


def run_child(path: Path, data: Path, *stop: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _CHILD, path, data, *stop], stdout=subprocess.PIPE, text=True)


@on_posix
@pytest.mark.parametrize("has_old", [False, True])
def test_a_kill_in_mid_write_leaves_the_old_one_or_none_and_the_next_goes_on(tmp_path: Path, has_old: bool) -> None:
    folder, data = tmp_path / "out", tmp_path / "data.npy"
    folder.mkdir()
    np.save(data, SMALL)
    path = folder / "film.ome.zarr"
    if has_old:
        write(path, -SMALL)
    process = run_child(path, data, "1,2")
    assert process.stdout is not None
    for line in process.stdout:
        if line == "1 2\n":
            break
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)
    assert is_written_store(path) is has_old
    if has_old:
        np.testing.assert_array_equal(open_store(path).read(), -SMALL)
    (left,) = (entry for entry in folder.iterdir() if entry != path)
    assert left.name.startswith(".stinr-")
    (left / "new" / "0" / "c" / "4.0123.partial").write_text("what zarr was writing")
    done = run_child(path, data)
    output = done.communicate(timeout=PATIENCE)[0].splitlines()
    # Block 0 is not written again.
    assert output == [f"{number} {step}" for number in (1, 2) for step in range(5)]
    np.testing.assert_array_equal(open_store(path).read(), SMALL)
    assert list(folder.iterdir()) == [path]
    assert not list(path.rglob("*.partial"))


def test_a_kill_while_the_two_change_places_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "film.ome.zarr"
    write(path)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    # What the kill leaves: the old one put aside, the new one whole, and nothing of the name.
    hidden = tmp_path / f".stinr-{computer(path)}-{process.pid}-01234567-film.ome.zarr"
    hidden.mkdir()
    shutil.move(path, hidden / "old")
    shutil.copytree(hidden / "old", hidden / "new")
    with pytest.raises(StinrError, match="not finite"):
        write(path, SMALL * np.float32(np.nan), fingerprint="b")
    np.testing.assert_array_equal(open_store(path).read(), SMALL)
    assert list(tmp_path.iterdir()) == [path]


def computer(path: Path) -> str:
    from napari_stinr.io.output.atomic import temporary_beside

    return temporary_beside(path).name.split("-")[1]


def test_two_processes_that_write_the_same_store_both_succeed(tmp_path: Path) -> None:
    data, path = tmp_path / "data.npy", tmp_path / "film.ome.zarr"
    np.save(data, SMALL)
    processes = [run_child(path, data) for _ in range(2)]
    assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    np.testing.assert_array_equal(open_store(path).read(), SMALL)
    assert {entry.name for entry in tmp_path.iterdir()} == {"data.npy", "film.ome.zarr"}
