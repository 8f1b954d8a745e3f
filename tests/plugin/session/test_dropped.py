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
import scipy.io
import tifffile

from helpers.places import SHARED_DATA
from helpers.plugin_cases import same_series, small_draft, write_stack
from helpers.series_cases import growing_series
from napari_stinr import read_tilt_series, reconstruct
from napari_stinr.errors import StinrError
from napari_stinr.io import write_tilt_angles, write_tilt_series, write_times
from napari_stinr.plugin.canvas.layer_as_series import draft_of_layer, may_be_series
from napari_stinr.plugin.session.draft import matching_draft
from napari_stinr.plugin.session.dropped import Dropped

ANGLES = np.linspace(0, 180, 21)
OTHER_ANGLES = np.linspace(-60, 60, 21)
SECONDS = np.cumsum(np.random.default_rng(2).integers(20, 90, 21)).astype(float)
SERIALEM = SHARED_DATA / "serialem"
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
    assert [path.name for path in dropped.images] == ["a.mrc", "a.tif", "d"]
    assert [path.name for path in dropped.tables] == ["a.RAWTLT", "times.csv", "a.mrc.mdoc", "angles.txt", "b.tlt"]
    assert [path.name for path in dropped.runs] == ["b.stinr", "c.STINR"]
    assert [path.name for path in dropped.stacks] == ["a.mrc"]


def test_an_mdoc_without_images_stands_for_them() -> None:
    dropped = Dropped.of(map(Path, ["a.mdoc", "a.rawtlt"]))
    assert (dropped.images, dropped.tables) == ((Path("a.mdoc"),), (Path("a.rawtlt"),))


def one_file_per_tilt(folder: Path, *, suffix: str = ".tif") -> list[Path]:
    """Write the images of a series one by one, named `t_1` to `t_11` in the order of the stack."""
    images = growing_series(n_tilts=11, width=15, height=7).projections
    folder.mkdir()
    files = [folder / f"t_{number}{suffix}" for number in range(1, 12)]
    for file, image in zip(files, images, strict=True):
        if suffix == ".tif":
            tifffile.imwrite(file, image)
        else:
            write_tilt_series(file, image[None], pixel_size=0.5)
    return files


@pytest.mark.parametrize("suffix", [".tif", ".mrc"])
def test_images_in_any_order_and_their_folder_are_one_series(tmp_path: Path, suffix: str) -> None:
    files = one_file_per_tilt(tmp_path / "needle", suffix=suffix)
    write_tilt_angles(tmp_path / "list.rawtlt", np.arange(11.0))
    shuffled = [files[k] for k in np.random.default_rng(3).permutation(11)]
    drafts = [Dropped.of([*given, tmp_path / "list.rawtlt"]).draft(None) for given in (shuffled, [tmp_path / "needle"])]
    for draft in drafts:
        assert draft.paths == tuple(files)
        same_series(draft.series(), read_tilt_series(tmp_path / "needle", tilt_angles=tmp_path / "list.rawtlt"))
    # The list is in the order of the names, which is that of the stack here.
    np.testing.assert_array_equal(drafts[0].tilt_angles, np.arange(11.0))


def test_several_stacks_are_refused_by_name(tmp_path: Path) -> None:
    stacks = [write_stack(tmp_path / folder) for folder in ("one", "two")]
    stacks[1] = stacks[1].rename(tmp_path / "two" / "rod.mrc")
    with pytest.raises(StinrError, match=r"2 tilt series: needle\.mrc, rod\.mrc; expected one: a stack.*Drop one of"):
        Dropped.of(stacks).draft(None)


def test_two_folders_are_two_series(tmp_path: Path) -> None:
    folders = [one_file_per_tilt(tmp_path / name)[0].parent for name in ("one", "two")]
    with pytest.raises(StinrError, match="2 tilt series: one, two"):
        Dropped.of(folders).draft(None)


def test_a_single_image_is_refused_with_the_way_to_give_all(tmp_path: Path) -> None:
    first = one_file_per_tilt(tmp_path / "needle")[0]
    with pytest.raises(StinrError, match=r"t_1\.tif holds 1 image.*or their folder"):
        Dropped.of([first]).draft(None)


@pytest.mark.parametrize("name", ["tilts.npy", "tilts.mat", "tilts.txt"])
def test_a_bare_list_is_one_of_angles(tmp_path: Path, name: str) -> None:
    stack = write_stack(tmp_path, angles=False)
    write_list(tmp_path / name, OTHER_ANGLES)
    draft = Dropped.of([tmp_path / name, stack]).draft(None)
    assert draft.path == stack
    np.testing.assert_array_equal(draft.tilt_angles, OTHER_ANGLES)
    assert draft.time_assumed
    # And without a stack, of the one that is open.
    np.testing.assert_array_equal(Dropped.of([tmp_path / name]).draft(small_draft()).tilt_angles, OTHER_ANGLES)


@pytest.mark.parametrize("name", ["times.npy", "Dose.txt"])
def test_a_bare_list_whose_name_says_so_is_one_of_times(tmp_path: Path, name: str) -> None:
    write_list(tmp_path / name, SECONDS)
    write_list(tmp_path / "tilts.txt", OTHER_ANGLES)
    draft = Dropped.of([write_stack(tmp_path), tmp_path / name, tmp_path / "tilts.txt"]).draft(None)
    np.testing.assert_array_equal(draft.times, SECONDS)
    np.testing.assert_array_equal(draft.tilt_angles, OTHER_ANGLES)


