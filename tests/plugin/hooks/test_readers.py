"""What napari opens: stacks, volumes, lists of angles and reconstructions, and what a person sees when it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.io
from napari.utils.notifications import notification_manager
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import QTimer

import napari_stinr as stinr
from helpers.places import ROOT
from helpers.window_cases import told_since, wait
from napari_stinr.io.output.targets import PROJECT_ENDING
from napari_stinr.plugin.hooks.reader_window import is_asked_in_window
from napari_stinr.plugin.hooks.readers import CLAIMED, get_reader

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = "napari-stinr"
ANGLES = np.array([0.0, -10.0, 10.0, -20.0, 20.0])
TIMES = np.array([3.0, 5.0, 7.0, 9.0, 11.0])
STACK = np.arange(5 * 4 * 6, dtype=np.float32).reshape(5, 4, 6)


def write_stack(path: Path, *, angles: bool = True, times: bool = False) -> Path:
    stinr.write_tilt_series(path, STACK, pixel_size=0.5)
    if angles:
        stinr.write_tilt_angles(path.with_suffix(".rawtlt"), ANGLES)
    if times:
        stinr.write_times(path.with_name(f"{path.stem}_times.csv"), ANGLES, TIMES)
    return path


def read(*paths: Path) -> list:
    given = str(paths[0]) if len(paths) == 1 else [str(path) for path in paths]
    reader = get_reader(given)
    assert reader is not None
    return reader(given)


def draft_in(layer: tuple):
    return layer[1]["metadata"]["stinr"]["draft"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    rod = np.ones((5, 4, 6), dtype=np.float32)
    rod[:, :, 2:4] = 2
    series = stinr.TiltSeries(rod, ANGLES, TIMES, pixel_size=0.5, name="rod")
    path = tmp_path_factory.mktemp("run") / "rod.stinr"
    stinr.reconstruct(series, preset="static", steps=1, seed=0).save(path)
    return path


def test_the_manifest_claims_what_the_reader_reads():
    reader, of_projects = PluginManifest.from_file(ROOT / "napari.yaml").contributions.readers
    assert set(reader.filename_patterns) == {f"*{ending}" for ending in CLAIMED}
    assert of_projects.filename_patterns == [f"*{PROJECT_ENDING}"]


@pytest.mark.parametrize(
    "path",
    [
        "a.tif",
        "a.TIFF",
        "a.csv",
        "a.npy",
        "a.h5",
        "a.npz",
        "a.png",
        "folder",
        ["a.tif", "b.tif"],
        ["a.mrc", "b.png"],
        [],
    ],
)
def test_what_others_read_is_left_to_them(path):
    assert get_reader(path) is None


@pytest.mark.parametrize(
    "path",
    [
        *("a.mrc", "A.MRC", "a.st", "a.dm3", "a.dm4", "a.emd", "a.nxs", "a.mat", "a.tlt", "a.mdoc", "a.stinr"),
        ["a.mrc", "a.rawtlt"],
        ["a.tif", "a.tlt"],
        ["a.h5", "a.mdoc", "times.txt", "angles.npy"],
    ],
)
def test_what_is_claimed(path):
    assert get_reader(path) is not None


@pytest.fixture
def other_reader(monkeypatch):
    """Let another plugin read some of the same files; napari itself must not hear of it."""
    manager = PluginManager()
    command = {"id": "other.read", "title": "Read", "python_name": "other:read"}
    readers = [{"command": "other.read", "filename_patterns": ["*.mat", "*.nxs", "*.mrc", "*.tlt"]}]
    manager.register(PluginManifest(name="other", contributions={"commands": [command], "readers": readers}))
    monkeypatch.setattr(PluginManager, "instance", lambda: manager)


def test_files_of_others_are_left_to_another_plugin_that_reads_them(tmp_path, other_reader):
    for name in ("a.mat", "a.nxs", "a.mrc"):
        (tmp_path / name).write_bytes(b"of another kind")
    stinr.write_tilt_angles(tmp_path / "a.tlt", ANGLES)
    claimed = {name for name in ("a.mat", "a.nxs", "a.mrc", "a.tlt") if get_reader(str(tmp_path / name))}
    assert claimed == {"a.tlt"}
    scipy.io.savemat(tmp_path / "a.mat", {"projections": STACK, "tilt_angles": np.arange(6.0)})
    assert get_reader(str(tmp_path / "a.mat")) is not None


def test_where_nobody_else_reads_them_the_reason_is_told(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"of another kind")
    with pytest.raises(stinr.StinrError, match=r"a\.mat cannot be read"):
        read(tmp_path / "a.mat")


def test_importing_the_reader_is_cheap():
    heavy = {"torch", "numba", "abtem", "scipy", "h5py", "mrcfile", "tifffile", "napari", "qtpy"}
    code = "import sys, napari_stinr.plugin.hooks.readers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not heavy & set(loaded)


@pytest.mark.parametrize("ending", [".mrc", ".mrcs", ".st", ".ali", ".preali"])
def test_a_stack_is_a_tilt_series_with_what_lies_beside_it(tmp_path, ending):
    path = write_stack(tmp_path / f"rod{ending}", times=True)
    ((data, options, kind),) = read(path)
    draft = draft_in((data, options, kind))
    assert kind == "image"
    assert data.shape == (5, 1, 4, 6)
    assert options["axis_labels"] == ("t", "z", "y", "x")
    assert options["units"][1:] == ("nm", "nm", "nm")
    np.testing.assert_allclose(options["scale"][-2:], 0.05)
    np.testing.assert_array_equal(draft.tilt_angles, ANGLES)
    np.testing.assert_array_equal(draft.times, TIMES)
    assert (draft.path, draft.name, draft.problem) == (path, "rod", "")


def test_a_stack_without_angles_is_shown_all_the_same(tmp_path):
    (layer,) = read(write_stack(tmp_path / "rod.st", angles=False))
    assert np.isnan(draft_in(layer).tilt_angles).all()
    assert "no tilt angle" in draft_in(layer).problem


def test_a_volume_comes_back_as_a_volume(tmp_path):
    stinr.write_volume(tmp_path / "clean.mrc", STACK, voxel_size=0.5)
    # A table of times for another stack in the same folder, as `stinr simulate` writes it, makes no series of it.
    stinr.write_times(tmp_path / "times.csv", np.arange(9.0), np.arange(9.0))
    ((data, options, _),) = read(tmp_path / "clean.mrc")
    np.testing.assert_array_equal(data, STACK)
    np.testing.assert_allclose(options["scale"], 0.05)
    assert (options["units"], options["axis_labels"], options["name"]) == (("nm",) * 3, ("z", "y", "x"), "clean")
    assert options["contrast_limits"][0] < options["contrast_limits"][1]
    # Nothing that would keep a person from taking it as a tilt series after all.
    assert options["metadata"]["stinr"] == {}


def test_a_volume_of_unknown_size_is_in_pixels(tmp_path):
    stinr.write_volume(tmp_path / "clean.mrc", STACK, voxel_size=1, length_unit="pixel")
    (layer,) = read(tmp_path / "clean.mrc")
    assert (layer[1]["units"], layer[1]["scale"]) == (("pixel",) * 3, (1.0, 1.0, 1.0))


def test_a_stack_that_calls_itself_a_volume_is_a_series_where_it_has_angles(tmp_path):
    stinr.write_volume(tmp_path / "rod.mrc", STACK, voxel_size=0.5)
    stinr.write_tilt_angles(tmp_path / "rod.rawtlt", ANGLES)
    (layer,) = read(tmp_path / "rod.mrc")
    np.testing.assert_array_equal(draft_in(layer).tilt_angles, ANGLES)


def test_two_images_are_no_series_and_shown_all_the_same(tmp_path):
    stinr.write_tilt_series(tmp_path / "pair.mrc", STACK[:2], pixel_size=0.5)
    (layer,) = read(tmp_path / "pair.mrc")
    assert layer[0].shape == (2, 4, 6)


@pytest.mark.parametrize("ending", [".mrc", ".st", ".ali", ".preali", ".mrcs", ".tif"])
def test_a_list_of_angles_opens_the_stack_beside_it(tmp_path, ending):
    if ending == ".tif":
        stinr.write_volume(tmp_path / "rod.tif", STACK, voxel_size=0.5)
    else:
        write_stack(tmp_path / f"rod{ending}", angles=False)
    stinr.write_tilt_angles(tmp_path / "rod.rawtlt", np.zeros(3))  # a wrong list must not stand in its way
    stinr.write_tilt_angles(tmp_path / "rod.tlt", ANGLES)
    (layer,) = read(tmp_path / "rod.tlt")
    draft = draft_in(layer)
    np.testing.assert_array_equal(draft.tilt_angles, ANGLES)
    np.testing.assert_array_equal(draft.preview, STACK)
    assert (draft.path, draft.angles_argument) == (tmp_path / f"rod{ending}", str(tmp_path / "rod.tlt"))


def test_refined_angles_belong_to_the_aligned_stack(tmp_path):
    for ending in (".st", ".ali"):
        write_stack(tmp_path / f"rod{ending}")
    stinr.write_tilt_angles(tmp_path / "rod.tlt", ANGLES + 0.1)
    paths = {name: draft_in(read(tmp_path / f"rod.{name}")[0]).path.name for name in ("tlt", "rawtlt")}
    assert paths == {"tlt": "rod.ali", "rawtlt": "rod.st"}


def mdoc_of(stack: Path, angles: np.ndarray) -> Path:
    sections = [f"[ZValue = {k}]\nTiltAngle = {angle}\n" for k, angle in enumerate(angles)]
    path = stack.with_name(f"{stack.name}.mdoc")
    path.write_text(f"ImageFile = {stack.name}\n\n" + "\n".join(sections))
    return path


def test_an_mdoc_opens_the_stack_beside_it(tmp_path):
    (layer,) = read(mdoc_of(write_stack(tmp_path / "rod.mrc", angles=False), ANGLES))
    assert draft_in(layer).path == tmp_path / "rod.mrc"
    np.testing.assert_array_equal(draft_in(layer).tilt_angles, ANGLES)


def test_single_images_given_together_are_one_series(tmp_path):
    files = []
    for number, image in enumerate(STACK):
        files.append(tmp_path / f"t{number}.mrc")
        stinr.write_tilt_series(files[-1], image[None], pixel_size=0.5)
    stinr.write_tilt_angles(tmp_path / "list.rawtlt", ANGLES)
    (layer,) = read(*files[::-1], tmp_path / "list.rawtlt")
    np.testing.assert_array_equal(draft_in(layer).preview, STACK)
    assert draft_in(layer).paths == tuple(files)


def test_a_list_of_angles_without_a_stack_says_what_was_looked_for(tmp_path):
    stinr.write_tilt_angles(tmp_path / "rod.rawtlt", ANGLES)
    with pytest.raises(stinr.StinrError, match=r"rod\.rawtlt.*expected one of rod\.mrc, rod\.st.*Put it beside"):
        read(tmp_path / "rod.rawtlt")


def test_files_given_together_are_one_series(tmp_path):
    stack = write_stack(tmp_path / "rod.mrc", angles=False)
    (tmp_path / "lists").mkdir()
    angles, table = tmp_path / "lists" / "a.rawtlt", tmp_path / "lists" / "b.csv"
    stinr.write_tilt_angles(angles, ANGLES)
    stinr.write_times(table, ANGLES, TIMES)
    (layer,) = read(stack, angles, table)
    draft = draft_in(layer)
    np.testing.assert_array_equal(draft.tilt_angles, ANGLES)
    np.testing.assert_array_equal(draft.times, TIMES)
    assert (draft.angles_argument, draft.times_argument) == (str(angles), str(table))


def test_several_series_take_the_lists_named_like_them(tmp_path):
    stacks = [write_stack(tmp_path / f"{name}.mrc", angles=False) for name in ("one", "two")]
    (tmp_path / "lists").mkdir()
    lists = [tmp_path / "lists" / f"{name}.rawtlt" for name in ("two", "one")]
    for number, file in enumerate(lists):
        stinr.write_tilt_angles(file, ANGLES + number)
    layers = read(*stacks, *lists)
    assert [draft_in(layer).name for layer in layers] == ["one", "two"]
    assert [draft_in(layer).tilt_angles[0] for layer in layers] == [1.0, 0.0]


def test_a_table_of_nobody_is_refused(tmp_path):
    stacks = [write_stack(tmp_path / f"{name}.mrc") for name in ("one", "two")]
    stinr.write_times(tmp_path / "three.csv", ANGLES, TIMES)
    with pytest.raises(stinr.StinrError, match=r"three\.csv belongs to none"):
        read(*stacks, tmp_path / "three.csv")


def test_a_reconstruction_is_rendered_at_0(run):
    ((data, options, _),) = read(run)
    reconstruction = options["metadata"]["stinr"]["reconstruction"]
    np.testing.assert_array_equal(data, reconstruction.render(0.0))
    np.testing.assert_allclose(options["scale"], 0.05)
    np.testing.assert_array_equal(options["translate"], 0)
    assert (options["name"], options["axis_labels"]) == ("rod static reconstruction", ("z", "y", "x"))


@pytest.mark.parametrize("name", ["rod.mrc", "rod.stinr", "rod.rawtlt", "missing.mrc", "missing.stinr"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, name):
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"\x01" * 700)
        shutil.copy(write_stack(tmp_path / "whole.mrc"), tmp_path / "rod.mrc") if name == "rod.rawtlt" else None
    with pytest.raises(stinr.StinrError, match=name.partition(".")[0]) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.qt
def test_a_script_opens_files_and_sees_errors(make_napari_viewer, tmp_path, run):
    viewer = make_napari_viewer()
    stack = write_stack(tmp_path / "rod.mrc")
    layers = viewer.open([str(stack), str(run)], plugin=PLUGIN)
    assert [layer.name for layer in layers] == ["rod", "rod static reconstruction"]
    stack.write_bytes(stack.read_bytes()[:1500])
    with pytest.raises(stinr.StinrError, match=r"rod\.mrc cannot be read"):
        viewer.open(str(stack), plugin=PLUGIN)


def open_in_window(viewer, qtbot, *paths: Path) -> list[str]:
    """Open files as a drop does, out of Qt's event loop; texts of what the person is told."""
    n_before, done = len(notification_manager.records), []

    def drop() -> None:
        viewer.window._qt_viewer._qt_open([str(path) for path in paths], stack=False)
        done.append(True)

    QTimer.singleShot(0, drop)
    wait(qtbot, lambda: bool(done))
    return told_since(n_before)


