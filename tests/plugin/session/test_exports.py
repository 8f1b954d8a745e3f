"""What is exported: names that say what is in a file, the right times, and nothing written over or half-written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from helpers.series_cases import growing_series
from napari_stinr import Reconstruction, read_volume, reconstruct
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.endings import WRITTEN_ENDINGS
from napari_stinr.plugin.session.exports import (
    FORMATS,
    Content,
    Export,
    FileFormat,
    check_format,
    contents_of,
    first_folder,
    suggested_name,
)
from napari_stinr.plugin.session.tasks import Cancelled, Progress

if TYPE_CHECKING:
    from pathlib import Path

EVERY_FORMAT = pytest.mark.parametrize("file_format", FORMATS, ids=[kind.ending for kind in FORMATS])
ONE_VOLUME = [Content.CLEAN, Content.AT_T, Content.CONTAMINATION]


@pytest.fixture(scope="module")
def recon() -> Reconstruction:
    series = growing_series(n_tilts=21, width=15, height=7, pixel_size=0.8, name="needle")
    return reconstruct(series, steps=20, device="cpu", threads=1)


def expected(recon: Reconstruction, content: Content, t: float) -> np.ndarray:
    if content is Content.CONTAMINATION:
        return recon.contamination(t)
    return recon.render(0.0 if content is Content.CLEAN else t)


@EVERY_FORMAT
@pytest.mark.parametrize("content", ONE_VOLUME)
def test_the_file_holds_what_was_asked_for(
    recon: Reconstruction, tmp_path: Path, file_format: FileFormat, content: Content
) -> None:
    target = tmp_path / suggested_name(recon, content, 0.7, file_format)
    assert Export(recon, target, content, t=0.7).write(Progress()) == target
    volume, voxel_size = read_volume(target)
    np.testing.assert_array_equal(volume, expected(recon, content, 0.7))
    assert voxel_size == pytest.approx(0.8)


@pytest.mark.parametrize("ending", [".tif", ".ome.tif"])
def test_a_series_goes_evenly_from_the_first_to_the_last_time(
    recon: Reconstruction, tmp_path: Path, ending: str
) -> None:
    export = Export(recon, tmp_path / f"film{ending}", Content.SERIES, t=0.3, n_times=5)
    assert export.times == [0.0, 0.25, 0.5, 0.75, 1.0]
    film = tifffile.imread(export.write(Progress()))
    np.testing.assert_array_equal(film, [recon.render(t) for t in export.times])


def test_a_format_for_one_volume_refuses_a_series_and_names_those_that_take_it() -> None:
    (single,) = [kind for kind in FORMATS if not kind.holds_series]
    with pytest.raises(StinrError, match=single.name) as caught:
        check_format(Content.SERIES, single)
    assert all(kind.name in str(caught.value) for kind in FORMATS if kind.holds_series)
    for kind in FORMATS:
        for content in ONE_VOLUME:
            check_format(content, kind)


def test_formats_that_are_offered_can_be_written() -> None:
    assert all(kind.ending.endswith(WRITTEN_ENDINGS) for kind in FORMATS)


def test_a_static_volume_is_not_offered_as_a_clean_one(recon: Reconstruction) -> None:
    static = reconstruct(growing_series(n_tilts=21, width=15, height=7), preset="static", steps=3, device="cpu")
    assert contents_of(static) == (Content.STATIC,)
    assert suggested_name(static, Content.STATIC, 0.7, FORMATS[0]).endswith("_static.tif")
    assert Content.STATIC not in contents_of(recon)
    assert contents_of(recon)[0] is Content.CLEAN


def test_a_dialog_starts_beside_the_stack_else_where_the_last_file_went(tmp_path: Path) -> None:
    beside, elsewhere = tmp_path / "data", tmp_path / "results"
    beside.mkdir()
    elsewhere.mkdir()
    draft: Any = type("Draft", (), {"paths": (beside / "stack.mrc",)})()
    assert first_folder(draft, elsewhere / "clean.tif") == beside
    assert first_folder(None, elsewhere / "clean.tif") == elsewhere
    beside.rmdir()
    assert first_folder(draft, None) is None


def test_names_say_what_is_in_the_file(recon: Reconstruction) -> None:
    tif, _, mrc, store = FORMATS
    assert suggested_name(recon, Content.CLEAN, 0.7, tif) == "needle_clean.tif"
    assert suggested_name(recon, Content.AT_T, 0.7, mrc) == "needle_t0.700.mrc"
    assert suggested_name(recon, Content.CONTAMINATION, 1.0, tif) == "needle_contamination_t1.000.tif"
    assert suggested_name(recon, Content.SERIES, 0.7, tif) == "needle_4D.tif"
    assert suggested_name(recon, Content.SERIES, 0.7, store) == "needle_4D.ome.zarr"


def test_no_two_contents_have_the_same_name(recon: Reconstruction) -> None:
    names = {suggested_name(recon, content, t, kind) for content in Content for t in (0.25, 0.5) for kind in FORMATS}
    assert len(names) == (3 + 2 * 2) * len(FORMATS)


@pytest.mark.parametrize("name", ["a/b", "..\\x", "tilt 1: Au?", "Å"])
def test_a_name_is_one_file_whatever_the_series_is_called(recon: Reconstruction, tmp_path: Path, name: str) -> None:
    odd = replace(recon, provenance={**recon.provenance, "series": name})
    target = tmp_path / suggested_name(odd, Content.CLEAN, 0.0, FORMATS[0])
    assert target.parent == tmp_path
    assert not set(target.name) & set('/\\:?*"<>| ')
    Export(odd, target).write(Progress())


def occupy(recon: Reconstruction, target: Path) -> bytes:
    """Put something of this name there that an export may replace."""
    if target.name.endswith(".ome.zarr"):
        Export(recon, target, Content.AT_T, t=1.0).write(Progress())
    else:
        target.write_bytes(b"precious")
    return content_of(target)


def content_of(target: Path) -> bytes:
    """Return all that is in a file or a folder."""
    if target.is_file():
        return target.read_bytes()
    return b"".join(path.read_bytes() for path in sorted(target.rglob("*")) if path.is_file())


@EVERY_FORMAT
def test_a_file_that_is_there_is_replaced_only_where_the_person_agreed(
    recon: Reconstruction, tmp_path: Path, file_format: FileFormat
) -> None:
    target = tmp_path / f"out{file_format.ending}"
    before = occupy(recon, target)
    export = Export(recon, target)
    with pytest.raises(StinrError, match="exists"):
        export.write(Progress())
    assert content_of(target) == before
    replace(export, may_replace=True).write(Progress())
    np.testing.assert_array_equal(read_volume(target)[0], recon.render(0.0))
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


class CancelledAt(Progress):
    """Progress of a task that a person cancels when it has come so far."""

    def __init__(self, part: float) -> None:
        super().__init__()
        self._part = part

    def __call__(self, done: float, total: float, remark: str = "", /) -> None:
        if done >= self._part * total:
            self.cancel()
        super().__call__(done, total, remark)


@EVERY_FORMAT
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_cancelled_export_leaves_everything_as_it_was(
    recon: Reconstruction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file_format: FileFormat,
    part: float,
    is_there: bool,
) -> None:
    monkeypatch.setattr("napari_stinr.reconstruction.rendering.RENDERED_AT_ONCE", 2 * 15 * 15)
    target = tmp_path / f"out{file_format.ending}"
    before = occupy(recon, target) if is_there else None
    content = Content.SERIES if file_format.holds_series else Content.CONTAMINATION
    progress = CancelledAt(part)
    with pytest.raises(Cancelled):
        Export(recon, target, content, t=1.0, n_times=3, may_replace=True).write(progress)
    assert [path.name for path in tmp_path.iterdir()] == ([] if before is None else [target.name])
    assert before is None or content_of(target) == before


def test_progress_comes_to_its_end(recon: Reconstruction, tmp_path: Path) -> None:
    progress = Progress()
    Export(recon, tmp_path / "out.tif", Content.SERIES, n_times=4).write(progress)
    assert progress.done == progress.total == 4


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.png", {}),
        ("missing/out.tif", {}),
        ("out.mrc", {"content": Content.SERIES}),
        ("out.tif", {"content": Content.AT_T, "t": np.nan}),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_rendered(
    recon: Reconstruction, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(StinrError):
        Export(recon, tmp_path / name, **options).write(lambda *_: pytest.fail("it has begun"))
    assert not list(tmp_path.iterdir())
