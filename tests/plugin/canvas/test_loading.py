"""What a dock needs is loaded a piece at a time, and the window answers in between."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from qtpy.QtCore import QTimer

from napari_stinr.plugin.canvas import loading

pytestmark = pytest.mark.qt


def test_steps_are_taken_in_turn_with_the_window_alive_in_between(qtbot):
    done: list[str] = []
    clock = QTimer()
    clock.timeout.connect(lambda: done.append("drawn"))
    clock.start(0)
    loading.load_then([lambda: done.append("first"), lambda: done.append("second")])
    assert done == []
    qtbot.waitUntil(lambda: "second" in done, timeout=30_000)
    clock.stop()
    assert "drawn" in done[done.index("first") : done.index("second")]
    qtbot.wait(3 * loading._TURN)
    assert [step for step in done if step != "drawn"] == ["first", "second"]


def test_a_step_that_fails_keeps_the_next_ones_from_nothing(qtbot):
    done: list[str] = []
    with qtbot.captureExceptions() as caught:
        loading.load_then([lambda: 1 / 0, lambda: done.append("second")])
        qtbot.waitUntil(lambda: done == ["second"], timeout=30_000)
    assert [kind for kind, _, _ in caught] == [ZeroDivisionError]


def test_torch_comes_in_a_thread_and_everything_is_there_afterwards() -> None:
    code = """
import sys, threading
from napari_stinr.plugin.canvas import loading
assert not {'torch', 'pyqtgraph'} & set(sys.modules)
loading.begin_loading()
assert loading._thread.name in {thread.name for thread in threading.enumerate()}
loading.begin_loading()
loading._thread.join()
import torch
assert torch.ones(3).sum() == 3
sys.exit(not loading._are_loaded(loading._LIBRARIES))
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, timeout=120)
