"""The command line as people use it: exit codes, what goes to stdout and stderr, files left behind."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import tifffile
import yaml
from typer.main import get_command

from helpers import waiting
from helpers.cli_cases import ANGLES, HEIGHT, RUN, SIZE, VOXEL_SIZE, start, write_stack, write_truth
from helpers.places import SHARED_DATA
from helpers.waiting import PATIENCE
from napari_stinr.cli.main import app, main
from napari_stinr.config import PRESETS
from napari_stinr.io import read_volume, write_tilt_series, write_volume
from napari_stinr.reconstruction import load_reconstruction
from napari_stinr.simulation import SimulationConfig
from napari_stinr.simulation.atoms_file import read_atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.training.schedule import StepReport

ETSPY = SHARED_DATA / "etspy" / "HAADF.mrc"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr, when nothing else was written."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("stinr: ")
    return line


def line_after_estimate(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr after that which says what a training is expected to need."""
    captured = capsys.readouterr()
    assert captured.out == ""
    estimate, line = captured.err.splitlines()
    assert "voxels, " in estimate
    assert " free, about " in estimate
    assert line.startswith("stinr: ")
    return line


def train(stack: Path, out: Path, *options: object) -> int:
    return run("train", stack, "--out", out, "--device", "cpu", "--threads", 1, *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    assert train(write_stack(folder), folder / "run.stinr", "--steps", 3) == 0
    return folder / "run.stinr"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["bogus"], "no such command 'bogus'"),
        (["train"], "missing argument 'stack'"),
        (["train", "stack.mrc"], "missing option '--out'"),
        (["train", "stack.mrc", "--out", "run.stinr", "--bogus"], "no such option: --bogus"),
        (["train", "stack.mrc", "--out", "run.stinr", "--steps", "many"], "invalid value for '--steps'"),
        (["train", "stack.mrc", "--out", "run.stinr", "--steps", "0"], "invalid value for '--steps'"),
        (["train", "stack.mrc", "--out", "run.stinr", "--threads", "0"], "invalid value for '--threads'"),
        (["simulate", "--out", "out", "--tilts", "0", "180"], "'--tilts' requires 3 arguments"),
        (["simulate", "--out", "out", "--growth", "upwards"], "growth of the simulation is 'upwards'"),
        (["simulate", "--out", "out", "--exposure", "cos"], "exposure of the simulation is 'cos'"),
        (["simulate", "--out", "out", "--exposure", "1/cos"], "follows 1/cos(tilt) up to 180 degrees"),
        (["simulate", "--out", "out", "--view", "51"], "view is 51 pixels of a grid of 88 x 88 voxels"),
        (["info", "missing.mrc"], "missing.mrc does not exist"),
        (["info", "missing.stinr"], "missing.stinr"),
        (["export", "missing.stinr", "out.tif"], "missing.stinr"),
        (["evaluate", "missing.mrc", "--truth", "truth.mrc"], "missing.mrc does not exist"),
    ],
)
def test_wrong_words_are_one_line_and_leave_nothing(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    line = one_line(capsys).lower()
    assert expected in line
    assert "; expected " in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--steps", "5", "--seconds", "5"], "both --steps and --seconds were given"),
        (["--preset", "bogus"], "bogus"),
        (["--device", "bogus"], "bogus"),
        (["--angles", "-60:2:1"], "-60:2:1"),
        (["--angles", "0:0"], "all tilt angles are 0"),
        (["--times", "sideways"], "sideways"),
        (["--pixel-size", "-1"], "the pixel size is -1"),
        (["--exclude", "1,x"], "--exclude has 'x'"),
        (["--exclude", "99"], "projection 99 is to be excluded"),
        (["--bin", "7"], "a binning of 7"),
        (["--bin", "0"], "invalid value for '--bin'"),
        (["--config", "missing.yaml"], "missing.yaml cannot be read"),
        (["--resume", "missing.stinr"], "missing.stinr"),
    ],
)
def test_wrong_options_of_train(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = write_stack(tmp_path, times=False)
    assert train(stack, tmp_path / "run.stinr", *options) == 2
    assert expected in one_line(capsys)
    assert not (tmp_path / "run.stinr").exists()


def test_binned_and_inverted_projections_are_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run.stinr"
    assert train(write_stack(tmp_path), out, "--steps", 2, "--bin", 2, "--invert-contrast") == 0
    grid = load_reconstruction(out).grid
    assert (grid.shape, grid.voxel_size) == ((SIZE // 2, HEIGHT // 2, SIZE // 2), 2 * VOXEL_SIZE)
    notes = capsys.readouterr().err
    assert "Binned 2 x 2" in notes
    assert "Contrast inverted" in notes


@pytest.mark.parametrize("place", ["missing/run.stinr", ".", "run.mrc"])
def test_an_output_that_cannot_be_written_is_found_before_reading(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "not-even-read.mrc", tmp_path / place) == 2
    assert "not-even-read" not in one_line(capsys)


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"], ["train", "--help"]):
        assert run(*arguments) == 0
        assert "Usage: stinr" in capsys.readouterr().out
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("stinr ")


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "numba", "scipy", "abtem", "ase", "matplotlib", "pydantic", "h5py"}
    code = "import sys; from napari_stinr.cli.main import main; main(['--help']); print(*sys.modules)"
    out, err = start(code=code).communicate(timeout=PATIENCE)
    assert "Usage: stinr" in out, err
    assert not heavy & set(out.split())


def test_help_names_the_presets() -> None:
    # By hand: the settings are not imported for the help.
    (option,) = (one for one in get_command(app).commands["train"].params if one.name == "preset")
    assert option.metavar == "|".join(sorted(PRESETS))


def test_train_says_what_it_assumed_and_writes_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = write_stack(tmp_path, times=False)
    assert train(stack, tmp_path / "run.stinr", "--steps", 2, "--preset", "static") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "stinr: Times are not in the files and were assumed to be stack order" in captured.err
    run = load_reconstruction(tmp_path / "run.stinr")
    assert (run.step, run.config.preset, run.voxel_size) == (2, "static", VOXEL_SIZE)
    assert run.grid.shape == (SIZE, HEIGHT, SIZE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.stinr", "stack.mrc", "stack.rawtlt"]


def test_negative_angles_as_words(tmp_path: Path) -> None:
    projections = np.random.default_rng(0).random((len(ANGLES), HEIGHT, SIZE))
    write_tilt_series(tmp_path / "bare.mrc", projections, pixel_size=None)
    options = ("--angles", "-60:10", "--axis-offset", "-0.5", "--exclude", "-1,0:1", "--flip-tilt")
    assert train(tmp_path / "bare.mrc", tmp_path / "run.stinr", "--steps", 1, *options) == 0
    assert load_reconstruction(tmp_path / "run.stinr").length_unit == "pixel"


def test_resume_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, whole, part = write_stack(tmp_path), tmp_path / "whole.stinr", tmp_path / "part.stinr"
    assert train(stack, whole, "--steps", 6, "--seed", 1) == 0

    def interrupt_third_step(update: object, **expected: object) -> Callable[[StepReport], None]:
        return lambda report: signal.raise_signal(signal.SIGINT) if report.step == 3 else None

    with monkeypatch.context() as patch:
        patch.setattr("napari_stinr.cli.training.step_reporter", interrupt_third_step)
        assert train(stack, part, "--steps", 6, "--seed", 1) == 130
    assert load_reconstruction(part).step == 3
    assert train(stack, part, "--resume", part) == 0
    first, second = load_reconstruction(whole), load_reconstruction(part)
    assert (first.step, second.step) == (6, 6)
    np.testing.assert_array_equal(first.render(0.0), second.render(0.0))
    capsys.readouterr()
    assert train(stack, part, "--resume", part, "--exclude", "0") == 2
    assert "fingerprint" in line_after_estimate(capsys)


def test_the_configuration_that_info_prints_can_be_trained_with(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("info", trained) == 0
    config = tmp_path / "config.yaml"
    config.write_text(capsys.readouterr().out.partition("config:\n")[2])
    assert train(write_stack(tmp_path), tmp_path / "run.stinr", "--config", config) == 0
    np.testing.assert_array_equal(
        load_reconstruction(tmp_path / "run.stinr").render(0.0), load_reconstruction(trained).render(0.0)
    )


def test_results_are_written_again_but_measured_data_and_longer_runs_stay(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, out = write_stack(tmp_path), tmp_path / "run.stinr"
    assert [train(stack, out, "--steps", steps) for steps in (2, 2, 3)] == [0, 0, 0]
    before = {path: path.read_bytes() for path in (stack, out)}
    for arguments, found, line in (
        (("train", stack, "--out", out, "--steps", 2), "run of this series with 3 steps", line_after_estimate),
        (("train", stack, "--out", out, "--steps", 9, "--exclude", 0), "run of other data", line_after_estimate),
        (("export", out, stack), "is there already", one_line),
    ):
        capsys.readouterr()
        assert run(*arguments) == 2
        assert found in line(capsys)
    assert all(path.read_bytes() == content for path, content in before.items())
    for name in ("clean.mrc", "clean.tif", "clean.mrc", "clean.tif"):
        assert run("export", trained, tmp_path / name) == 0


def test_info_of_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", write_stack(tmp_path)) == 0
    out = capsys.readouterr().out
    for text in (f"{len(ANGLES)} projections of {HEIGHT} x {SIZE}", "-60 to 60 degrees, step 10", "0.5 Å", "times.csv"):
        assert text in out
    bare = tmp_path / "elsewhere" / "bare.mrc"
    bare.parent.mkdir()
    write_tilt_series(bare, np.ones((3, 4, 5)), pixel_size=None)
    assert run("info", bare) == 0
    out = capsys.readouterr().out
    assert "3 images of 4 x 5" in out
    assert "missing            no tilt angles for bare.mrc" in out


def test_info_of_a_run_ends_with_its_configuration(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", trained) == 0
    out = capsys.readouterr().out
    assert "step               3 of 3" in out
    assert f"{SIZE} x {HEIGHT} x {SIZE} voxels" in out
    config = yaml.safe_load(out[out.index("config:") :])["config"]
    assert config == yaml.safe_load(load_reconstruction(trained).config.to_yaml())


def test_export_one_time(trained: Path, tmp_path: Path) -> None:
    for name in ("clean.tif", "clean.mrc"):
        assert run("export", trained, tmp_path / name) == 0
        volume, voxel_size = read_volume(tmp_path / name)
        np.testing.assert_array_equal(volume, load_reconstruction(trained).render(0.0))
        assert voxel_size == pytest.approx(VOXEL_SIZE)
    assert run("export", trained, tmp_path / "coarse.mrc", "--voxel-size", 1.0) == 0
    with mrcfile.open(tmp_path / "coarse.mrc") as file:
        assert float(file.voxel_size.x) == pytest.approx(1.0)
        assert file.data.shape == load_reconstruction(trained).render(0.0, voxel_size=1.0).shape


def test_export_several_times_and_contamination(trained: Path, tmp_path: Path) -> None:
    assert run("export", trained, tmp_path / "film.tif", "--time", 0, "--time", 0.5, "--time", 1) == 0
    film, saved = tifffile.imread(tmp_path / "film.tif"), load_reconstruction(trained)
    np.testing.assert_array_equal(film, [saved.render(t) for t in (0.0, 0.5, 1.0)])
    assert run("export", trained, tmp_path / "carbon.mrc", "--contamination") == 0
    np.testing.assert_array_equal(read_volume(tmp_path / "carbon.mrc")[0], saved.contamination(1.0))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["out.mrc", "--time", "0", "--time", "1"], "2 times for out.mrc; expected one"),
        (["out.png"], "ends in '.png'"),
        (["missing/out.tif"], "missing"),
        (["out.tif", "--voxel-size", "-1"], "-1"),
        (["out.tif", "--time", "nan"], "nan"),
    ],
)
def test_wrong_options_of_export(
    trained: Path,
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("export", trained, *words) == 2
    assert expected in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_evaluate_the_truth_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write_truth(tmp_path)
    assert run("evaluate", truth, "--truth", truth, "--atoms", tmp_path / "atoms.xyz", "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert (found["nrmse"], found["scale"], found["contamination_left"]) == (0, 1, 0)
    assert (found["atoms"]["f1"], found["atoms"]["recall_by_group"]) == (1, {"C": 1})
    assert run("evaluate", truth, "--truth", truth, "--atoms", tmp_path / "atoms.xyz") == 0
    table = capsys.readouterr().out
    for text in ("truth.mrc", "contamination left", "0.00 %", "NRMSE", "FSC resolution [Å]", "atoms: F1", "  C "):
        assert text in table


def test_evaluate_takes_the_contamination_that_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write_truth(tmp_path)
    whole = read_volume(truth)[0] + read_volume(tmp_path / "contamination.mrc")[0]
    write_volume(tmp_path / "dirty.mrc", whole, voxel_size=VOXEL_SIZE)
    (tmp_path / "contamination.mrc").rename(tmp_path / "carbon.mrc")
    assert run("evaluate", tmp_path / "dirty.mrc", "--truth", truth, "--json") == 0
    assert json.loads(capsys.readouterr().out)["contamination_left"] is None
    options = ("--contamination", tmp_path / "carbon.mrc", "--json")
    assert run("evaluate", tmp_path / "dirty.mrc", "--truth", truth, *options) == 0
    assert json.loads(capsys.readouterr().out)["contamination_left"] == pytest.approx(1, abs=0.01)


def test_evaluate_says_how_much_of_the_specimen_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, weak = write_truth(tmp_path), tmp_path / "weak.mrc"
    write_volume(weak, 0.8 * read_volume(truth)[0], voxel_size=VOXEL_SIZE)
    words = ("evaluate", weak, "--truth", truth, "--uncontaminated", truth)
    assert run(*words, "--atoms", tmp_path / "atoms.xyz", "--json") == 0
    assert json.loads(capsys.readouterr().out)["specimen_kept"] == pytest.approx(0.8)
    assert run(*words, "--atoms", tmp_path / "atoms.xyz") == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "specimen kept" in line]
    assert "80.00 %" in row
    assert run(*words) == 2
    assert "an uncontaminated reconstruction is given, and no atoms" in one_line(capsys)
    write_volume(weak, read_volume(truth)[0], voxel_size=0.7)
    assert run("evaluate", truth, "--truth", truth, "--uncontaminated", weak, "--atoms", tmp_path / "atoms.xyz") == 2
    assert "voxel size of weak.mrc is 0.7 Å; expected 0.5 Å" in one_line(capsys)


def test_every_option_of_simulate_reaches_the_simulation(tmp_path: Path) -> None:
    words = "--tilts -60 60 15 --order interleaved --noise 0.02 --grid 40 16 40 --pixel-size 0.6 --view 32 --seed 7"
    words += " --specimen glass --thermal-width 0.4 --loss 0.1 --growth both-sides --pace burst --minimum-distance 1.8"
    words += " --gap 1.6 --drift 3 -2 --jitter 0.2 --axis-offset 1.5 --axis-rotation -2 --angle-error 0.4"
    words += " --gain-error 0.05 --background 0.1 --hot-pixels 0.001 --blank-images 1 --exposure 1/cos"
    assert run("simulate", "--out", tmp_path / "out", *words.split()) == 0
    written = yaml.safe_load((tmp_path / "out" / "simulation.yaml").read_text(encoding="utf-8"))
    instrument = written.pop("instrument")
    assert written == {
        "tilt_start": -60,
        "tilt_stop": 60,
        "tilt_step": 15,
        "order": "interleaved",
        "growth": "both-sides",
        "noise": 0.02,
        "seed": 7,
        "specimen": "glass",
        "grid": [40, 16, 40],
        "pixel_size": 0.6,
        "thermal_width": 0.4,
        "pace": "burst",
        "minimum_distance": 1.8,
        "gap": 1.6,
        "loss": 0.1,
        "view": 32,
    }
    assert instrument == {
        "drift_x": 3,
        "drift_y": -2,
        "jitter": 0.2,
        "axis_offset": 1.5,
        "axis_rotation": -2,
        "angle_error": 0.4,
        "gain_error": 0.05,
        "background": 0.1,
        "hot_pixels": 0.001,
        "blank_images": 1,
        "exposure": "1/cos",
    }
    assert read_volume(tmp_path / "out" / "truth.mrc")[0].shape == (32, 16, 32)


def test_without_options_simulate_takes_the_defaults_of_the_configuration() -> None:
    """One set of defaults: those of the shell are those of Python."""
    names = {option.name: option.default for option in get_command(app).commands["simulate"].params}
    config = SimulationConfig()
    flat = config.model_dump(exclude={"instrument"}) | config.instrument.model_dump()
    flat["tilts"] = tuple(flat.pop(f"tilt_{each}") for each in ("start", "stop", "step"))
    flat["drift"] = (flat.pop("drift_x"), flat.pop("drift_y"))
    assert {name: names[name] for name in flat} == flat


def test_evaluate_refuses_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, volume = write_truth(tmp_path), tmp_path / "volume.mrc"
    write_volume(volume, np.ones((24, 24, 24)), voxel_size=0.7)
    assert run("evaluate", volume, "--truth", truth) == 2
    assert "voxel size of volume.mrc is 0.7 Å; expected 0.5 Å" in one_line(capsys)
    write_volume(volume, np.ones((4, 4, 4)), voxel_size=VOXEL_SIZE)
    assert run("evaluate", volume, "--truth", truth) == 2
    assert "(4, 4, 4)" in one_line(capsys)


def test_atoms_of_a_simulation_and_of_other_programs(tmp_path: Path) -> None:
    extended = 'Properties=species:S:1:pos:R:3:group:S:1 pbc="F F F"'
    (tmp_path / "a.xyz").write_text(f"2\n{extended}\nC 1 2 3 outer_wall\nTe 4 5 6 sandwich\n")
    positions, groups = read_atoms(tmp_path / "a.xyz")
    np.testing.assert_array_equal(positions, [[3, 2, 1], [6, 5, 4]])
    assert groups == ("outer wall", "sandwich")
    (tmp_path / "b.xyz").write_text("2\nanything at all\nC 1 2 3\nTe 4 5 6\n")
    assert read_atoms(tmp_path / "b.xyz")[1] == ("C", "Te")
    for text in ("", "garbage", "2\n\nC 1 2 3\n", "1\n\nC 1 2\n", "1\n\nC nan 0 0\n", "0\n\n"):
        (tmp_path / "c.xyz").write_text(text)
        with pytest.raises(ValueError, match=r"c\.xyz"):
            read_atoms(tmp_path / "c.xyz")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_can_go_on(number: int, tmp_path: Path) -> None:
    stack, out = write_stack(tmp_path), tmp_path / "run.stinr"
    process = start("train", stack, "--out", out, "--steps", 100000, "--device", "cpu", "--checkpoint-every", 0.2)
    wait_for(out, process)
    process.send_signal(number)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert f"saved {out}. Go on with stinr train STACK --resume {out}" in err.splitlines()[-1]
    saved = load_reconstruction(out)
    assert 0 < saved.step < 100000
    assert not list(tmp_path.glob(".*"))


TOLD_SIMULATION = """
import napari_stinr.simulation as simulation
whole = simulation.simulate
def told(*arguments, **options):
    print("begun", flush=True)
    return whole(*arguments, **options)
simulation.simulate = told
"""


def test_stopped_before_anything_was_trained(tmp_path: Path) -> None:
    process = start("simulate", "--out", tmp_path / "out", "--tilts", 0, 180, 0.001, code=TOLD_SIMULATION + RUN)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, ""), err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_and_a_closed_pipe(trained: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with open("/dev/full", "w") as full:
        process = start("info", trained, stdout=full)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, len(err.splitlines())) == (2, 1), err
    assert "No space left on device" in err
    process = start("info", trained)
    process.stdout.close()
    assert (process.wait(timeout=PATIENCE), process.stderr.read()) == (0, "")


def wait_for(path: Path, process: object) -> None:
    waiting.wait_for(lambda: path.exists() or process.poll() is not None)
    assert path.exists(), process.communicate()


def test_the_real_series_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    if not ETSPY.exists():
        pytest.skip("the shared data are not on this machine")
    assert run("info", ETSPY) == 0
    assert "77 projections of 256 x 256" in capsys.readouterr().out
