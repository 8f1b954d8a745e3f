"""No file is lost: not to a full disk, a folder that vanishes, a write-protected target, a kill or a damaged byte."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from helpers.places import ROOT
from helpers.series_cases import growing_series
from helpers.waiting import PATIENCE
from napari_stinr import Reconstruction, Trainer, load_reconstruction, preset_config
from napari_stinr.errors import StinrError
from napari_stinr.io import atomic_output, write_volume
from napari_stinr.io.output.atomic import temporary_beside
from napari_stinr.reconstruction.run_file import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

on_posix = pytest.mark.skipif(os.name != "posix", reason="limits, rights and kills of this kind are those of POSIX")


@pytest.fixture(scope="module")
def run() -> Reconstruction:
    trainer = Trainer(growing_series(n_tilts=11, width=9, height=3), preset_config("growth"), device="cpu", threads=1)
    list(trainer.run(steps=2))
    return trainer.reconstruction()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "run.stinr"
    path.write_text("precious")
    return path


def write(path: Path, text: str = "new", **options: bool) -> None:
    with atomic_output(path, **options) as temporary:
        temporary.write_text(text)


def leftover(target: Path, process: int, *, computer: str | None = None, age: float = 0.0) -> Path:
    """Make the file that a killed process leaves behind."""
    path = temporary_beside(target)
    name = path.name.replace(f"-{os.getpid()}-", f"-{process}-")
    if computer is not None:
        name = re.sub(r"^\.stinr-[0-9a-f]{4}", f".stinr-{computer}", name)
    path = path.with_name(name)
    path.write_text("half")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def gone_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@contextlib.contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let the system refuse to write more, as it does where the disk is full."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_a_killed_process_left_is_removed_by_the_next_write(
    target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = leftover(target, gone_process())
    other = leftover(target.with_name("other.stinr"), gone_process())
    with caplog.at_level(logging.WARNING):
        write(target)
    assert not left.exists()
    assert other.exists()
    assert target.read_text() == "new"
    assert caplog.messages == [f"An earlier write of {target} was interrupted; its unfinished file was removed"]


def test_what_others_may_still_write_is_left_alone_for_a_day(target: Path) -> None:
    living, remote = os.getppid(), gone_process()
    files = [leftover(target, living), leftover(target, remote, computer="zzzz".replace("z", "0"))]
    old = leftover(target, remote, computer="0000", age=100_000)
    write(target)
    assert all(path.exists() for path in files)
    assert not old.exists()


def test_two_processes_that_write_the_same_file_both_succeed(tmp_path: Path) -> None:
    target = tmp_path / "volume.tif"
    code = (
        "import sys\nfrom pathlib import Path\nfrom napari_stinr.io.output.atomic import atomic_output\n"
        "for _ in range(150):\n with atomic_output(sys.argv[1]) as path:\n  path.write_text(sys.argv[2] * 10000)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, target, letter]) for letter in "ab"]
    while any(process.poll() is None for process in processes):
        if target.exists():
            assert target.read_text() in ("a" * 10000, "b" * 10000)
    assert [process.returncode for process in processes] == [0, 0]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["n" * 251 + ".tif", "Å" * 120 + ".ome.tif"])
def test_a_name_as_long_as_the_disk_takes_can_be_written(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    left = leftover(target, gone_process())
    assert left.name.endswith(".tif")
    write(target)
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_that_is_too_long_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(StinrError, match="Choose a shorter name"), atomic_output(tmp_path / ("n" * 256)):
        pytest.fail("hours were spent on it")


@on_posix
@pytest.mark.parametrize("kind", ["run.stinr", "volume.tif", "volume.ome.tif", "volume.mrc"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_disk_that_takes_no_more_leaves_the_previous_file(
    run: Reconstruction, tmp_path: Path, kind: str, share: float
) -> None:
    def save(path: Path) -> None:
        if path.suffix == ".stinr":
            run.save(path)
        else:
            write_volume(path, np.ones((9, 30, 30), np.float32), voxel_size=1.0)

    target = tmp_path / kind
    save(target)
    whole = target.read_bytes()
    with largest_file(int(share * len(whole))), pytest.raises(StinrError, match="File too large; expected a file size"):
        save(target)
    assert target.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_vanishes_in_mid_write_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "usb"

    def write_and_unplug(replacement: str) -> None:
        folder.mkdir()
        with atomic_output(folder / "run.stinr") as temporary:
            temporary.write_text("half")
            shutil.rmtree(folder)
            if replacement:
                folder.write_text(replacement)

    for replacement in ("", "a file in its place"):
        with pytest.raises(StinrError, match=r"run\.stinr cannot be written: .*expected a folder that exists"):
            write_and_unplug(replacement)
    assert folder.read_text() == replacement


@contextlib.contextmanager
def as_nobody() -> Iterator[Path]:
    """Give a folder of this person, and no more rights than any person has."""
    folder = Path(tempfile.mkdtemp(prefix="stinr-"))
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


@on_posix
def test_what_is_write_protected_is_not_replaced() -> None:
    with as_nobody() as folder:
        target = folder / "run.stinr"
        target.write_text("precious")
        target.chmod(0o444)
        with pytest.raises(StinrError, match="is write-protected"):
            write(target)
        target.chmod(0o644)
        folder.chmod(0o555)
        with pytest.raises(StinrError, match="Permission denied; expected a folder and a file that may be written"):
            write(target)
        assert target.read_text() == "precious"
        folder.chmod(0o000)
        with pytest.raises(StinrError, match="cannot be written: Permission denied"):
            write(target)


@on_posix
def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StinrError, match="is a device"):
        write(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("n_failures", [2, 100])
def test_a_file_that_another_program_holds_is_tried_again(
    target: Path, monkeypatch: pytest.MonkeyPatch, n_failures: int
) -> None:
    rename, pauses = os.replace, []

    def held(source: Path, destination: Path) -> None:
        if len(pauses) < n_failures:
            raise PermissionError(errno.EACCES, "The process cannot access the file", os.fspath(destination))
        rename(source, destination)

    monkeypatch.setattr("napari_stinr.io.output.atomic.time.sleep", pauses.append)
    monkeypatch.setattr(os, "replace", held)
    if n_failures == 2:
        write(target)
        assert target.read_text() == "new"
    else:
        with pytest.raises(StinrError, match="Close the file in other programs"):
            write(target)
        assert target.read_text() == "precious"
    assert sum(pauses) < 2.0
    assert list(target.parent.iterdir()) == [target]


@on_posix
def test_the_renaming_is_flushed_and_a_disk_that_cannot_do_that_is_no_error(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def flush(descriptor: int) -> None:
        flushed.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else target.read_text())
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", flush)
    write(target)
    assert flushed == ["precious", "folder"]
    assert target.read_text() == "new"


@on_posix
def test_the_new_file_has_the_permissions_of_the_one_before(target: Path) -> None:
    target.chmod(0o640)
    write(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_file_that_appears_in_the_meantime_is_kept_where_asked(tmp_path: Path) -> None:
    target = tmp_path / "run.stinr"

    def write_at_the_same_time() -> None:
        with atomic_output(target, overwrite=False) as temporary:
            temporary.write_text("new")
            target.write_text("of somebody else")

    with pytest.raises(StinrError, match="exists"):
        write_at_the_same_time()
    assert target.read_text() == "of somebody else"


def parts(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(path, framework="pt") as file:
        return file.metadata(), {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def test_the_file_is_one_that_safetensors_reads(run: Reconstruction, target: Path) -> None:
    run.save(target)
    header, tensors = parts(target)
    assert header["version"] == "3"
    for name, value in run.training_state.items():
        assert torch.equal(tensors[f"training.{name}"], value)


def test_a_file_without_a_checksum_of_version_1_is_read(run: Reconstruction, target: Path) -> None:
    run.save(target)
    header, tensors = parts(target)
    header["version"] = "1"
    del header["checksum"]
    save_file(tensors, target, header)
    np.testing.assert_array_equal(load_reconstruction(target).render(0.5), run.render(0.5))


def refusal(path: Path) -> str:
    with pytest.raises(StinrError) as caught:
        load_reconstruction(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_way_to_be_wrong_is_told_from_the_others(run: Reconstruction, tmp_path: Path) -> None:
    path = tmp_path / "run.stinr"
    assert "there is no file" in refusal(path)
    run.save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for content, reason in (
        (b"", "is truncated: it has 0 bytes"),
        (whole[:5], "is truncated: it has 5 bytes"),
        (whole[:500], "is truncated: it has 500 bytes"),
        (whole[:-1], f"is truncated: it has {len(whole) - 1} bytes; expected {len(whole)}"),
        (b"PK\x03\x04 a zip archive", "is a file of another kind"),
        (bytes(flipped), "is damaged (its checksum is crc32:"),
        (whole.replace(b'"step":"2"', b'"step":"3"'), "is damaged (its checksum is crc32:"),
        (whole.replace(b'"checksum"', b'"checksun"'), "and not none)"),
        (whole.replace(b'"version":"3"', b'"version":"9"'), "version 9; expected version 1 or 2 or 3"),
        (whole.replace(b"napari-stinr reconstruction", b"napari-other reconstruction"), "of another program"),
    ):
        path.write_bytes(content)
        assert reason in refusal(path)


def forged(path: Path, run: Reconstruction, **texts: str) -> Path:
    """Write a run of version 1 with other texts in its header."""
    run.save(path)
    header, tensors = parts(path)
    del header["checksum"]
    save_file(tensors, path, {**header, "version": "1", **texts})
    return path


def test_sizes_that_the_file_does_not_hold_are_refused_before_memory_is_taken(
    run: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"depth": 9, "height": 3, "width": 9, "voxel_size": 1.0, "length_unit": "Å"}
    spacings = json.loads(run.config.model_dump_json())
    spacings["field"]["arrival_spacings"] = [8.0] * 100_000
    path = tmp_path / "run.stinr"
    monkeypatch.setattr("napari_stinr.reconstruction.run_file.safe_open", ReadingIsForbidden)
    began = time.process_time()
    for texts in (
        {"grid": json.dumps({**grid, "depth": 10**6, "width": 10**6})},
        {"grid": json.dumps({**grid, "depth": 10**400})},
        {"grid": json.dumps({**grid, "depth": 9.0})},
        {"grid": json.dumps({**grid, "voxel_size": float("nan")})},
        {"config": json.dumps(spacings)},
    ):
        assert "is damaged" in refusal(forged(path, run, **texts)) or "of another kind" in refusal(path)
    assert time.process_time() - began < 2.0


class ReadingIsForbidden:
    """A safetensors file that tells everything but the values of its tensors."""

    def __init__(self, path: Path, framework: str) -> None:
        self._file = safe_open(path, framework=framework)

    def __enter__(self) -> ReadingIsForbidden:
        self._inner = self._file.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._file.__exit__(*problem)

    def __getattr__(self, name: str) -> object:
        assert name != "get_tensor", "memory was taken"
        return getattr(self._inner, name)


def test_what_is_not_finite_neither_replaces_a_checkpoint_nor_is_it_read(run: Reconstruction, tmp_path: Path) -> None:
    path = tmp_path / "run.stinr"
    run.save(path)
    whole = path.read_bytes()
    state = {name: value.clone() for name, value in run.training_state.items()}
    name = next(name for name, value in state.items() if name.endswith("exp_avg"))
    state[name].view(-1)[3] = torch.nan
    with pytest.raises(StinrError, match="not finite"):
        replace(run, training_state=state).save(path)
    assert path.read_bytes() == whole
    header, tensors = parts(forged(path, run))
    tensors["field.density.grids.0.values"].view(-1)[0] = torch.inf
    save_file(tensors, path, header)
    assert "field.density.grids.0.values holds values that are not finite" in refusal(path)


def test_a_loaded_run_does_not_hold_its_file(run: Reconstruction, tmp_path: Path) -> None:
    path = tmp_path / "run.stinr"
    run.save(path)
    content = read_run(path, lambda header, shapes: None)
    path.write_bytes(bytes(path.stat().st_size))  # in place, as a network disk may take it away
    for name, value in run.training_state.items():
        assert torch.equal(content.tensors[f"training.{name}"], value)


def tool(name: str, *options: str) -> str:
    command = [sys.executable, ROOT / "tools" / name, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@on_posix
@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing() -> None:
    assert "0 violations" in tool("kill_runs.py", "--kills", "8", "--seed", "1")


@on_posix
@pytest.mark.slow
def test_damaged_and_forged_runs_are_refused() -> None:
    assert "300 inputs, 0 faults" in tool("fuzz_runs.py", "--inputs", "300", "--seed", "1")
