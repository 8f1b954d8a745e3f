"""Cyclic garbage is taken apart in the thread of the window, whoever made it."""

from __future__ import annotations

import gc
import threading

import pytest

from napari_stinr.plugin.canvas import garbage as garbage_module
from napari_stinr.plugin.canvas.binding import binding_of
from napari_stinr.plugin.canvas.garbage import WindowGarbage

MANY = 200_000
"""Objects that hold others: more than two generations of them."""


class Knot:
    """Part of a cycle; says in which thread it ended."""

    ended: list[str]

    def __init__(self, ended: list[str]) -> None:
        self.ended, self.me = ended, self

    def __del__(self) -> None:
        self.ended.append(threading.current_thread().name)


def work_elsewhere() -> list[list[object]]:
    """Make many objects in another thread, and return them: Python counts what there is more of than before."""
    made: list[list[object]] = []
    worker = threading.Thread(target=lambda: made.extend([] for _ in range(MANY)), name="worker")
    worker.start()
    worker.join()
    return made


@pytest.fixture(autouse=True)
def _collected():
    gc.collect()
    assert gc.isenabled()
    yield
    assert gc.isenabled()


def test_without_it_python_collects_where_it_happens_to_be():
    ended: list[str] = []
    Knot(ended)
    work_elsewhere()
    assert ended == ["worker"]


@pytest.mark.qt
def test_window_collects_in_its_own_thread_until_it_closes(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    binding = binding_of(viewer)
    ended: list[str] = []
    Knot(ended)
    made = work_elsewhere()
    assert ended == []
    qtbot.waitUntil(lambda: ended == [threading.main_thread().name], timeout=30_000)
    assert len(made) == MANY
    binding.close()


def test_python_collects_again_after_the_last_window():
    first, second = WindowGarbage(), WindowGarbage()
    first.close()
    assert not gc.isenabled()
    second.close()
    second.close()
    assert gc.isenabled()


@pytest.mark.qt
def test_what_was_put_aside_is_gone_through_once_something_of_it_has_ended(qtbot, monkeypatch):
    monkeypatch.setattr(garbage_module, "_STILL", 0.0)
    garbage, ended = WindowGarbage(), []
    Knot(ended)
    garbage.put_aside()
    # Whoever ends a training collects what it has left, and passes over all that was there before.
    kept: list[str] = []
    knots = [Knot(kept)]
    garbage.put_aside()
    knots.clear()
    gc.collect()
    assert kept == []
    garbage.look()
    assert kept == []
    garbage.owe()
    qtbot.waitUntil(lambda: garbage.look() or kept == [threading.main_thread().name], timeout=30_000)
    assert ended == [threading.main_thread().name]
    garbage.close()
    assert gc.get_freeze_count() == 0


@pytest.mark.qt
def test_a_window_puts_aside_what_it_finds_and_lets_go_of_it(make_napari_viewer):
    before = gc.get_freeze_count()
    binding = binding_of(make_napari_viewer())
    assert gc.get_freeze_count() > before + 50_000
    # A whole collection is what a training ends with: not half a second in which nothing moves.
    assert len(gc.get_objects()) < 100_000
    binding.close()
    assert gc.get_freeze_count() == 0


def test_who_has_switched_it_off_keeps_it_off():
    gc.disable()
    try:
        garbage, ended = WindowGarbage(), []
        Knot(ended)
        made = work_elsewhere()
        garbage.look()
        garbage.close()
        assert len(made) == MANY
        assert ended == []
        assert not gc.isenabled()
    finally:
        gc.enable()
