"""What is done in the window can be done again without it: the script and the commands give the same volume."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from helpers.plugin_cases import GROWTH, run_to_end, session_in, small_draft, write_stack
from helpers.series_cases import growing_series
from napari_stinr import ReconstructionConfig, load_reconstruction, preset_config, read_volume
from napari_stinr.cli.main import main
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.errors import StinrError
from napari_stinr.io import write_tilt_angles, write_times
from napari_stinr.plugin.session.corrections import angles_from, times_from
from napari_stinr.plugin.session.new_draft import draft_of_series, draft_of_stack, read_draft
from napari_stinr.plugin.session.scripts import command_lines, is_reproducible, python_script, save_settings
from napari_stinr.simulation import Simulation, SimulationConfig, simulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

ANGLES = np.linspace(0, 180, 21)
TYPED = np.round(ANGLES - 90 + 0.3 * np.sin(np.arange(21)), 2)
SECONDS = np.cumsum(np.random.default_rng(6).integers(20, 90, 21)).astype(float)


def edited(draft: SeriesDraft, **columns: Any) -> SeriesDraft:
    """Return the draft with some columns of its table edited."""
    return draft.with_rows(
        columns.get("angles", draft.tilt_angles), columns.get("times", draft.times), columns.get("used", draft.used)
    )


def left_out(n_tilts: int, *which: int) -> np.ndarray:
    """Return the column `used` with some projections left out."""
    return ~np.isin(np.arange(n_tilts), which)


EDITS: dict[str, Callable[[SeriesDraft], SeriesDraft]] = {
    "as found": lambda draft: draft,
    "typed angles": lambda draft: edited(draft, angles=TYPED[: draft.n_tilts]),
    "typed times": lambda draft: edited(draft, times=np.sqrt(np.arange(draft.n_tilts))),
    "typed both": lambda draft: edited(draft, angles=TYPED[: draft.n_tilts], times=np.arange(draft.n_tilts)[::-1] / 7),
    "angle unknown": lambda draft: edited(
        draft, angles=np.where(np.arange(draft.n_tilts) == 2, np.nan, ANGLES), used=left_out(draft.n_tilts, 2)
    ),
    "start and step": lambda draft: angles_from(draft, "-80:7.5"),
    "order": lambda draft: times_from(draft, "interleaved"),
    "left out": lambda draft: edited(draft, used=left_out(draft.n_tilts, 0, 3, 4)),
    "geometry": lambda draft: replace(draft, flip_tilt=True, axis_offset=-0.75),
    "pixel size": lambda draft: replace(draft, pixel_size=0.777, pixel_size_given=True),
    "crop": lambda draft: replace(draft, crop=Crop(1, 6, 2, 13), axis_offset=0.5),
    "preprocessing": lambda draft: replace(draft, binning=2, invert_contrast=True),
    "everything": lambda draft: replace(
        edited(draft, times=SECONDS[: draft.n_tilts], used=left_out(draft.n_tilts, 1)),
        crop=Crop(1, 7, 1, 14),
        binning=2,
        invert_contrast=True,
        flip_tilt=True,
        axis_offset=0.4,
        pixel_size=1.3,
        pixel_size_given=True,
    ),
}
# Without a table of times, three of them show that it makes no difference.
FILES = pytest.mark.parametrize(
    ("edit", "times"),
    [(name, True) for name in EDITS] + [(name, False) for name in ("as found", "typed both", "everything")],
)
# The sample has 7 tilts, and its angles are its own.
SAMPLE_EDITS = pytest.mark.parametrize(
    "edit", [name for name in EDITS if name not in ("typed angles", "angle unknown")]
)


def file_draft(folder: Path, *, times: bool) -> SeriesDraft:
    """Read a stack with angles beside it, and with a table of times or without."""
    stack = write_stack(folder / "someone's data")
    if times:
        write_times(stack.with_name("times.csv"), ANGLES, SECONDS)
    return read_draft(stack)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(SimulationConfig(grid=(24, 16, 24), tilt_start=-90, tilt_stop=90, tilt_step=30, noise=0.02, seed=2))


@pytest.fixture
def sample(simulation: Simulation) -> SeriesDraft:
    """Return a sample as the menu of samples makes it."""
    return draft_of_series(simulation.series, sample=simulation.config.model_dump())


def in_window(draft: SeriesDraft, folder: Path, config: ReconstructionConfig = GROWTH) -> Reconstruction:
    """Train as the window does."""
    session = session_in(folder / "checkpoints", config=config)
    session.set_draft(draft)
    session.start()
    run_to_end(session)
    assert session.failure == ""
    return session.reconstruction


def run_script(draft: SeriesDraft, config: ReconstructionConfig = GROWTH) -> Reconstruction:
    """Run the script in the current folder, as it stands."""
    exec(compile(python_script(draft, config, device="cpu", threads=1), "script.py", "exec"), {"__name__": "__main__"})
    return load_reconstruction("run.stinr")


def run_commands(settings: Path) -> Reconstruction:
    """Run the commands in the head of a file with settings, on one core."""
    commands = [shlex.split(line[2:]) for line in settings.read_text().splitlines() if line.startswith("# stinr ")]
    assert commands
    for words in commands:
        on_one_core = ["--threads", "1", "--device", "cpu"] if words[1] == "train" else []
        assert main([*words[1:], *on_one_core]) == 0
    return load_reconstruction(settings.with_suffix(".stinr"))


def same(ours: Reconstruction, theirs: Reconstruction) -> None:
    """Check that two reconstructions are the same, bit for bit, and of the same data."""
    for t in (0.0, 0.6):
        np.testing.assert_array_equal(ours.render(t), theirs.render(t))
    assert ours.voxel_size == theirs.voxel_size
    assert ours.config == theirs.config
    # Otherwise the one could not go on with the run of the other.
    assert ours.provenance["fingerprint"] == theirs.provenance["fingerprint"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@FILES
def test_script_gives_the_volume_of_the_window(tmp_path: Path, edit: str, times: bool) -> None:
    draft = EDITS[edit](file_draft(tmp_path, times=times))
    ours, theirs = in_window(draft, tmp_path), run_script(draft)
    same(ours, theirs)
    volume, voxel_size = read_volume("clean.tif")
    np.testing.assert_array_equal(volume, ours.render(0.0))
    assert voxel_size == pytest.approx(ours.voxel_size)


@FILES
def test_commands_give_the_volume_of_the_window(tmp_path: Path, edit: str, times: bool) -> None:
    draft = EDITS[edit](file_draft(tmp_path, times=times))
    settings = tmp_path / "my settings.yaml"
    written = save_settings(settings, draft, GROWTH)
    assert all(file.is_file() for file in written)
    same(in_window(draft, tmp_path), run_commands(settings))


@SAMPLE_EDITS
def test_script_repeats_a_sample(tmp_path: Path, sample: SeriesDraft, edit: str) -> None:
    draft = EDITS[edit](sample)
    same(in_window(draft, tmp_path), run_script(draft))


@SAMPLE_EDITS
def test_commands_repeat_a_sample(tmp_path: Path, sample: SeriesDraft, edit: str) -> None:
    draft = EDITS[edit](sample)
    settings = tmp_path / "settings.yaml"
    save_settings(settings, draft, GROWTH)
    same(in_window(draft, tmp_path), run_commands(settings))


def files_draft(folder: Path, kind: str) -> SeriesDraft:
    """Write one file for every tilt, whose names tell neither order nor angle, and open them as `kind` says."""
    folder.mkdir()
    images = growing_series(n_tilts=7, width=15, height=7).projections
    names = [f"{name}.tif" for name in "dagcbfe"]
    place = folder / "frames" if kind == "folder of .mdoc" else folder
    place.mkdir(exist_ok=True)
    for name, image in zip(names, images, strict=True):
        tifffile.imwrite(place / name, image)
    sections = [
        f"[FrameSet = {k}]\nTiltAngle = {angle}\nSubFramePath = D:\\{name}\nDateTime = 12-Mar-24  10:{k:02d}:30\n"
        for k, (name, angle) in enumerate(zip(names, ANGLES[::3], strict=True))
    ]
    if kind == "list":
        write_tilt_angles(folder / "tilts.rawtlt", ANGLES[::3])
        return read_draft(folder)
    (folder / "needle.mdoc").write_text("\n".join(sections))
    return read_draft(folder if kind == "folder of .mdoc" else folder / "needle.mdoc")


@pytest.mark.parametrize("edit", ["as found", "typed both", "order"])
@pytest.mark.parametrize("kind", ["list", "one .mdoc", "folder of .mdoc"])
def test_script_and_commands_repeat_a_series_of_several_files(tmp_path: Path, kind: str, edit: str) -> None:
    draft = EDITS[edit](files_draft(tmp_path / "needle", kind))
    assert len(draft.paths) == 7
    ours, settings = in_window(draft, tmp_path), tmp_path / "settings.yaml"
    same(ours, run_script(draft))
    save_settings(settings, draft, GROWTH)
    same(ours, run_commands(settings))


@pytest.mark.parametrize("name", ["static", "paper"])
def test_script_has_the_settings_that_were_chosen(tmp_path: Path, name: str) -> None:
    config = preset_config(name).with_training(steps=5, seed=3, held_out=0, tilts_per_step=7)
    draft = file_draft(tmp_path, times=False)
    same(in_window(draft, tmp_path, config), run_script(draft, config))


def test_script_of_held_out_projections_holds_out_the_same(tmp_path: Path) -> None:
    draft, config = file_draft(tmp_path, times=True), GROWTH.with_training(held_out=2)
    ours, theirs = in_window(draft, tmp_path, config), run_script(draft, config)
    same(ours, theirs)
    assert ours.provenance["held_out"] == theirs.provenance["held_out"]


def test_a_found_list_of_a_layer_file_needs_no_argument(tmp_path: Path) -> None:
    script = python_script(file_draft(tmp_path, times=True), GROWTH, device="auto", threads=3)
    assert "tilt_angles" not in script
    assert "times" not in script
    assert "device='auto', threads=3" in script


def test_what_is_in_the_viewer_only_has_no_script(tmp_path: Path) -> None:
    draft = small_draft()
    assert not is_reproducible(draft)
    with pytest.raises(StinrError, match="Save their layer as MRC"):
        python_script(draft, GROWTH, device="cpu", threads=1)
    with pytest.raises(StinrError, match="Save their layer as MRC"):
        command_lines(draft, tmp_path / "settings.yaml", angles=None, times=None)


@pytest.mark.parametrize("kind", ["none", "viewer", "file", "without angles"])
def test_settings_can_be_saved_and_read_back_whatever_is_open(tmp_path: Path, kind: str) -> None:
    drafts = {
        "none": lambda: None,
        "viewer": lambda: draft_of_stack(np.zeros((5, 4, 6))),
        "file": lambda: file_draft(tmp_path, times=True),
        "without angles": lambda: read_draft(write_stack(tmp_path / "bare", angles=False)),
    }
    config = GROWTH.with_training(seed=5, balance=0.17)
    target = tmp_path / "settings.yaml"
    assert save_settings(target, drafts[kind](), config) == [target]
    assert ReconstructionConfig.from_yaml(target.read_text()) == config
    assert ("# stinr train" in target.read_text()) is (kind in ("file", "without angles"))


def test_settings_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    with pytest.raises(StinrError, match="does not exist"):
        save_settings(tmp_path / "missing" / "settings.yaml", None, GROWTH)
