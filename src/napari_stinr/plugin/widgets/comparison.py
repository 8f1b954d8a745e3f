"""One projection as it was measured and as the field predicts it, and what is left between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_stinr.plugin.widgets.pictures import SHARE_SHOWN, Picture, grey_image, spread, to_image

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_stinr.plugin.widgets.theme import ThemeColours

TITLES = ("Measured", "Predicted", "Residual")
MOST_PIXELS = 256
"""A larger image is averaged down to about this many pixels across: three of them are wider than any dock."""
_COLD, _HOT = np.array([33, 102, 172]), np.array([178, 24, 43])


class ComparisonView(QWidget):
    """Measured and predicted projection in the same greys, and their difference in blue and red."""

    # Row 0 is at the top and the tilt axis is vertical, as in the array.

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self._pictures = [Picture(self) for _ in TITLES]
        for column, (title, picture) in enumerate(zip(TITLES, self._pictures, strict=True)):
            heading = QLabel(title, self)
            heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
            layout.addWidget(heading, 0, column)
            layout.addWidget(picture, 1, column)
            layout.setColumnStretch(column, 1)
        layout.setRowStretch(1, 1)
        self._caption = QLabel(self)
        self._caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._caption.setWordWrap(True)
        layout.addWidget(self._caption, 2, 0, 1, len(TITLES))
        self._pictures[0].setToolTip("The projection as it was measured.")
        self._pictures[1].setToolTip("The projection that the field predicts, in the same greys as the measured one.")
        self._pictures[2].setToolTip("Measured minus predicted. Red: the field lacks something. Blue: it has too much.")

    def set_images(self, measured: ArrayLike, predicted: ArrayLike | None, *, caption: str) -> None:
        """Show a projection.

        Parameters
        ----------
        measured : array_like
            `(height, width)` measured projection, NaN where nothing was measured.
        predicted : array_like or None
            `(height, width)` predicted projection in the same unit; None: there is none yet.
        caption : str
            Says which projection it is.

        Raises
        ------
        ValueError
            An image does not have two axes, or their shapes differ.
        """
        first = np.asarray(measured, dtype=np.float32)
        second = None if predicted is None else np.asarray(predicted, dtype=np.float32)
        if first.ndim != 2 or 0 in first.shape or (second is not None and second.shape != first.shape):
            raise ValueError(f"the images have the shapes {first.shape} and {None if second is None else second.shape}")
        first = _reduced(first)
        low, high = spread(first)
        self._pictures[0].set_image(grey_image(first, low, high))
        if second is None:
            self._pictures[1].set_image(None)
            self._pictures[2].set_image(None)
            self._caption.setText(caption)
            return
        second = _reduced(second)
        residual = first - second
        most = _largest(residual)
        self._pictures[1].set_image(grey_image(second, low, high))
        self._pictures[2].set_image(_blue_white_red(residual, most))
        self._caption.setText(f"{caption}\nResidual: ±{100 * most / (high - low):.2g} % of the grey scale".strip())

    def clear(self) -> None:
        """Show no projection."""
        for picture in self._pictures:
            picture.set_image(None)
        self._caption.clear()

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw the places without an image in the colours of a theme."""
        for picture in self._pictures:
            picture.setStyleSheet(f"background: {colours.foreground}; color: {colours.text};")


def _reduced(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of square blocks, as few as needed."""
    block = min(max(1, round(max(image.shape) / MOST_PIXELS)), *image.shape)
    if block == 1:
        return image
    height, width = (n // block * block for n in image.shape)
    total = np.zeros((height // block, width // block), dtype=np.float32)
    # Ten times as fast as a mean over two axes of an array of blocks.
    for row in range(block):
        for column in range(block):
            total += image[row:height:block, column:width:block]
    total /= block**2
    return total


def _largest(residual: NDArray[np.float32]) -> float:
    """Size that almost all of the residual stays below."""
    known = np.abs(residual[np.isfinite(residual)])
    return float(np.percentile(known, SHARE_SHOWN)) if known.size else 0.0


def _blue_white_red(image: NDArray[np.float32], most: float) -> QImage:
    """Blue at `-most`, white at 0, red at `most`."""
    scaled = np.nan_to_num(np.clip(image / (most or 1.0), -1, 1))
    index = (127 + 127 * scaled).astype(np.uint8)
    return to_image(_colour_table()[index], QImage.Format.Format_RGB888)


def _colour_table() -> NDArray[np.uint8]:
    """`(255, 3)` red, green and blue from blue over white to red."""
    share = np.linspace(-1, 1, 255)[:, np.newaxis]
    end = np.where(share < 0, _COLD, _HOT)
    return (255 + (end - 255) * np.abs(share)).round().astype(np.uint8)
