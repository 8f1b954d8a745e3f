"""Exporting a reconstruction as OME-Zarr: by blocks what the volume is as a whole, and on from where it stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.series_cases import growing_series
from helpers.waiting import PATIENCE
from napari_stinr import Reconstruction, preset_config, read_volume, reconstruct
from napari_stinr.cli.main import main
from napari_stinr.errors import StinrError
from napari_stinr.io.output.ome_zarr_reading import open_store
from napari_stinr.reconstruction import export_store as module
from napari_stinr.reconstruction.export import export_run, export_volumes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMES = [0.0, 0.5, 1.0]


class Cancelled(Exception):
    """What a progress callback raises when a person wants no more."""


def trained(preset: str) -> Reconstruction:
    series = growing_series(n_tilts=21, height=10, width=15, pixel_size=0.8)
    return reconstruct(series, config=preset_config(preset), steps=20, device="cpu", threads=1)


@pytest.fixture(scope="module")
def recon() -> Reconstruction:
    run = trained("growth")
    return replace(run, time_range=(0.0, 60.0), time_unit="s")


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a volume of 15 x 10 x 15 voxels have 3 blocks of 4 rows, which are sampled 3 rows at a time."""
    monkeypatch.setattr("napari_stinr.io.output.ome_zarr_layout._SHARD_BYTES", 4 * 4 * 15 * 15)
    monkeypatch.setattr("napari_stinr.reconstruction.rendering.RENDERED_AT_ONCE", 3 * 15 * 15)


@pytest.mark.parametrize("preset", ["growth", "static", "paper"])
def test_the_volumes_are_those_that_are_rendered(tmp_path: Path, preset: str) -> None:
    run = trained(preset)
    export_volumes(run, tmp_path / "film.ome.zarr", times=TIMES)
    film = open_store(tmp_path / "film.ome.zarr").read()
    expected = np.stack([run.render(t) for t in TIMES])
    # A network sees other points together: the last digit.
    np.testing.assert_allclose(film, expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_one_time_has_no_time_axis(recon: Reconstruction, tmp_path: Path) -> None:
    export_volumes(recon, tmp_path / "clean.ome.zarr", times=())
    volume, voxel_size = read_volume(tmp_path / "clean.ome.zarr")
    np.testing.assert_allclose(volume, recon.render(0.0), rtol=1e-5, atol=1e-6)
    assert voxel_size == pytest.approx(0.8)


def test_contamination_and_voxel_size(recon: Reconstruction, tmp_path: Path) -> None:
    export_volumes(recon, tmp_path / "c.ome.zarr", times=[0.2, 1.0], contamination=True, voxel_size=1.6)
    store = open_store(tmp_path / "c.ome.zarr")
    for step, t in enumerate((0.2, 1.0)):
        expected = recon.contamination(t, voxel_size=1.6)
        np.testing.assert_allclose(store.read((step,)), expected, rtol=1e-5, atol=1e-5)
    assert store.voxel_size == pytest.approx(1.6)
    assert store.attributes["content"] == "contamination"


def test_it_tells_where_it_comes_from(recon: Reconstruction, tmp_path: Path) -> None:
    export_volumes(recon, tmp_path / "film.ome.zarr", times=TIMES)
    told = open_store(tmp_path / "film.ome.zarr").attributes
    assert told["config"] == json.loads(recon.config.model_dump_json())
    assert told["seed"] == recon.config.training.seed
    assert told["provenance"] == recon.provenance
    assert (told["time_range"], told["time_unit"], told["times"]) == ([0.0, 60.0], "s", TIMES)
    assert told["version"] == recon.provenance["program"].removeprefix("napari-stinr ")


@pytest.mark.parametrize("contamination", [False, True])
@pytest.mark.parametrize("times", [[0.4], TIMES])
def test_progress_advances_with_every_volume_of_a_block(
    recon: Reconstruction, tmp_path: Path, times: list[float], contamination: bool
) -> None:
    calls: list[tuple[float, float]] = []
    export_volumes(
        recon,
        tmp_path / "out.ome.zarr",
        times=times,
        contamination=contamination,
        progress=lambda done, total, remark="": calls.append((done, total)),
    )
    done = [call[0] for call in calls]
    assert {total for _, total in calls} == {len(times)}
    assert (done[0], done[-1]) == (0, len(times))
    assert np.all(np.diff(done) >= 0)
    assert len(set(done)) == 1 + 3 * len(times)


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("has_old", [False, True])
def test_a_cancelled_export_leaves_what_was_there(
    recon: Reconstruction, tmp_path: Path, at: float, has_old: bool
) -> None:
    target = tmp_path / "film.ome.zarr"
    if has_old:
        export_volumes(recon, target, times=[1.0])

    def cancel(done: float, total: float, remark: str = "") -> None:
        if done >= at * total:
            raise Cancelled

    with pytest.raises(Cancelled):
        export_volumes(recon, target, times=TIMES, progress=cancel)
    assert list(tmp_path.iterdir()) == ([target] if has_old else [])
    assert not has_old or open_store(target).shape[0] == 1


def test_what_must_not_be_replaced_is_found_before_rendering(recon: Reconstruction, tmp_path: Path) -> None:
    target = tmp_path / "film.ome.zarr"
    export_volumes(recon, target, times=[1.0])
    (tmp_path / "foreign.ome.zarr").mkdir()
    for path, overwrite, found in (
        (target, False, "exists"),
        (tmp_path / "foreign.ome.zarr", True, "did not write"),
        (tmp_path / "film.zarr", True, "ends in '.zarr'; expected one of"),
    ):
        with pytest.raises(StinrError, match=found):
            export_volumes(
                recon, path, times=TIMES, overwrite=overwrite, progress=lambda *_: pytest.fail("it has begun")
            )


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[slice]:
    """Blocks of rows that are rendered."""
    blocks: list[slice] = []
    rows_at = module.rows_at

    def noted(field: object, grid: object, rows: slice, times: object) -> Iterator[np.ndarray]:
        blocks.append(rows)
        return rows_at(field, grid, rows, times)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "rows_at", noted)
    return blocks


