"""Three images side by side: what is where, in which colour."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

from helpers.window_cases import show
from napari_stinr.plugin.widgets.comparison import ComparisonView
from napari_stinr.plugin.widgets.theme import theme_colours

pytestmark = pytest.mark.qt


@pytest.fixture
def view(qtbot):
    widget = ComparisonView()
    qtbot.addWidget(widget)
    widget.resize(300, 170)
    widget.set_colours(theme_colours("dark"))
    show(qtbot, widget)
    return widget


def texts(view):
    return [label.text() for label in view.findChildren(QLabel) if label.isVisible() and label.text()]


def colour_at(view, column, x, y):
    """Red, green and blue of an image; `column` counts the images, `x` and `y` run from 0 to 1 over a square one."""
    picture = view.childAt(50 + 100 * column, 80)
    side = min(picture.width(), picture.height()) - 4
    middle = picture.geometry().center()
    colour = (
        view.grab().toImage().pixelColor(round(middle.x() + side * (x - 0.5)), round(middle.y() + side * (y - 0.5)))
    )
    return colour.red(), colour.green(), colour.blue()


def test_there_are_places_before_there_are_images(view):
    assert texts(view)[:3].count("not yet") + texts(view)[3:].count("not yet") == 3
    assert {"Measured", "Predicted", "Residual"} <= set(texts(view))
    view.set_images(np.eye(8), None, caption="Projection 3 of 61")
    assert texts(view).count("not yet") == 2
    assert "Projection 3 of 61" in texts(view)
    view.set_images(np.eye(8), np.eye(8), caption="Projection 3 of 61")
    assert "not yet" not in texts(view)
    view.clear()
    assert texts(view).count("not yet") == 3
    assert not any("Projection 3" in text for text in texts(view))


def test_rows_run_down_and_columns_to_the_right(view):
    corners = np.zeros((2, 2))
    corners[0, 1] = 1.0
    view.set_images(corners, corners.T, caption="")
    assert colour_at(view, 0, 0.75, 0.25) == (255, 255, 255)
    assert colour_at(view, 0, 0.25, 0.75) == (0, 0, 0)
    assert colour_at(view, 1, 0.25, 0.75) == (255, 255, 255)


def test_both_projections_have_the_same_greys(view):
    measured = np.repeat([[0.0, 1.0]], 2, axis=0)
    view.set_images(measured, 0.5 * measured, caption="")
    assert colour_at(view, 0, 0.75, 0.5) == (255, 255, 255)
    assert colour_at(view, 1, 0.75, 0.5)[0] == pytest.approx(127, abs=2)
    assert "±50 % of the grey scale" in " ".join(texts(view))


def test_what_is_missing_is_red_and_what_is_too_much_is_blue(view):
    measured = np.array([[1.0, 1.0, 1.0]] * 3)
    predicted = measured + [[-0.5, 0.0, 0.25]] * 3
    view.set_images(measured, predicted, caption="")
    red, white, blue = (colour_at(view, 2, x, 0.5) for x in (0.17, 0.5, 0.83))
    assert red[0] > 150 > red[2]
    assert min(white) >= 253
    assert blue[2] > blue[0] + 30
    assert blue[0] > red[2], "half as much is half as strong"


@pytest.mark.parametrize("shape", [(40, 10), (10, 40)])
def test_sides_keep_their_proportion(view, shape):
    view.set_images(np.ones(shape) * np.arange(shape[1]), None, caption="")
    picture = view.childAt(50, 80)
    image = view.grab().toImage()
    middle, background = picture.geometry().center(), theme_colours("dark").foreground

    def extent(points):
        return sum(image.pixelColor(*point).name() != background for point in points)

    area = picture.geometry()
    width = extent((x, middle.y()) for x in range(area.left(), area.right() + 1))
    height = extent((middle.x(), y) for y in range(area.top(), area.bottom() + 1))
    assert width / height == pytest.approx(shape[1] / shape[0], rel=0.15)


@pytest.mark.parametrize("shape", [(700, 1100), (1, 900), (3, 2)])
def test_images_of_any_size_are_shown(view, shape):
    measured = np.random.default_rng(0).random(shape)
    measured[0, 0] = np.nan
    view.set_images(measured, measured * 0.9, caption="")
    view.grab()
    assert "not yet" not in texts(view)


def test_nothing_measured_is_black_and_harmless(view):
    view.set_images(np.full((4, 4), np.nan), np.ones((4, 4)), caption="")
    assert colour_at(view, 0, 0.5, 0.5) == (0, 0, 0)


def test_images_that_do_not_belong_together_are_refused(view):
    with pytest.raises(ValueError, match=r"\(4, 4\) and \(4, 5\)"):
        view.set_images(np.ones((4, 4)), np.ones((4, 5)), caption="")
    with pytest.raises(ValueError, match="shapes"):
        view.set_images(np.ones((1, 4, 4)), None, caption="")
