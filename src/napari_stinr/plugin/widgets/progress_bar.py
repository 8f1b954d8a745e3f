"""A bar that does not keep the window."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar


class CalmProgressBar(QProgressBar):
    """A bar that is painted when Qt's turn comes.

    Qt's own is painted at once with each new value, and with it the whole window, canvas and all: where that takes
    long, as in 3D without a graphics card, a training that reports five times a second leaves no time for the mouse.
    """

    def setValue(self, value: int) -> None:  # Qt's name
        """Show how much is done."""
        self.setUpdatesEnabled(False)
        super().setValue(value)
        self.setUpdatesEnabled(True)

    def setRange(self, minimum: int, maximum: int) -> None:  # Qt's name
        """Show of how much; twice the same is a bar that runs to and fro."""
        self.setUpdatesEnabled(False)
        super().setRange(minimum, maximum)
        self.setUpdatesEnabled(True)
