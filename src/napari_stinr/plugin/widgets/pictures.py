"""Images in the dock: as large as they fit, in greys that a few hot pixels do not spoil."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import QLabel, QSizePolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtGui import QPaintEvent
    from qtpy.QtWidgets import QWidget

NOT_YET = "not yet"
SHARE_SHOWN = 99.8
"""Percent of the pixels that the colours spread over; single hot pixels would leave the rest grey."""


class Picture(QLabel):
    """An image as large as it fits.

    Parameters
    ----------
    parent : QWidget
        Where it stands.
    keeps_sides : bool
        Its sides stay in proportion; else it fills all there is.
    empty_text : str
        Stands in its place where there is none.
    """

    def __init__(self, parent: QWidget, *, keeps_sides: bool = True, empty_text: str = NOT_YET) -> None:
        super().__init__(empty_text, parent)
        self._empty_text = empty_text
        ratio = Qt.AspectRatioMode
        self._ratio = ratio.KeepAspectRatio if keeps_sides else ratio.IgnoreAspectRatio
        self._image: QImage | None = None
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(70, 70)

    def sizeHint(self) -> QSize:  # Qt's name
        """Return a size that three of them have room with."""
        return QSize(96, 110)

    def set_image(self, image: QImage | None) -> None:
        """Show an image, or none."""
        self._image = image
        self.setText("" if image else self._empty_text)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        """Draw the image over the text."""
        super().paintEvent(event)
        if self._image is None:
            return
        size = self._image.size().scaled(self.size(), self._ratio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(self.rect().center())
        image = self._image
        if size.width() < image.width():
            # Averaged: the nearest pixels alone would turn noise into structure.
            ignore, smooth = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
            image = image.scaled(size * self.devicePixelRatioF(), ignore, smooth)
        painter = QPainter(self)
        painter.drawImage(place, image)
        painter.end()


def spread(image: NDArray[Any]) -> tuple[float, float]:
    """Return two values, never equal, between which almost all pixels of an `(...)` image lie."""
    known = image[np.isfinite(image)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(known, (100 - SHARE_SHOWN, SHARE_SHOWN)))
    return (low, high) if high > low else (low, low + 1.0)


def grey_image(image: NDArray[Any], low: float, high: float) -> QImage:
    """Return a `(height, width)` image, black at `low` and where nothing was measured, white at `high`."""
    scaled = np.nan_to_num(np.clip((image - low) / (high - low), 0, 1))
    return to_image((255 * scaled).astype(np.uint8), QImage.Format.Format_Grayscale8)


def to_image(pixels: NDArray[np.uint8], pixel_format: QImage.Format) -> QImage:
    """Return an image of `(height, width, ...)` bytes that owns them."""
    rows = np.ascontiguousarray(pixels)
    height, width = rows.shape[:2]
    # The copy owns its bytes; the image on numpy's does not keep them alive.
    return QImage(rows.tobytes(), width, height, rows.strides[0], pixel_format).copy()
