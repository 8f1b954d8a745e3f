"""Files that are dropped together become one series, whatever their order; layers become series where they can."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pint
import pytest
from plugin_cases import same_series, small_draft, write_stack

from napari_stinr import read_tilt_series, reconstruct
from napari_stinr.errors import StinrError
from napari_stinr.io import write_tilt_angles, write_times
from napari_stinr.plugin.opening import Dropped, draft_of_layer, matching_draft, may_be_series

ANGLES = np.linspace(0, 180, 21)
OTHER_ANGLES = np.linspace(-60, 60, 21)
SECONDS = np.cumsum(np.random.default_rng(2).integers(20, 90, 21)).astype(float)
UNITS = pint.get_application_registry()


def elsewhere(folder: Path, *, angles: np.ndarray = OTHER_ANGLES, times_of: np.ndarray | None = None) -> list[Path]:
    """Write a list of angles and a table of times that do not lie beside the stack and are not named like it."""
    folder.mkdir()
    write_tilt_angles(folder / "list.rawtlt", angles)
    write_times(folder / "dose.csv", angles if times_of is None else times_of, SECONDS)
    return [folder / "list.rawtlt", folder / "dose.csv"]


def test_files_are_sorted_by_what_they_are() -> None:
    names = ["a.mrc", "a.RAWTLT", "b.stinr", "times.csv", "a.tif", "a.mrc.mdoc", "angles.txt", "b.tlt", "c.STINR", "d"]
    dropped = Dropped.of(map(Path, names))
    assert [path.name for path in dropped.stacks] == ["a.mrc", "a.tif", "d"]
    assert [path.name for path in dropped.tables] == ["a.RAWTLT", "times.csv", "a.mrc.mdoc", "angles.txt", "b.tlt"]
    assert [path.name for path in dropped.runs] == ["b.stinr", "c.STINR"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_stack_angles_and_times_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    stack = write_stack(tmp_path, angles=False)
    angles, times = elsewhere(tmp_path / "other")
    files = [stack, angles, times]
    draft = Dropped.of(files[k] for k in order).draft(None)
    assert draft.path == stack
    same_series(draft.series(), read_tilt_series(stack, tilt_angles=angles, times=times))
    assert not draft.time_assumed


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_lists_that_contradict_each_other_are_refused_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    stack = write_stack(tmp_path, angles=False)
    files = [stack, *elsewhere(tmp_path / "other", times_of=OTHER_ANGLES[::-1])]
    with pytest.raises(StinrError, match="for projection 1"):
        Dropped.of(files[k] for k in order).draft(None)


@pytest.mark.parametrize("beside", ["other angles", "too few"])
def test_a_wrong_list_beside_the_stack_does_not_stand_in_the_way(tmp_path: Path, beside: str) -> None:
    stack = write_stack(tmp_path)
    if beside == "too few":
        write_tilt_angles(tmp_path / "needle.rawtlt", ANGLES[:-1])
    angles, _ = elsewhere(tmp_path / "other")
    draft = Dropped.of([stack, angles]).draft(None)
    np.testing.assert_array_equal(draft.tilt_angles, OTHER_ANGLES)


def test_a_table_with_both_columns_gives_both(tmp_path: Path) -> None:
    stack = write_stack(tmp_path, angles=False)
    _, table = elsewhere(tmp_path / "other")
    draft = Dropped.of([stack, table]).draft(None)
    same_series(draft.series(), read_tilt_series(stack, times=table))


def test_a_table_of_angles_alone_gives_the_angles(tmp_path: Path) -> None:
    stack = write_stack(tmp_path, angles=False)
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["tilt_angle_deg", *map(repr, OTHER_ANGLES.tolist())]))
    draft = Dropped.of([stack, table]).draft(None)
    same_series(draft.series(), read_tilt_series(stack, tilt_angles=table))


def test_tables_without_a_stack_are_for_the_one_that_is_open(tmp_path: Path) -> None:
    current = small_draft()
    draft = Dropped.of(elsewhere(tmp_path / "other")).draft(current)
    assert draft.stack is current.stack
    np.testing.assert_array_equal(draft.tilt_angles, OTHER_ANGLES)
    np.testing.assert_array_equal(draft.times, SECONDS)


def test_an_mdoc_gives_angles_and_times(tmp_path: Path) -> None:
    sections = [
        f"[ZValue = {k}]\nTiltAngle = {angle}\nDateTime = 12-Mar-24  10:{k // 2:02d}:{30 * (k % 2):02d}\n"
        for k, angle in enumerate(OTHER_ANGLES)
    ]
    (tmp_path / "other.mdoc").write_text("PixelSpacing = 5\n\n" + "\n".join(sections))
    draft = Dropped.of([tmp_path / "other.mdoc"]).draft(small_draft())
    np.testing.assert_array_equal(draft.tilt_angles, OTHER_ANGLES)
    np.testing.assert_allclose(np.diff(draft.times), 30.0)
    assert draft.time_unit == "s"


def test_a_list_of_another_length_is_refused(tmp_path: Path) -> None:
    write_tilt_angles(tmp_path / "list.rawtlt", ANGLES[:-2])
    with pytest.raises(StinrError, match="19 tilt angles"):
        Dropped.of([tmp_path / "list.rawtlt"]).draft(small_draft())


class Image(SimpleNamespace):
    """What the plugin looks at in a layer of napari."""


def layer(data: Any, **changes: Any) -> Image:
    values = {
        "data": data,
        "metadata": {},
        "units": (UNITS.pixel,) * np.ndim(data),
        "scale": np.ones(np.ndim(data)),
        "name": "Au particles",
        "source": SimpleNamespace(path=None),
        "multiscale": False,
        "rgb": False,
    }
    return Image(**(values | changes))


def test_a_layer_of_the_plugin_is_the_series_it_shows() -> None:
    draft = small_draft()
    shown = layer(np.zeros((2, 2)), metadata={"stinr": {"draft": draft}})
    assert draft_of_layer(shown) is draft
    assert may_be_series(shown)


@pytest.mark.parametrize(
    ("unit", "scale", "angstrom"),
    [
        (UNITS.nm, 0.05, 0.5),
        (UNITS.angstrom, 0.5, 0.5),
        (UNITS.um, 1e-4, 1.0),
    ],
)
def test_pixel_size_of_a_layer_comes_in_any_unit_of_length(unit: Any, scale: float, angstrom: float) -> None:
    draft = draft_of_layer(layer(np.zeros((5, 4, 6)), units=(unit,) * 3, scale=np.full(3, scale)))
    assert draft.pixel_size == pytest.approx(angstrom)
    assert draft.name == "Au particles"


def test_a_layer_in_pixels_has_no_pixel_size() -> None:
    assert draft_of_layer(layer(np.zeros((5, 4, 6)))).pixel_size is None


def test_the_file_of_a_layer_is_remembered_where_it_holds_the_same_stack(tmp_path: Path) -> None:
    stack = write_stack(tmp_path)
    series = read_tilt_series(stack)
    same = draft_of_layer(layer(series.projections, source=SimpleNamespace(path=str(stack))))
    assert same.path == stack
    np.testing.assert_array_equal(same.tilt_angles, series.tilt_angles)
    for data, path in ((series.projections[:10], stack), (series.projections, tmp_path / "gone.mrc")):
        other = draft_of_layer(layer(data, source=SimpleNamespace(path=str(path))))
        assert other.path is None
        assert other.n_tilts == len(data)


def test_what_a_person_has_made_of_a_layer_is_not_swapped_for_its_file(tmp_path: Path) -> None:
    stack = write_stack(tmp_path)
    filtered = read_tilt_series(stack).projections - 3
    draft = draft_of_layer(layer(filtered, source=SimpleNamespace(path=str(stack))))
    np.testing.assert_array_equal(draft.stack, filtered)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (layer(np.zeros((5, 4, 6))), True),
        (layer(np.zeros((5, 1, 4, 6))), True),
        (layer(np.zeros((4, 6))), False),
        (layer(np.zeros((5, 3, 4, 6))), False),
        (layer(np.zeros((5, 4, 6)), metadata={"stinr": {"truth": True}}), False),
        (layer(np.zeros((5, 4, 3)), rgb=True), False),
        (layer(np.zeros((5, 4, 6)), multiscale=True), False),
        (SimpleNamespace(data=np.zeros((5, 3)), metadata={}), False),
    ],
    ids=["stack", "flat axis", "image", "4D", "truth", "rgb", "multiscale", "points"],
)
def test_only_a_stack_may_be_a_series(shown: Any, expected: bool) -> None:
    assert may_be_series(shown) is expected


def test_a_reconstruction_belongs_to_the_series_of_its_size_and_times() -> None:
    draft = replace(small_draft(times=np.linspace(100, 160, 21)), binning=2)
    recon = reconstruct(draft.series(), steps=2, device="cpu", threads=1)
    assert matching_draft(draft, recon) is draft
    # The binning of the run is found, whatever the form says now.
    assert matching_draft(replace(draft, binning=1), recon).binning == 2
    for other in (
        None,
        replace(draft, times=draft.times + 1),
        replace(draft, tilt_angles=np.full(21, np.nan)),
        replace(draft, pixel_size=7.0),
    ):
        assert matching_draft(other, recon) is None
