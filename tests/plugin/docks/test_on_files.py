"""A run that is larger than the memory lies on files: the window says so, and shows slices of it while it trains."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.plugin_cases import before_step
from helpers.waiting import Gate
from helpers.window_cases import add_series, open_window, settle, wait
from napari_stinr.fields.storage import is_on_file
from napari_stinr.training.fits import Room

pytestmark = pytest.mark.qt


@pytest.fixture(autouse=True)
def _larger_than_the_memory(monkeypatch):
    monkeypatch.setattr("napari_stinr.training.requirements.check_fits", lambda *_, **__: Room(3 * 10**9, 5 * 10**9))


def test_a_slice_is_there_in_the_middle_of_the_training_and_after_it(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_window(make_napari_viewer, tmp_path, preview_seconds=0.0)
    add_series(window, steps=24)
    wait(qtbot, lambda: window.session.estimate is not None)
    assert "about 3.0 GB of " in window.reconstruct.settings.estimate.text()
    assert " and 5.0 GB of " in window.reconstruct.settings.estimate.text()
    gate = Gate()
    before_step(monkeypatch, 20, gate)
    window.foot.start.click()
    wait(qtbot, lambda: gate.is_reached and window.binding.layers.stream is not None)
    settle(qtbot, window)
    assert any(map(is_on_file, window.session.reconstruction.field.state_dict().values()))
    window.viewer.dims.ndisplay = 2

    def shows(t: float) -> bool:
        volume = window.session.reconstruction.render(t)
        shown = window.layer("reconstruction")._slice.image.view
        plane = volume[window.viewer.dims.current_step[1]]
        return shown.shape == plane.shape and np.allclose(shown, plane, atol=1e-4) and bool(plane.max() > 0)

    window.binding.slider.set_t(1.0)
    wait(qtbot, lambda: shows(1.0))
    gate.open()
    wait(qtbot, lambda: window.session.state == "Done")
    settle(qtbot, window)
    window.viewer.dims.ndisplay = 2
    window.explore.switch.buttons["At t"].click()
    window.binding.slider.set_t(0.5)
    wait(qtbot, lambda: shows(0.5))
