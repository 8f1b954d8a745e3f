"""The queue as a file of jobs, with the mouse: load one, do it, save it, and do that without a window."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from helpers.plugin_cases import write_stack
from helpers.window_cases import open_window, settle, wait
from napari_stinr.cli.main import main
from napari_stinr.training.jobs.file import read_jobs

pytestmark = pytest.mark.qt

JOBS = """\
defaults: {device: cpu, threads: 1, align: off, out: runs/<name>.stinr}
jobs:
- {stack: needle.mrc, name: one, preset: static, steps: 4}
- {stack: needle.mrc, name: two, preset: static, seed: 1, steps: 4}
"""


@pytest.fixture
def window(make_napari_viewer, qtbot, tmp_path):
    """Return a window with the queue unfolded."""
    made = open_window(make_napari_viewer, tmp_path / "autosave")
    made.dock.show_page("Reconstruct")
    QTest.mouseClick(made.reconstruct.queue_folding.toggleButton(), Qt.MouseButton.LeftButton)
    wait(qtbot, made.reconstruct.queue.isVisible)
    return made


def choose(qtbot, window, action) -> None:
    """Press the button, and then an entry of the menu that opens."""
    panel = window.reconstruct.queue
    window.dock.show_page("Reconstruct")
    window.reconstruct._scroll.ensureWidgetVisible(panel.files_button)
    wait(qtbot, lambda: not panel.files_button.visibleRegion().isEmpty())
    menu, pressed = panel.files_button.menu(), []

    def press() -> None:
        if menu.isVisible():
            clock.stop()
            pressed.append(True)
            QTest.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center())

    clock = QTimer()
    clock.timeout.connect(press)
    clock.start(20)
    QTest.mouseClick(panel.files_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: bool(pressed))


def lines(window) -> list[str]:
    listed = window.reconstruct.queue.list
    return [listed.item(row).text() for row in range(listed.count())]


def test_a_file_of_jobs_is_loaded_done_saved_and_done_again_in_a_shell(window, qtbot, tmp_path, monkeypatch, capsys):
    panel, session = window.reconstruct.queue, window.session
    write_stack(tmp_path)
    (tmp_path / "jobs.yaml").write_text(JOBS)
    assert not panel.save_action.isEnabled()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(tmp_path / "jobs.yaml"), ""))
    choose(qtbot, window, panel.load_action)
    wait(qtbot, lambda: len(lines(window)) == 2)
    assert lines(window) == ["… one", "… two"]
    assert panel.save_action.isEnabled()
    QTest.mouseClick(panel.start_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: session.queue.is_running)
    wait(qtbot, lambda: not session.queue.is_running)
    assert all(line.startswith("✓ ") for line in lines(window)), lines(window)
    assert (tmp_path / "runs" / "one.stinr").exists()
    monkeypatch.setattr(
        "napari_stinr.plugin.docks.queue_panel.ask_for_new_file", lambda *_: tmp_path / "again" / "queue.yaml"
    )
    (tmp_path / "again").mkdir()
    choose(qtbot, window, panel.save_action)
    wait(qtbot, (tmp_path / "again" / "queue.yaml").exists)
    window.dock.show_page("Reconstruct")
    assert "stinr run queue.yaml" in window.reconstruct.files.saved.toolTip()
    assert [job.name for job in read_jobs(tmp_path / "again" / "queue.yaml")] == ["one", "two"]
    settle(qtbot, window)
    assert main(["run", str(tmp_path / "again" / "queue.yaml")]) == 0
    assert capsys.readouterr().out.count(": done before") == 2


def test_a_file_with_a_mistake_adds_nothing_and_is_said(window, qtbot, tmp_path, monkeypatch):
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    write_stack(tmp_path)
    (tmp_path / "jobs.yaml").write_text(JOBS.replace("steps: 4", "stpes: 4", 1))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(tmp_path / "jobs.yaml"), ""))
    choose(qtbot, window, window.reconstruct.queue.load_action)
    wait(qtbot, lambda: any("stpes" in record.message for record in notification_manager.records))
    assert lines(window) == []
    settle(qtbot, window)
