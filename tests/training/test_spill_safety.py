"""A run on files is asked for before it begins, and leaves its last checkpoint whole and nothing else behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest

from helpers.places import ROOT
from helpers.series_cases import growing_series
from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.errors import StinrError
from napari_stinr.fields import storage
from napari_stinr.fields.storage import is_on_file
from napari_stinr.reconstruction.sampled_field import SampledField
from napari_stinr.training import whole_atoms
from napari_stinr.training.estimates import Speed
from napari_stinr.training.events import Failed, Finished, Saved, Snapshot
from napari_stinr.training.fits import DoesNotFitError, Room, check_fits, files_folder, free_disk
from napari_stinr.training.requirements import estimate_run
from napari_stinr.training.run import Order, drive

if TYPE_CHECKING:
    from pathlib import Path

GROWTH = preset_config("growth").with_alignment("off").with_training(steps=28)
SERIES = growing_series(n_tilts=21, width=31, height=37)
SPEED = Speed(static_voxels=2e8, growth_voxels=1e8, parameters=5e8, samples=1e6)
GIGABYTE = 10**9
on_posix = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")


@pytest.fixture
def never_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be larger than the memory."""
    monkeypatch.setattr("napari_stinr.training.requirements.check_fits", lambda *_, **__: Room(1, 1))
    monkeypatch.setattr(whole_atoms, "_RESOLVED", 1.0)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let so much of the disk be free."""
    return lambda n_bytes: monkeypatch.setattr("napari_stinr.training.fits.free_disk", lambda path: int(n_bytes))


def cube(size: int) -> tuple[int, int, int]:
    return (61, size, size)


def test_a_large_run_is_told_with_its_disk(tmp_path: Path, disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(100 * GIGABYTE)
    monkeypatch.setattr("napari_stinr.training.requirements.free_disk", lambda path: 100 * GIGABYTE)
    estimate = estimate_run(
        cube(1024),
        preset_config("growth"),
        binning=1,
        available=22 * GIGABYTE,
        speed=SPEED,
        path=tmp_path / "new" / "run.stinr",
    )
    assert not estimate.problem
    assert estimate.memory < 16 * GIGABYTE
    # The density with two moments, regions, labels and what is divided; two files of the run.
    assert 50 * GIGABYTE < estimate.disk < 70 * GIGABYTE
    assert f"of 100.0 GB on the disk of {tmp_path}, about" in estimate.text
    small = estimate_run(cube(512), preset_config("growth"), binning=1, available=22 * GIGABYTE, speed=SPEED)
    assert small.disk == 0
    assert "disk" not in small.text


def test_what_is_too_large_for_the_disk_is_refused_with_the_binning_that_fits(tmp_path: Path, disk: Any) -> None:
    disk(70 * GIGABYTE)
    options: dict[str, Any] = {
        "binning": 1,
        "available": 22 * GIGABYTE,
        "path": tmp_path / "run.stinr",
        "cure": "Take {binning}",
    }
    with pytest.raises(
        DoesNotFitError, match=rf"of the disk of {tmp_path}; .*70\.0 GB of that disk\. Take 2, "
    ) as told:
        check_fits(cube(2048), preset_config("growth"), **options)
    assert "GB of disk" in told.value.cure
    disk(10 * GIGABYTE)
    with pytest.raises(DoesNotFitError, match="Take 2, which takes"):
        check_fits(cube(1024), preset_config("growth"), **options)
    # Several processes have no files, and a GPU trains what fits into its own memory.
    disk(1000 * GIGABYTE)
    assert check_fits(cube(1024), preset_config("growth"), **options).disk
    for other in ({"may_use_files": False}, {"beside": 20 * GIGABYTE}):
        with pytest.raises(DoesNotFitError) as refused:
            check_fits(cube(1024), preset_config("growth"), **options, **other)
        assert "disk" not in str(refused.value)


def test_what_a_run_is_saved_over_counts_as_free(tmp_path: Path) -> None:
    path = tmp_path / "run.stinr"
    before = free_disk(path)
    with path.open("wb") as stream:
        stream.truncate(10**12)  # takes no space itself
    assert free_disk(path) == pytest.approx(before + 10**12, abs=10**11)
    assert files_folder(tmp_path / "not" / "there" / "run.stinr") == tmp_path


def test_a_network_is_not_put_on_files(tmp_path: Path, disk: Any) -> None:
    disk(1000 * GIGABYTE)
    config = preset_config("growth")
    config = config.model_copy(update={"field": config.field.model_copy(update={"features": 4, "hidden": 16})})
    with pytest.raises(DoesNotFitError) as told:
        check_fits(cube(1024), config, binning=1, available=22 * GIGABYTE, path=tmp_path / "run.stinr")
    assert "disk" not in str(told.value)


@pytest.mark.usefixtures("never_fits")
def test_what_does_not_fit_is_trained_on_files_and_shown(tmp_path: Path) -> None:
    events: list[object] = []
    path = tmp_path / "new" / "run.stinr"
    order = Order(
        SERIES, GROWTH, device="cpu", threads=1, path=path, makes_folder=True, checkpoint_every=0.0, preview_every=0.001
    )
    outcome = drive(order, events.append)
    assert isinstance(outcome, Finished)
    shown = [event.reconstruction for event in events if isinstance(event, Snapshot)]
    assert shown
    for reconstruction in (*shown, outcome.reconstruction):
        *_, finest = reconstruction.field.density.grids
        assert is_on_file(finest.values)
    assert any(isinstance(event, Saved) and event.is_checkpoint for event in events)
    assert os.listdir(path.parent) == ["run.stinr"]
    whole = outcome.reconstruction.render(0.5)
    assert (load_reconstruction(path).render(0.5) == whole).all()
    # Nothing is sampled in advance: a slice is asked for as it is looked at.
    sampled = SampledField.of(outcome.reconstruction)
    assert not sampled.parts
    for part in ((slice(7, 8), slice(None), slice(None)), (slice(None), slice(3, 4), slice(None, None, 2))):
        assert sampled.at(0.5, part) == pytest.approx(whole[part], abs=2e-6 * float(whole.max()))


def test_a_view_of_a_run_on_files_is_no_copy_and_wants_no_gradients(tmp_path: Path) -> None:
    trainer = Trainer(SERIES, GROWTH, device="cpu", threads=1, files=tmp_path)
    for report in trainer.run():
        if report.step == 24:
            trainer.stop()
    seen = trainer.reconstruction(with_training_state=False)
    own = trainer.field.state_dict()
    assert all(value.data_ptr() == own[name].data_ptr() for name, value in seen.field.state_dict().items())
    assert not any(parameter.requires_grad for parameter in seen.field.parameters())
    assert not seen.field.training
    assert trainer.field.training


def test_looking_at_a_search_does_not_change_where_the_volume_begins(tmp_path: Path) -> None:
    losses = []
    for looks in (False, True):
        trainer, found = Trainer(SERIES, GROWTH, device="cpu", threads=1, files=tmp_path), list[float]()
        for report in trainer.run():
            found.append(report.loss)
            if looks:
                assert trainer.reconstruction(with_training_state=False).render(0.0).max() > 0
        losses.append(found)
    assert losses[0] == losses[1]


def full(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let the disk take so many files and no more."""
    taken, take = [], storage._take_room

    def take_some(stream: Any, n_bytes: int) -> None:
        if len(taken) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken.append(n_bytes)
        take(stream, n_bytes)

    monkeypatch.setattr(storage, "_take_room", take_some)