def write_list(path: Path, values: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"theta": values})
    else:
        path.write_text("\n".join(map(repr, values.tolist())))


@pytest.mark.parametrize("name", ["needle.npy", "needle.mat"])
def test_an_array_of_three_axes_is_a_stack(tmp_path: Path, name: str) -> None:
    stack = growing_series(n_tilts=11, width=15, height=7).projections
    if name.endswith("npy"):
        np.save(tmp_path / name, stack)
    else:
        scipy.io.savemat(tmp_path / name, {"projections": stack.transpose(1, 2, 0), "tilt_angles": np.arange(11.0)})
    draft = Dropped.of([tmp_path / name]).draft(small_draft())
    np.testing.assert_array_equal(draft.preview, stack)


def test_a_list_for_nothing_says_what_it_belongs_to(tmp_path: Path) -> None:
    write_list(tmp_path / "tilts.npy", OTHER_ANGLES)
    with pytest.raises(StinrError, match=r"tilts\.npy is a list of angles or times.*or drop both together"):
        Dropped.of([tmp_path / "tilts.npy"]).draft(None)


def test_two_lists_of_the_same_are_refused_rather_than_one_of_them_taken(tmp_path: Path) -> None:
    for name in ("a.rawtlt", "b.txt"):
        write_list(tmp_path / name, OTHER_ANGLES)
    with pytest.raises(StinrError, match=r"b\.txt and a\.rawtlt both give tilt angles"):
        Dropped.of([write_stack(tmp_path), tmp_path / "b.txt", tmp_path / "a.rawtlt"]).draft(None)


@pytest.mark.parametrize("is_open", [False, True])
def test_a_log_is_no_list(tmp_path: Path, is_open: bool) -> None:
    (tmp_path / "needle.txt").write_text("Tilt series of a needle\n11/18/11 10:36:43 start\n")
    files = [tmp_path / "needle.txt", *([] if is_open else [write_stack(tmp_path)])]
    with pytest.raises(StinrError, match=r"needle\.txt holds no list of tilt angles or times.*Leave it out") as caught:
        Dropped.of(files).draft(small_draft() if is_open else None)
    assert "\n" not in str(caught.value)


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
    assert draft.preview is current.preview
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


def mdoc_of(stack: Path, angles: np.ndarray) -> Path:
    """Write the `.mdoc` of a stack."""
    sections = [f"[ZValue = {k}]\nTiltAngle = {angle}\n" for k, angle in enumerate(angles)]
    path = stack.with_name(f"{stack.name}.mdoc")
    path.write_text(f"PixelSpacing = 5\nImageFile = {stack.name}\n\n" + "\n".join(sections))
    return path


def test_an_mdoc_opens_the_stack_beside_it_where_nothing_else_is_open(tmp_path: Path) -> None:
    mdoc = mdoc_of(write_stack(tmp_path, angles=False), OTHER_ANGLES)
    draft = Dropped.of([mdoc]).draft(None)
    assert draft.path == tmp_path / "needle.mrc"
    np.testing.assert_array_equal(draft.tilt_angles, OTHER_ANGLES)
    # An open series of another length: it cannot be meant.
    assert Dropped.of([mdoc]).draft(small_draft(n_tilts=15)).path == tmp_path / "needle.mrc"
    # One of the same length may be the aligned stack of the same images.
    current = small_draft()
    assert Dropped.of([mdoc]).draft(current).preview is current.preview


def test_an_mdoc_may_be_given_with_its_stack(tmp_path: Path) -> None:
    stack = write_stack(tmp_path, angles=False)
    draft = Dropped.of([mdoc_of(stack, OTHER_ANGLES), stack]).draft(None)
    assert draft.paths == (stack,)
    np.testing.assert_array_equal(draft.tilt_angles, OTHER_ANGLES)


def test_a_montage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.mdoc").write_text("[ZValue = 0]\nPieceCoordinates = 0 0 0\n")
    for current in (None, small_draft()):
        with pytest.raises(StinrError, match="describes a montage"):
            Dropped.of([tmp_path / "map.mdoc"]).draft(current)


@pytest.mark.skipif(not SERIALEM.is_dir(), reason="the real files are not beside this checkout")
@pytest.mark.parametrize("what", ["folder", "all files", "images and their .mdoc", "mdocs alone"])
def test_real_files_of_serialem_are_one_series_however_they_are_dropped(what: str) -> None:
    everything = sorted(SERIALEM.iterdir(), reverse=True)
    given = {
        "folder": [SERIALEM],
        "all files": everything,
        "images and their .mdoc": [file for file in everything if file.name.endswith((".mrc", ".mrc.mdoc"))],
        "mdocs alone": [file for file in everything if file.suffix == ".mdoc"],
    }[what]
    draft = Dropped.of(given).draft(small_draft())
    np.testing.assert_allclose(draft.tilt_angles, [0, -5, 5], atol=0.01)
    np.testing.assert_allclose(draft.times, [0, 25, 170])
    assert not draft.time_assumed


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
    np.testing.assert_array_equal(draft.preview, filtered)


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
