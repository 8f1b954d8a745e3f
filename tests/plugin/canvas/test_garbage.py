"""Cyclic garbage is taken apart in the thread of the window, whoever made it."""

from __future__ import annotations

import gc
import threading

import pytest

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


def work_elsewhere() -> None:
    worker = threading.Thread(target=lambda: [[] for _ in range(MANY)], name="worker")
    worker.start()
    worker.join()


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
    work_elsewhere()
    assert ended == []
    qtbot.waitUntil(lambda: ended == [threading.main_thread().name], timeout=30_000)
    binding.close()


def test_python_collects_again_after_the_last_window():
    first, second = WindowGarbage(), WindowGarbage()
    first.close()
    assert not gc.isenabled()
    second.close()
    second.close()
    assert gc.isenabled()


def test_who_has_switched_it_off_keeps_it_off():
    gc.disable()
    try:
        garbage, ended = WindowGarbage(), []
        Knot(ended)
        work_elsewhere()
        garbage.look()
        garbage.close()
        assert ended == []
        assert not gc.isenabled()
    finally:
        gc.enable()