def test_a_disk_without_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(monkeypatch, after=1)
    with pytest.raises(
        StinrError, match=rf"{tmp_path} has no room for .* GB more of the reconstruction: No space left"
    ):
        Trainer(SERIES, GROWTH, device="cpu", threads=1, files=tmp_path)
    assert not os.listdir(tmp_path)


# Before the search, at the first step of the volume (moments), and where atoms are told from each other.
@pytest.mark.parametrize("after", [1, 2, 4, 5])
@pytest.mark.usefixtures("never_fits")
def test_a_disk_that_is_full_later_leaves_the_last_checkpoint(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, after=after)
    order = Order(SERIES, GROWTH, device="cpu", threads=1, path=tmp_path / "run.stinr", checkpoint_every=0.0)
    outcome = drive(order, lambda event: None)
    assert isinstance(outcome, Failed)
    assert "has no room for" in outcome.failure.found
    assert "\n" not in outcome.failure.text
    if after == 1:
        assert not os.listdir(tmp_path)
        return
    kept = load_reconstruction(outcome.kept.path or outcome.checkpoint)
    assert kept.step > 0
    monkeypatch.undo()
    assert len(list(Trainer.resume(kept, SERIES, device="cpu", threads=1).run())) == 28 - kept.step


CHILD = """
    from pathlib import Path
    import sys
    from helpers.series_cases import growing_series
    from napari_stinr import Trainer, preset_config
    trainer = Trainer(growing_series(n_tilts=21, width=31, height=37), preset_config("growth").with_training(steps=28),
                      device="cpu", threads=1, files=Path(sys.argv[1]))
    for report in trainer.run():
        trainer.reconstruction().save(Path(sys.argv[1]) / "run.stinr")
        print(report.step, flush=True)
"""


@on_posix
def test_a_kill_leaves_the_last_checkpoint_and_no_file_of_the_volume(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT / "tests",
    ) as child:
        assert child.stdout is not None
        step = 0
        while step < 20:
            step = int(child.stdout.readline())
        time.sleep(0.002)  # in the middle of the next step, or of its checkpoint
        child.send_signal(signal.SIGKILL)
    left = [name for name in os.listdir(tmp_path) if name != "run.stinr"]
    assert all(name.endswith("run.stinr") for name in left)
    assert load_reconstruction(tmp_path / "run.stinr").step >= 20
