"""The process that opens containers: it may hang, crash or fill its memory, and never leaves anything behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_stinr.errors import StinrError
from napari_stinr.io.formats import isolation
from napari_stinr.io.formats.containers import Images, Stack, read_images
from napari_stinr.io.formats.isolation import end_workers, list_isolated, read_isolated

SHAPE = (5, 6, 7)
VALUES = np.arange(210.0).reshape(SHAPE)
# Readers that do what libraries do; the process imports them from here.
READERS = """
import ctypes, os, signal, sys, time
import numpy as np
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Images, Stack

def stack(path, dtype="<f8", shape=(5, 6, 7)):
    values = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return Stack(
        Images(shape, lambda: iter(values)), tilt_angles=np.arange(5.0), pixel_size=0.1,
        mask_images=Images(shape, lambda: iter(values > 3)), time_unit="s", place="Å", notes=("one", "two"),
        complete=True,
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
def hasty(path):
    sys.modules["__main__"].IDLE_SECONDS = 0.2
    return stack(path)
def hasty_and_broken(path):
    sys.modules["__main__"].IDLE_SECONDS = 0.2
    return broken(path)
def once_for_pixels(path):
    return Stack(Images((5, 6, 7), lambda: once(path).images.read()))
def numbers(path):
    angles = np.array(path.read_text().split(), dtype=float)
    return Stack(Images((5, 6, 7), lambda: iter(np.full((5, 6, 7), angles[0]))), tilt_angles=angles)
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


def test_an_older_process_that_dies_before_the_first_image_is_replaced(path):
    images = read_isolated("strange:once_for_pixels", path).images
    assert np.array_equal(read_images(images, path), VALUES)
    path.with_suffix(".mark").unlink()
    end_workers()
    with pytest.raises(StinrError, match="status 1"):
        read_images(images, path)


@pytest.mark.parametrize("reader", ["hasty", "hasty_and_broken"])
def test_images_are_looked_at_for_longer_than_a_process_is_idle(path, reader):
    images = read_isolated(f"strange:{reader}", path).images.read()
    n_read = 1 if reader == "hasty" else 4  # the last blocks are under way
    for _ in range(n_read):
        next(images)
    time.sleep(1.5)
    if reader == "hasty":
        assert np.array_equal(list(images), VALUES[1:])
    else:
        with pytest.raises(StinrError, match="broken"):
            next(images)


def test_a_process_that_waits_keeps_no_images(path):
    images = read_isolated("strange:large", path).images
    first = read_images(images, path)
    (worker,) = isolation._idle
    if worker._buffer is not None:
        assert os.fstat(worker._buffer.fileno()).st_size == 0
    assert np.array_equal(read_images(images, path), first)
    with pytest.raises(StinrError, match="broken"):
        read_images(read_isolated("strange:broken", path).images, path)
    assert isolation._idle == [worker]
    if worker._buffer is not None:
        assert os.fstat(worker._buffer.fileno()).st_size == 0


def test_a_file_of_the_same_size_and_date_is_read_anew(path):
    before = path.stat()
    assert read_isolated("strange:numbers", path).tilt_angles.tolist() == [1, 2, 3]
    time.sleep(0.05)  # clocks of file systems have ticks
    path.write_text("4 5 6")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_isolated("strange:numbers", path).tilt_angles.tolist() == [4, 5, 6]


def test_images_are_of_the_same_file_in_another_folder(path, monkeypatch):
    other = path.parent / "other"
    other.mkdir()
    (other / path.name).write_text("7 8 9")
    monkeypatch.chdir(path.parent)
    images = read_isolated("strange:numbers", Path(path.name)).images
    monkeypatch.chdir(other)
    assert (read_images(images, path) == 1).all()


STANDARD_STREAMS = """
import sys
from pathlib import Path
from napari_stinr.io.formats import isolation
if sys.argv[2] == "file":
    isolation._nameless_file = isolation.tempfile.TemporaryFile
path = Path(sys.argv[1])
try:
    stack = isolation.read_isolated("strange:stack", path)
    path.with_suffix(".out").write_text(str([int(image.sum()) for image in stack.images.read()]))
except BaseException as error:
    path.with_suffix(".out").write_text(repr(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes them")
@pytest.mark.parametrize("memory", ["memory", "file"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_files_are_read_where_standard_streams_are_closed(path, closed, memory):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-c", STANDARD_STREAMS, str(path), memory]
    subprocess.run(command, env=environment, timeout=120, check=True)
    assert path.with_suffix(".out").read_text() == str([int(image.sum()) for image in VALUES])


@pytest.mark.parametrize("text", ["hello", "hello\n", '5\n{"end": true}\n'])
def test_what_is_printed_while_python_starts_is_no_answer(path, text):
    with (path.parent / "readers" / "sitecustomize.py").open("a") as file:
        file.write(f"import os\nos.write(1, {text.encode()!r})\n")
    assert np.array_equal(read_images(read_isolated("strange:stack", path).images, path), VALUES)


@pytest.mark.parametrize("reason", ["no interpreter", "another program", "no descriptor"])
def test_a_process_that_does_not_start_is_no_fault_of_the_file(path, monkeypatch, reason):
    images = read_isolated("strange:stack", path).images
    end_workers()
    if reason == "no descriptor":

        def full() -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr(isolation, "_shared_memory", full)
        said = "Too many open files"
    elif reason == "no interpreter":
        monkeypatch.setattr(sys, "executable", str(path.parent / "gone"))
        said = "No such file"
    else:
        program = path.parent / "program"
        program.write_text("#!/bin/sh\nexit 7\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        said = "status 7"
    for read in (lambda: read_images(images, path), lambda: read_isolated("strange:stack", path)):
        with pytest.raises(StinrError, match=said) as caught:
            read()
        assert "no process for it can be started" in caught.value.found
        assert "incomplete" not in caught.value.cure


FORK = """
import os, signal, sys
from napari_stinr.io.formats import isolation
with isolation._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        isolation.end_workers()
        os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_while_a_thread_takes_a_process_does_not_hang():
    assert subprocess.run([sys.executable, "-c", FORK], timeout=60).returncode == 0


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