def interrupted(recon: Reconstruction, target: Path, *, after: float = 0.5) -> None:
    def interrupt(done: float, total: float, remark: str = "") -> None:
        if done > after * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_volumes(recon, target, times=TIMES, progress=interrupt)


def test_the_same_export_goes_on_where_it_stopped(recon: Reconstruction, tmp_path: Path, sampled: list[slice]) -> None:
    target = tmp_path / "film.ome.zarr"
    recon.save(tmp_path / "run.stinr")
    interrupted(recon, target)
    assert sampled == [slice(0, 4), slice(4, 8)]
    sampled.clear()
    # From the file, as a person goes on the next day.
    export_run(tmp_path / "run.stinr", target, times=TIMES)
    assert sampled == [slice(4, 8), slice(8, 10)]
    expected = np.stack([recon.render(t) for t in TIMES])
    np.testing.assert_allclose(open_store(target).read(), expected, rtol=1e-5, atol=1e-5)


def test_another_run_and_other_settings_begin_anew(recon: Reconstruction, tmp_path: Path, sampled: list[slice]) -> None:
    target = tmp_path / "film.ome.zarr"
    for times, contamination, change in (
        ([0.0, 1.0], False, 0.0),
        (TIMES, True, 0.0),
        (TIMES, False, 1e-6),
    ):
        interrupted(recon, target)
        sampled.clear()
        value = next(iter(recon.field.state_dict().values()))
        value.view(-1)[0] += change
        export_volumes(recon, target, times=times, contamination=contamination)
        assert sampled == [slice(0, 4), slice(4, 8), slice(8, 10)]
        value.view(-1)[0] -= change


_CHILD = """
import sys, time
from pathlib import Path
from napari_stinr.cli.main import main
from napari_stinr.io.output import ome_zarr, ome_zarr_layout
ome_zarr_layout._SHARD_BYTES = 4 * 4 * 15 * 15
close_block = ome_zarr.StoreWriter.close_block
def slowly(self, block):
    close_block(self, block)
    print("closed", block, flush=True)
    if len(sys.argv) > 3:
        time.sleep(600)
ome_zarr.StoreWriter.close_block = slowly
sys.exit(main(["export", sys.argv[1], sys.argv[2], "--time", "0", "--time", "1"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of this kind are those of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_command_that_is_stopped_or_killed_goes_on(
    recon: Reconstruction, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run, target = tmp_path / "run.stinr", tmp_path / "film.ome.zarr"
    recon.save(run)
    command = [sys.executable, "-c", _CHILD, run, target]
    process = subprocess.Popen([*command, "slowly"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "closed 0\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    if number == signal.SIGTERM:
        assert "film.ome.zarr is unfinished, and hidden until the same export is asked for again" in said
    assert not target.exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["closed", "1", "closed", "2"]
    assert "it goes on where it stopped" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run.stinr", "film.ome.zarr"}
    expected = np.stack([recon.render(0.0), recon.render(1.0)])
    np.testing.assert_allclose(open_store(target).read(), expected, rtol=1e-5, atol=1e-5)


def test_the_command_line_writes_it(recon: Reconstruction, tmp_path: Path) -> None:
    recon.save(tmp_path / "run.stinr")
    target = tmp_path / "clean.ome.zarr"
    assert main(["export", str(tmp_path / "run.stinr"), str(target)]) == 0
    assert main(["export", str(tmp_path / "run.stinr"), str(target), "--time", "30s", "--time", "1"]) == 0
    assert open_store(target).times == (0.5, 1.0)
    assert main(["export", str(tmp_path / "run.stinr"), str(tmp_path / "clean.zarr")]) == 2
