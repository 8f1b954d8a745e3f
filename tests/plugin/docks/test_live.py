"""While something is computed, the window answers; what goes wrong is said, and nothing is left behind."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
import torch
from napari.utils.progress import progress

import napari_stinr as stinr
from helpers.plugin_cases import before_step, training_threads
from helpers.stream_cases import SlowField
from helpers.waiting import Gate
from helpers.window_cases import add_series, open_window, settle, train, turn, wait
from napari_stinr.plugin.canvas.binding import _BINDINGS
from napari_stinr.training.blocks import BlockObjective

pytestmark = pytest.mark.qt


def test_window_answers_in_the_middle_of_a_step(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_window(make_napari_viewer, tmp_path, preview_seconds=0.0)
    add_series(window, steps=12)
    gate = Gate()
    before_step(monkeypatch, 8, gate)
    window.foot.start.click()
    wait(qtbot, lambda: gate.is_reached and window.binding.layers.stream is not None)
    settle(qtbot, window)
    # Until the gate is opened, everything below happens while one step is under way.
    for step in range(0, 31, 3):
        window.binding.slider.set_t(step / 30)
        turn(qtbot)
    plane = window.session.reconstruction.render(1.0)[window.viewer.dims.current_step[1]]
    np.testing.assert_allclose(window.layer("reconstruction")._slice.image.view, plane, atol=1e-4)
    assert window.explore.slider.value() == pytest.approx(1.0)
    assert window.session.reconstruction.step == 7
    assert window.session.state == "Running"
    gate.open()
    wait(qtbot, lambda: window.session.state == "Done")
    assert window.session.log.steps == list(range(1, 13))


def test_what_is_quick_is_there_when_the_slider_has_moved(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=60)
    train(qtbot, window)
    window.explore.switch.buttons["At t"].click()
    stream = window.binding.layers.stream
    window.viewer.dims.ndisplay = 2
    everything = (slice(None),) * 3
    for step in range(0, 31, 3):
        volume = window.session.reconstruction.render(step / 30)
        np.testing.assert_allclose(stream[(step, *everything)], volume, atol=1e-4)
        window.binding.slider.set_t(step / 30)
        plane = volume[window.viewer.dims.current_step[1]]
        np.testing.assert_allclose(window.layer("reconstruction")._slice.image.view, plane, atol=1e-4)
    first, last = (window.session.reconstruction.render(t) for t in (0.0, 1.0))
    assert np.abs(last - first).max() > 0.01 * last.max(), "the slider changes nothing here"
    assert stream.computed == 0


def test_last_position_of_the_slider_wins_where_volumes_are_slow(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=60)
    train(qtbot, window)
    window.explore.switch.buttons["At t"].click()
    window.binding.slider.set_t(0.0)
    settle(qtbot, window)
    stream, layer, slow = window.binding.layers.stream, window.layer("reconstruction"), SlowField(monkeypatch)
    before = layer._slice.image.view.copy()
    for step in range(25):
        window.binding.slider.set_t(step / 30)
        turn(qtbot, 1)
        if step in (8, 24):
            wait(qtbot, lambda step=step: slow.asked and slow.asked[-1] == step / 30)
    # The window went on although not one volume was there.
    assert not slow.finished
    slow.through.set()
    settle(qtbot, window)
    plane = window.session.reconstruction.render(24 / 30)[window.viewer.dims.current_step[1]]
    np.testing.assert_allclose(layer._slice.image.view, plane, atol=1e-5)
    assert np.abs(plane - before).max() > 1e-3
    assert slow.finished == [24 / 30]
    assert stream.dropped == len(slow.asked) - 1 > 0


def test_stop_ends_at_the_next_step_border_and_keeps_the_result(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    gate = Gate()
    before_step(monkeypatch, 8, gate)
    window.foot.start.click()
    wait(qtbot, lambda: gate.is_reached)
    window.foot.stop.click()
    assert window.session.state == "Stopping"
    gate.open()
    wait(qtbot, lambda: window.session.state == "Done")
    assert window.foot.start.isEnabled()
    assert window.explore.remove_button.isEnabled()
    saved = stinr.load_reconstruction(window.session.checkpoint)
    assert saved.step == window.session.reconstruction.step == 8


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "mat1 and mat2"),
        (torch.OutOfMemoryError("tried to allocate 20 GiB"), "larger binning"),
        (MemoryError(), "larger binning"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_in_training_is_said_and_leaves_nothing_behind(
    make_napari_viewer, qtbot, tmp_path, monkeypatch, error, said
):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=400)
    fields: list[weakref.ref] = []
    healthy = BlockObjective.loss

    def failing(objective, field, generator, **options):
        fields.append(weakref.ref(field))
        if len(fields) == 3:
            raise error
        return healthy(objective, field, generator, **options)

    monkeypatch.setattr(BlockObjective, "loss", failing)
    window.foot.start.click()
    wait(qtbot, lambda: window.session.state == "Failed")
    assert said in window.foot.status.whole
    assert not training_threads()
    assert not [bar for bar in progress._all_instances if "training" in str(bar.desc)]
    assert not window.foot.stop.isEnabled()
    error.__traceback__ = None
    gc.collect()
    assert fields[0]() is None
    monkeypatch.setattr(BlockObjective, "loss", healthy)
    window.session.customise(window.session.config.with_training(steps=5))
    train(qtbot, window)


def test_closing_in_mid_training_leaves_no_thread_and_a_checkpoint(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    window.foot.start.click()
    wait(qtbot, lambda: len(window.session.log.steps) > 30)
    n_bindings = len(_BINDINGS)
    window.viewer.close()
    assert not training_threads()
    assert len(_BINDINGS) == n_bindings - 1
    (checkpoint,) = tmp_path.glob("*.stinr")
    assert stinr.load_reconstruction(checkpoint).step > 30
    # The machine may still be measured, which ends soon.
    wait(qtbot, lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("stinr-")])


def test_pause_keeps_the_window_alive_and_goes_on(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    gate, begun = Gate(), []
    before_step(monkeypatch, None, lambda: begun.append(1) or (gate() if len(begun) == 8 else None))
    controls = window.foot
    controls.start.click()
    wait(qtbot, lambda: gate.is_reached)
    controls.pause.click()
    assert controls.pause.text() == "Go on"
    gate.open()
    wait(qtbot, lambda: window.session.log.steps == list(range(1, 9)))
    turn(qtbot, 20)
    assert len(begun) == 8
    assert controls.pause.isEnabled()
    controls.pause.click()
    wait(qtbot, lambda: len(window.session.log.steps) > 8)
    controls.stop.click()
    wait(qtbot, lambda: window.session.state == "Done")


def test_series_that_does_not_fit_says_so_before_start(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    import psutil

    from napari_stinr.training.estimates import expected_memory

    window = open_window(make_napari_viewer, tmp_path)
    series = add_series(window, width=64, height=32)
    needed = expected_memory(series.projections.shape, window.session.config)
    free = type("Memory", (), {"available": int(0.6 * needed)})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    window.binding.requirements.look_again()
    wait(qtbot, lambda: window.session.estimate is not None and bool(window.session.estimate.problem))
    start = window.foot.start
    assert not start.isEnabled()
    assert "Binning" in start.toolTip()
    assert "MB" in start.toolTip()
    window.series.form.binning.setValue(2)
    wait(qtbot, lambda: start.isEnabled() and window.session.estimate is not None)
    assert window.session.estimate.problem == ""
