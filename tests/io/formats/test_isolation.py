"""The process that opens containers: it may hang, crash or fill its memory, and never leaves anything behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from napari_stinr.errors import StinrError
from napari_stinr.io.formats import isolation
from napari_stinr.io.formats.containers import Images, Stack, read_images
from napari_stinr.io.formats.isolation import end_workers, list_isolated, read_isolated

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (5, 6, 7)
VALUES = np.arange(210.0).reshape(SHAPE)
# Readers that do what libraries do; the process imports them from here.
READERS = """
import ctypes, os, signal, time
import numpy as np
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Images, Stack

def stack(path, dtype="<f8", shape=(5, 6, 7)):
    values = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return Stack(
        Images(shape, lambda: iter(values)), tilt_angles=np.arange(5.0), pixel_size=0.1, mask=values > 3,
        time_unit="s", place="Å", notes=("one", "two"), complete=True,
    )

def half(path): return stack(path, "<f2")
def swapped(path): return stack(path, ">i2")
def large(path): return stack(path, "<f4", (3, 1500, 1000))
def pid(path): return np.array([os.getpid(), *map(int, path.read_text().split())], dtype=float)
def refuse(path): raise StinrError("a\\n", expected="b", cure="c")
def fail(path): raise KeyError("k")
def spin(path):
    while True: pass
def sleep(path): time.sleep(1000)
def crash(path): os.kill(os.getpid(), signal.SIGSEGV)
def leave(path): os._exit(3)
def fill(path): return bytearray(b"1") * 2_000_000_000
def chatter(path):
    os.write(1, b"nonsense\\n")
    print("nonsense")
    return stack(path)
def late(path):
    def read():
        yield np.zeros((6, 7))
        os.kill(os.getpid(), signal.SIGBUS)
    return Stack(Images((2, 6, 7), read))
def broken(path):
    def read():
        for k in range(4):
            yield np.full((1500, 1000), k, "<f4")
        raise ValueError("broken")
    return Stack(Images((6, 1500, 1000), read))
def lock(path):
    # Holds the lock of the interpreter, as a library in an endless loop does.
    ctypes.PyDLL(None).sleep(1000)
def once(path):
    mark = path.with_suffix(".mark")
    if not mark.exists():
        mark.touch()
        os._exit(1)
    return stack(path)
"""


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return a file; the readers above are in a module of the package for as long as the test runs."""
    package = tmp_path / "readers"
    package.mkdir()
    (package / "strange.py").write_text(READERS)
    import napari_stinr.io.formats as formats

    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(package)])
    # The process finds the module where Python looks for it.
    (package / "sitecustomize.py").write_text(
        f"import napari_stinr.io.formats as f\nf.__path__.append({str(package)!r})\n"
    )
    monkeypatch.syspath_prepend(str(package))
    end_workers()
    (tmp_path / "s.dat").write_text("1 2 3")
    yield tmp_path / "s.dat"
    end_workers()


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "napari_stinr.io.formats.child" in one.cmdline()]


def ended(process: psutil.Process, seconds: float = 20.0) -> bool:
    return not psutil.wait_procs([process], timeout=seconds)[1]


def refused(path: Path, reader: str) -> str:
    with pytest.raises(StinrError) as caught:
        read_images(read_isolated(f"strange:{reader}", path).images, path)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_everything_comes_back_as_it_was(path):
    stack = read_isolated("strange:stack", path)
    assert stack.images.shape == SHAPE
    read = [np.array(image) for image in stack.images.read()]
    assert read[0].dtype == np.float64
    assert np.array_equal(read, VALUES)
    # They may be read again.
    assert np.array_equal(list(stack.images.read()), VALUES)
    assert np.array_equal(stack.mask, VALUES > 3)
    assert stack.mask.dtype == bool
    assert np.array_equal(stack.tilt_angles, np.arange(5.0))
    facts = (stack.times, stack.timestamps, stack.pixel_size, stack.time_unit, stack.place, stack.notes, stack.complete)
    assert facts == (None, None, 0.1, "s", "Å", ("one", "two"), True)


@pytest.mark.parametrize(("reader", "dtype"), [("half", "<f2"), ("swapped", ">i2")])
def test_every_type_of_number_and_byte_order(path, reader, dtype):
    images = list(read_isolated(f"strange:{reader}", path).images.read())
    assert images[0].dtype == np.dtype(dtype)
    assert np.array_equal(images, VALUES.astype(dtype))


def test_images_larger_than_a_block_are_kept_apart(path):
    images = list(read_isolated("strange:large", path).images.read())
    assert np.array_equal(images, np.arange(4_500_000, dtype="<f4").reshape(3, 1500, 1000))


def test_a_file_that_is_damaged_at_its_end_leaves_the_process_as_it_was(path):
    images = read_isolated("strange:broken", path).images.read()
    assert [int(next(images)[7, 7]) for _ in range(4)] == [0, 1, 2, 3]
    (process,) = children()
    with pytest.raises(StinrError, match="broken"):
        next(images)
    assert np.array_equal(read_images(read_isolated("strange:stack", path).images, path), VALUES)
    assert children() == [process]