@pytest.mark.qt
def test_a_person_is_told_what_is_wrong_and_how_to_mend_it(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer()
    stack = write_stack(tmp_path / "rod.mrc")
    stack.write_bytes(stack.read_bytes()[:1500])
    (told,) = open_in_window(viewer, qtbot, stack)
    # And not napari's own text, which says only that a plugin failed.
    assert told.startswith("rod.mrc cannot be read (it has 1500 bytes); expected 1504 bytes")
    assert not viewer.layers


@pytest.mark.qt
def test_stack_and_lists_dropped_together_are_one_layer(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer()
    stack = write_stack(tmp_path / "rod.mrc")
    (told,) = open_in_window(viewer, qtbot, stack, tmp_path / "rod.rawtlt")
    assert told == "The layer rod has the tilt angles of rod.rawtlt already."
    assert [layer.name for layer in viewer.layers] == ["rod"]
    # Other angles are another series.
    stinr.write_tilt_angles(tmp_path / "rod.tlt", ANGLES + 0.1)
    assert open_in_window(viewer, qtbot, tmp_path / "rod.tlt") == []
    assert len(viewer.layers) == 2


@pytest.mark.qt
def test_a_person_is_told_that_angles_are_missing(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer()
    (told,) = open_in_window(viewer, qtbot, write_stack(tmp_path / "rod.st", angles=False))
    assert told == "No tilt angles were found for rod: give them on the page Series."
    assert len(viewer.layers) == 1


@pytest.mark.qt
def test_single_images_dropped_on_the_canvas_are_images_and_one_word_tells_what_to_do(
    make_napari_viewer, qtbot, tmp_path
):
    viewer = make_napari_viewer()
    files = []
    for number in range(3):
        stack = tmp_path / f"t{number}.mrc"
        stinr.write_tilt_series(stack, STACK[number : number + 1], pixel_size=0.5)
        # An image and its .mdoc stand for the same, whichever comes first.
        files += [stack, mdoc_of(stack, ANGLES[:1])][:: (-1) ** number]
    (told,) = open_in_window(viewer, qtbot, *files)
    assert told.startswith("t0.mrc holds a single image.")
    assert told.endswith("drop all of its files, or their folder, onto the dock STINR.")
    assert [layer.name for layer in viewer.layers] == ["t0", "t1", "t2"]
    # Who opens a file again wants it twice.
    open_in_window(viewer, qtbot, files[0])
    assert len(viewer.layers) == 4


@pytest.mark.qt
def test_list_in_a_matlab_file_is_recognised_after_its_stack(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer()
    scipy.io.savemat(tmp_path / "rod.mat", {"projections": STACK.transpose(1, 2, 0)})
    scipy.io.savemat(tmp_path / "Angle.mat", {"theta": ANGLES})
    (told,) = open_in_window(viewer, qtbot, tmp_path / "rod.mat", tmp_path / "Angle.mat")
    assert told == "The layer rod has the tilt angles of Angle.mat already."
    scipy.io.savemat(tmp_path / "Others.mat", {"theta": ANGLES + 1})
    (told,) = open_in_window(viewer, qtbot, tmp_path / "Others.mat")
    assert told.startswith("Others.mat lists tilt angles and its stack is not beside it")


def test_no_window_without_an_event_loop():
    assert not is_asked_in_window()
