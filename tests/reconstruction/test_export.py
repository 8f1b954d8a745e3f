"""Exporting a reconstruction that is in memory: what is in the file, progress, and cancelling."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from helpers.series_cases import growing_series
from napari_stinr import Reconstruction, read_volume, reconstruct, write_tilt_series
from napari_stinr.errors import StinrError
from napari_stinr.reconstruction.export import export_run, export_volumes

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = pytest.mark.parametrize("name", ["out.mrc", "out.tif", "out.ome.tif"])


class Cancelled(Exception):
    """What a progress callback raises when a person wants no more."""


@pytest.fixture(scope="module")
def recon() -> Reconstruction:
    return reconstruct(
        growing_series(n_tilts=21, height=10, width=15, pixel_size=0.8), steps=20, device="cpu", threads=1
    )


@ENDINGS
def test_one_time(recon: Reconstruction, tmp_path: Path, name: str) -> None:
    export_volumes(recon, tmp_path / name, times=[0.4])
    volume, voxel_size = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume, recon.render(0.4))
    assert voxel_size == pytest.approx(0.8)


@ENDINGS
def test_contamination_and_voxel_size(recon: Reconstruction, tmp_path: Path, name: str) -> None:
    export_volumes(recon, tmp_path / name, times=(), contamination=True, voxel_size=1.6)
    volume, voxel_size = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume, recon.contamination(1.0, voxel_size=1.6))
    assert voxel_size == pytest.approx(1.6)


def test_several_times_of_the_contamination(recon: Reconstruction, tmp_path: Path) -> None:
    export_volumes(recon, tmp_path / "film.tif", times=[0.2, 1.0], contamination=True)
    film = tifffile.imread(tmp_path / "film.tif")
    np.testing.assert_array_equal(film, [recon.contamination(0.2), recon.contamination(1.0)])


def test_saved_and_unsaved_reconstruction_give_the_same_bytes(recon: Reconstruction, tmp_path: Path) -> None:
    recon.save(tmp_path / "run.stinr")
    contents = []
    for export, source in ((export_volumes, recon), (export_run, tmp_path / "run.stinr")):
        export(source, tmp_path / "film.tif", times=[0.0, 1.0])
        contents.append((tmp_path / "film.tif").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("contamination", [False, True])
@pytest.mark.parametrize("times", [[0.0], [0.0, 0.5, 1.0]])
def test_progress_advances_within_a_volume(
    recon: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: list[float], contamination: bool
) -> None:
    monkeypatch.setattr(
        "napari_stinr.reconstruction.rendering.RENDERED_AT_ONCE", 3 * 15 * 15
    )  # 4 blocks of rows in a volume
    calls: list[tuple[float, float]] = []
    export_volumes(
        recon,
        tmp_path / "out.tif",
        times=times,
        contamination=contamination,
        progress=lambda done, total, remark="": calls.append((done, total)),
    )
    done = [call[0] for call in calls]
    assert {total for _, total in calls} == {len(times)}
    assert done[0] == 0
    assert done[-1] == len(times)
    assert np.all(np.diff(done) > 0)
    assert len(calls) == 1 + 4 * (len(times) + contamination)


@ENDINGS
@pytest.mark.parametrize("before", [None, b"precious"])
@pytest.mark.parametrize("at", ["start", "middle", "end"])
def test_cancelled_export_leaves_what_was_there(
    recon: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, before: bytes | None, at: str
) -> None:
    monkeypatch.setattr("napari_stinr.reconstruction.rendering.RENDERED_AT_ONCE", 3 * 15 * 15)
    times, target = [0.3] if name == "out.mrc" else [0.3, 0.6], tmp_path / name
    if before is not None:
        target.write_bytes(before)
    limit = {"start": 0.0, "middle": 0.6 * len(times), "end": float(len(times))}[at]

    def cancel(done: float, total: float, remark: str = "") -> None:
        if done >= limit:
            raise Cancelled

    with pytest.raises(Cancelled):
        export_volumes(recon, target, times=times, progress=cancel)
    assert [path.name for path in tmp_path.iterdir()] == ([] if before is None else [name])
    assert before is None or target.read_bytes() == before


@ENDINGS
def test_a_file_that_must_not_be_replaced_is_found_before_rendering(
    recon: Reconstruction, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"precious")
    calls: list[float] = []
    with pytest.raises(StinrError, match="exists"):
        export_volumes(
            recon,
            tmp_path / name,
            times=[0],
            overwrite=False,
            progress=lambda done, total, remark="": calls.append(done),
        )
    assert not calls
    assert (tmp_path / name).read_bytes() == b"precious"
    export_volumes(recon, tmp_path / f"new-{name}", times=[0], overwrite=False)
    assert (tmp_path / f"new-{name}").exists()


def test_a_measured_stack_is_found_before_rendering(recon: Reconstruction, tmp_path: Path) -> None:
    recon.save(tmp_path / "run.stinr")
    stack = growing_series(n_tilts=5, height=10, width=15).projections
    calls: list[float] = []
    for name, write in (("a.mrc", partial(write_tilt_series, pixel_size=1.0)), ("a.tif", tifffile.imwrite)):
        write(tmp_path / name, stack)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(StinrError, match="is there already"):
            export_volumes(recon, tmp_path / name, times=[0], progress=lambda done, *_: calls.append(done))
        with pytest.raises(StinrError, match="is there already"):
            export_run(tmp_path / "run.stinr", tmp_path / name)
        assert not calls
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize(
    ("name", "options", "found"),
    [
        ("out.mrc", {"times": [0, 1]}, "2 times for out.mrc"),
        ("out.png", {"times": [0]}, "ends in"),
        ("out.tif", {"times": [0, float("inf")]}, "the time is inf"),
        ("out.tif", {"times": [0], "voxel_size": 0.0}, "the voxel size is 0"),
        ("missing/out.tif", {"times": [0]}, "missing"),
    ],
)
def test_what_cannot_be_exported_is_refused_at_once(
    recon: Reconstruction, tmp_path: Path, name: str, options: dict[str, object], found: str
) -> None:
    with pytest.raises(StinrError, match=found):
        export_volumes(recon, tmp_path / name, progress=lambda *_: pytest.fail("it has begun"), **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
