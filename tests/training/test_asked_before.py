"""Memory is asked for before it is taken, wherever a run is started from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.cli_cases import write_stack
from helpers.series_cases import VOXELWISE_GROWTH, growing_series
from napari_stinr import Trainer, preset_config, read_tilt_series, reconstruct
from napari_stinr.cli.main import main
from napari_stinr.errors import StinrError
from napari_stinr.training.estimates import Memory, Speed, expected_memory, fitting_binning, memory_of_run
from napari_stinr.training.events import Failed, Prepared
from napari_stinr.training.preparation import alignment_seconds, preparation_memory
from napari_stinr.training.requirements import Begun, check_fits, check_series_fits, estimate_run
from napari_stinr.training.run import Order, drive

if TYPE_CHECKING:
    from pathlib import Path

GROWTH = preset_config("growth")
SPEED = Speed(static_voxels=2e8, growth_voxels=1e8, parameters=5e8, samples=1e6)
CUBE = (61, 256, 256)
SERIES = growing_series(n_tilts=11, width=9, height=3)
"""Its matter reaches the edge."""
LARGER = replace(SERIES, projections=SERIES.projections.repeat(4, axis=2).repeat(4, axis=1), axis_offset=0.0)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let so much memory be free."""
    return lambda n_bytes: monkeypatch.setattr(
        "napari_stinr.training.requirements.free_memory", lambda device: int(n_bytes)
    )


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pixel may be read, and nothing be prepared or trained."""
    for name in (
        "napari_stinr.io.series.reading.load_series",
        "napari_stinr.data.preprocessing.prepare.prepare",
        "napari_stinr.training.trainer.Trainer.__init__",
        "napari_stinr.training.estimates.measure_speed",
    ):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("it was begun"))


def train(stack: Path, *options: object) -> int:
    fixed = ("--out", stack.with_name("run.stinr"), "--device", "cpu", "--threads", 1, "--steps", 3)
    return main([str(word) for word in ("train", stack, *fixed, *options)])


@pytest.mark.usefixtures("untouched")
def test_the_command_line_refuses_before_it_reads(
    tmp_path: Path, give: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = write_stack(tmp_path)
    needed = memory_of_run((13, 6, 16), GROWTH).device
    give(1.2 * needed)
    assert train(stack) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the reconstruction takes" in line
    assert "80% of the" in line
    assert "Give --bin 2, which takes" in line


def test_with_the_binning_that_is_advised_it_is_accepted(
    tmp_path: Path, give: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    give(1.2 * memory_of_run((13, 6, 16), GROWTH).device)
    assert train(write_stack(tmp_path), "--bin", 2) == 0
    assert "stinr: 8 × 3 × 8 voxels, 3 steps: about " in capsys.readouterr().err


def test_going_on_is_refused_before_anything_is_read_too(
    tmp_path: Path, give: Any, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    stack = write_stack(tmp_path)
    assert train(stack) == 0
    capsys.readouterr()
    request.getfixturevalue("untouched")
    give(1000)
    assert main(["train", str(stack), "--out", str(tmp_path / "b.stinr"), "--resume", str(tmp_path / "run.stinr")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no binning up to 16 fits" in line


def test_left_out_projections_take_no_memory(tmp_path: Path, give: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stack = write_stack(tmp_path)
    needed = [memory_of_run((n, 6, 16), GROWTH).device for n in (13, 9)]
    assert needed[1] < needed[0]
    give(np.mean(needed) / 0.8)
    assert train(stack) == 2
    assert train(stack, "--exclude", "0,4,8:9") == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--seconds", 0.5), "1 s of training: about "), (("--steps", 2), "2 steps: about ")],
)
def test_what_is_expected_is_said_before_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], said: str
) -> None:
    stack = write_stack(tmp_path)
    words = ("train", stack, "--out", tmp_path / "run.stinr", "--device", "cpu", "--threads", 1, *options)
    assert main([str(word) for word in words]) == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith(f"stinr: 16 × 6 × 16 voxels, {said}")
    assert " free, about " in first


def test_a_script_is_refused_with_a_cure_for_scripts(give: Any) -> None:
    give(1000)
    with pytest.raises(StinrError, match=r"the reconstruction takes .* no binning up to 16 fits"):
        reconstruct(SERIES, device="cpu", threads=1)
    give(memory_of_run(LARGER.projections.shape, VOXELWISE_GROWTH).device - LARGER.projections.nbytes)
    with pytest.raises(StinrError, match="Read the series with binning=2"):
        reconstruct(LARGER, config=VOXELWISE_GROWTH, device="cpu", threads=1)


def test_matter_at_the_edge_is_asked_about_once_the_pixels_are_known(
    give: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = VOXELWISE_GROWTH.with_alignment("off").with_training(steps=2)
    narrow, wide = (memory_of_run((11, 12, 36), config, reaches_edge=edge).device for edge in (False, True))
    assert wide > 1.4 * narrow
    monkeypatch.setattr(Trainer, "__init__", lambda *_, **__: pytest.fail("memory was taken"))
    give(1.3 * narrow / 0.8)
    outcome = drive(
        Order(LARGER, config, device="cpu", threads=1, binning=3, binning_cure="Choose {binning}"), lambda event: None
    )
    assert isinstance(outcome, Failed)
    # Three is what it has, of a stack of 108 pixels.
    assert outcome.failure.cure.startswith(("Choose 4, ", "Choose 6, "))


def test_a_series_that_is_in_memory_is_not_counted_twice(give: Any) -> None:
    series = growing_series(n_tilts=61, width=64, height=64)
    needed = memory_of_run((61, 64, 64), VOXELWISE_GROWTH).device
    give(needed / 0.8 - 0.9 * series.projections.nbytes)
    check_series_fits(series, VOXELWISE_GROWTH, device="cpu", margin=0)
    give(needed / 0.8 - 1.1 * series.projections.nbytes)
    with pytest.raises(StinrError, match="Read the series with binning"):
        check_series_fits(series, VOXELWISE_GROWTH, device="cpu", margin=0)


def test_the_command_line_lets_go_of_what_it_has_read(tmp_path: Path) -> None:
    from napari_stinr.cli.training import TrainingRequest

    order = TrainingRequest(tmp_path / "run.stinr").order(read_tilt_series(write_stack(tmp_path)))
    assert callable(order.series)
    assert order.series().n_tilts == 13
    with pytest.raises(IndexError):
        order.series()


def test_a_gpu_has_memory_of_its_own() -> None:
    alone, beside = memory_of_run(CUBE, GROWTH), memory_of_run(CUBE, GROWTH, on_gpu=True)
    assert alone.beside is None
    assert beside.beside is not None
    assert beside.beside < alone.device
    options: dict[str, Any] = {"binning": 1, "cure": "Choose {binning}"}
    check_fits(CUBE, GROWTH, available=2 * beside.device, beside=2 * beside.beside, **options)
    with pytest.raises(StinrError, match=r"takes .* on this device; .* Choose [23],"):
        check_fits(CUBE, GROWTH, available=beside.device, beside=10**12, **options)
    with pytest.raises(StinrError, match=r"takes .* beside this device; .* Choose [23],"):
        check_fits(CUBE, GROWTH, available=10**12, beside=beside.beside, **options)
    assert fitting_binning(CUBE, GROWTH, 10**12, beside_bytes=beside.beside) > 1


def test_measured_runs_on_a_gpu_are_expected() -> None:
    # benchmarks/results/gpu.md, whole runs on an H200 with its large blocks.
    config = GROWTH.with_training(voxels_per_step=2**24)
    for size, peak in ((256, 1.57e9), (512, 10.9e9)):
        assert memory_of_run((61, size, size), config, on_gpu=True).device == pytest.approx(peak, rel=0.2)


def test_memory_fits_with_a_fifth_left_alone() -> None:
    assert Memory(80).fits(Memory(100))
    assert not Memory(81).fits(Memory(100))
    assert Memory(80, 8).fits(Memory(100, 10))
    assert not Memory(80, 9).fits(Memory(100, 10))


def test_preparation_is_counted_where_it_takes_more_than_the_training() -> None:
    many, static = (2000, 128, 128), preset_config("static")
    stack = 4 * 2000 * 128 * 128
    assert expected_memory(many, static) < preparation_memory(many, threads=1)
    assert memory_of_run(many, static).device == preparation_memory(many, threads=1) > 4 * stack
    assert memory_of_run(CUBE, GROWTH).device == expected_memory(CUBE, GROWTH)


def test_time_of_an_alignment_follows_size_and_method() -> None:
    def seconds(shape: tuple[int, int, int], method: str = "coarse", **options: bool) -> float:
        return alignment_seconds(shape, SPEED, method=method, **options)

    assert seconds(CUBE, "off") == 0
    # What is fitted is of one size.
    assert seconds(CUBE) < 2 * seconds((61, 128, 128))
    assert seconds((61, 1024, 1024)) > 1.3 * seconds(CUBE)
    assert seconds(CUBE, "joint") > 2 * seconds(CUBE)
    assert seconds(CUBE, reaches_edge=True) > 1.5 * seconds(CUBE)
    # Too few for a fit.
    assert seconds((8, 256, 256)) < seconds(CUBE) / 10


def test_the_time_counts_what_is_left_to_do(tmp_path: Path) -> None:
    Trainer(SERIES, VOXELWISE_GROWTH, device="cpu", threads=1).reconstruction().save(tmp_path / "run.stinr")
    begun = Begun.of(tmp_path / "run.stinr")
    assert begun is not None
    assert (begun.margin, begun.step, begun.config) == (4, 0, VOXELWISE_GROWTH)
    begun = replace(begun, margin=0)
    options: dict[str, Any] = {"binning": 1, "available": 10**12, "speed": SPEED}
    whole = estimate_run(CUBE, GROWTH, **options)
    assert whole.aligning > 0
    posed = estimate_run(CUBE, GROWTH, is_posed=True, **options)
    assert posed.seconds == pytest.approx(whole.seconds - whole.aligning)
    late = estimate_run(CUBE, GROWTH, begun=replace(begun, step=whole.steps - 10), **options)
    assert (late.steps, late.aligning) == (10, 0.0)
    assert late.seconds < posed.seconds / 10
    limited = estimate_run(CUBE, GROWTH, limit=600.0, begun=replace(begun, seconds=400.0), **options)
    assert limited.seconds == pytest.approx(200.0, abs=10)


def test_a_file_that_is_no_run_tells_nothing(tmp_path: Path) -> None:
    for content in (b"", b"something else", b"\x10\0\0\0\0\0\0\0{}              "):
        (tmp_path / "run.stinr").write_bytes(content)
        assert Begun.of(tmp_path / "run.stinr") is None
    assert Begun.of(tmp_path / "missing.stinr") is None


def test_a_training_tells_its_margin() -> None:
    events: list[object] = []
    drive(Order(SERIES, VOXELWISE_GROWTH.with_training(steps=1, margin=0.5), device="cpu", threads=1), events.append)
    (prepared,) = [event for event in events if isinstance(event, Prepared)]
    assert prepared.margin == round(0.5 * 9)