def test_files_share_a_process_and_threads_do_not(path):
    pids = {list_isolated("strange:pid", path)[0] for _ in range(5)}
    assert len(pids) == 1
    assert pids == {child.pid for child in children()}
    first = read_isolated("strange:stack", path).images.read()
    next(first)
    # This one is busy, so that another is started.
    assert list_isolated("strange:pid", path)[0] not in pids
    first.close()
    results: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: results.append(read_images(read_isolated("strange:stack", path).images, path)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(values, VALUES) for values in results)
    assert len(results) == 3
    assert len(children()) <= 2


def test_a_reading_that_is_given_up_leaves_no_process(path):
    images = read_isolated("strange:stack", path).images.read()
    next(images)
    (process,) = children()
    images.close()
    assert ended(process)


def test_a_process_that_is_about_to_end_is_not_asked(path, monkeypatch):
    pid = list_isolated("strange:pid", path)[0]
    monkeypatch.setattr(isolation, "IDLE_SECONDS", 0.0)
    assert list_isolated("strange:pid", path)[0] != pid


def test_a_process_without_work_ends():
    code = "from napari_stinr.io.formats import child; child.IDLE_SECONDS = 0.1; child.serve('')"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 0


def test_refusals_keep_their_three_parts_and_the_process(path):
    with pytest.raises(StinrError) as caught:
        read_isolated("strange:refuse", path)
    assert (caught.value.expected, caught.value.cure) == ("b", "c")
    process = children()[0]
    assert "'k'" in refused(path, "fail")
    assert children() == [process]


@pytest.mark.parametrize(("reader", "word"), [("crash", f"signal {int(signal.SIGSEGV)}"), ("leave", "status 3")])
def test_a_crash_is_one_sentence(path, reader, word):
    assert word in refused(path, reader)
    assert np.array_equal(read_images(read_isolated("strange:stack", path).images, path), VALUES)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_file_that_is_cut_off_while_its_pixels_are_read(path):
    assert f"signal {int(signal.SIGBUS)}" in refused(path, "late")


@pytest.mark.parametrize("reader", ["spin", "lock"])
def test_what_does_not_end_is_ended(path, reader, monkeypatch):
    if reader == "lock":  # takes no time of the processor
        monkeypatch.setattr(isolation, "_WALL_SECONDS", 0.5)
        monkeypatch.setattr(isolation, "_BYTES_PER_SECOND", float("inf"))
        monkeypatch.setattr(isolation, "_CPU_SECONDS", 0.1)
    assert "does not come to an end" in refused(path, reader)
    assert children() == []


@pytest.mark.parametrize("is_watched", [False, True])
def test_memory_is_limited(path, is_watched, monkeypatch):
    if is_watched:
        monkeypatch.setattr(isolation, "_LIMITS_ITSELF", False)
    elif not isolation._LIMITS_ITSELF:
        pytest.skip("this system does not limit the memory of a process")
    assert "not enough memory" in refused(path, "fill")


def test_what_a_library_prints_is_no_answer(path):
    assert np.array_equal(read_images(read_isolated("strange:chatter", path).images, path), VALUES)


def test_a_process_that_suffers_from_an_earlier_file_is_replaced(path):
    list_isolated("strange:pid", path)
    assert np.array_equal(read_images(read_isolated("strange:once", path).images, path), VALUES)
    path.with_suffix(".mark").unlink()
    end_workers()
    # A new one has no such excuse.
    assert "status 1" in refused(path, "once")


def test_a_file_that_changed_since_is_refused(path):
    stack = read_isolated("strange:stack", path)
    other = Images((4, 6, 7), lambda: isolation._pixels("strange:stack", "images", (4, 6, 7), path))
    with pytest.raises(StinrError, match="it has changed since"):
        read_images(other, path)
    assert np.array_equal(read_images(stack.images, path), VALUES)


def test_without_an_interpreter_files_are_read_here(path, monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert list_isolated("strange:pid", path)[0] == os.getpid()
    assert isinstance(read_isolated("strange:stack", path), Stack)
    assert children() == []


PARENT = """
import sys
from pathlib import Path
from napari_stinr.io.formats.isolation import list_isolated, read_isolated
sys.path.insert(0, sys.argv[2])
path = Path(sys.argv[1])
print(int(list_isolated("strange:pid", path)[0]), flush=True)
if sys.argv[3] == "busy":
    read_isolated("strange:sleep", path)
images = read_isolated("strange:stack", path).images.read()
next(images)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the end of a process is another on Windows")
@pytest.mark.parametrize("state", ["busy", "reading"])
def test_nothing_is_left_when_the_program_is_killed(path, state, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(path), str(tmp_path / "readers"), state]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    try:
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.3)
        assert worker.is_running()
    finally:
        parent.kill()
        parent.communicate()
    assert ended(worker)
    assert list(temporary.iterdir()) == []


def test_the_process_loads_no_more_than_it_needs():
    code = "import sys, napari_stinr.io.formats.child, napari_stinr.io.formats.hdf5_layouts; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "napari", "scipy", "dask", "tifffile", "mrcfile", "qtpy", "psutil"}
    assert not heavy & set(loaded)
