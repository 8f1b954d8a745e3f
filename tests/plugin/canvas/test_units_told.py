"""napari tells nobody of units that do not fit together, whatever of ours comes beside what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from helpers.series_cases import growing_series
from helpers.window_cases import add_series, open_window, settle, train, turn
from napari_stinr.io import write_tilt_angles, write_tilt_series, write_volume
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.session.new_draft import draft_of_series

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.qt


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Collect what napari shows to people."""
    messages: list[str] = []

    def note(event: Any) -> None:
        messages.append(str(event.message))

    notification_manager.notification_ready.connect(note)
    yield messages
    notification_manager.notification_ready.disconnect(note)


def give(window: Any, **options: Any) -> None:
    """Add a series as a reader or sample does."""
    window.viewer._add_layer_from_data(*series_layer(draft_of_series(growing_series(n_tilts=31, **options))))


@pytest.mark.parametrize("first", [None, 1.0], ids=["pixel", "nm"])
def test_a_series_after_one_of_another_unit(make_napari_viewer, qtbot, tmp_path, told, first):
    window = open_window(make_napari_viewer, tmp_path)
    give(window, pixel_size=first, name="first")
    turn(qtbot, 10)
    give(window, pixel_size=None if first else 1.0, name="second")
    turn(qtbot, 10)
    settle(qtbot, window)
    assert not [text for text in told if "nits" in text]


@pytest.mark.parametrize("beside", ["series", "run", "bare image", "pixel series"])
def test_our_tiff_opened_by_the_menu(make_napari_viewer, qtbot, tmp_path, told, beside):
    window = open_window(make_napari_viewer, tmp_path)
    if beside == "bare image":
        window.viewer.add_image(np.random.default_rng(0).random((4, 5)))
    elif beside == "pixel series":
        give(window, pixel_size=None)
    else:
        add_series(window, steps=12)
    turn(qtbot, 10)
    if beside == "run":
        train(qtbot, window)
    write_volume(tmp_path / "clean.tif", np.ones((25, 9, 25), np.float32), voxel_size=1.0)
    # As File > Open does.
    window.viewer.window._qt_viewer._qt_open([str(tmp_path / "clean.tif")], stack=False)
    turn(qtbot, 10)
    settle(qtbot, window)
    (layer,) = [layer for layer in window.viewer.layers if layer.name == "clean"]
    is_in_pixels = beside in ("bare image", "pixel series")
    assert f"{layer.units[-1]:~P}" == ("pixel" if is_in_pixels else "nm")
    np.testing.assert_allclose(layer.scale[-3:], 1.0 if is_in_pixels else 0.1)
    assert any("clean is shown in pixels" in text for text in told) is is_in_pixels
    assert not [text for text in told if "nits" in text]


def test_a_stack_without_a_pixel_size_opened_by_the_menu(make_napari_viewer, qtbot, tmp_path, told):
    window = open_window(make_napari_viewer, tmp_path)
    give(window, pixel_size=1.0, name="first")
    turn(qtbot, 10)
    series = growing_series(n_tilts=31)
    write_tilt_series(tmp_path / "bare.mrc", series.projections, pixel_size=None)
    write_tilt_angles(tmp_path / "bare.rawtlt", series.tilt_angles)
    window.viewer.window._qt_viewer._qt_open([str(tmp_path / "bare.mrc")], stack=False)
    turn(qtbot, 10)
    settle(qtbot, window)
    assert window.session.draft.name == "bare"
    window.series.change(pixel_size=2.0, pixel_size_given=True)
    turn(qtbot, 10)
    assert not [text for text in told if "nits" in text]
