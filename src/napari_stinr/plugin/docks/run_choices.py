"""The few choices that everybody makes before a training: preset, quality, device, threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QSizePolicy, QSpinBox, QWidget

from napari_stinr.config import PRESETS, QUALITIES
from napari_stinr.config.presets import PARTS_OF_PRESETS
from napari_stinr.cores import available_threads

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page

_CUSTOM = "Custom"


class RunChoices(QWidget):
    """Preset, quality, device and threads."""

    def __init__(self, dock: Page) -> None:
        super().__init__(dock)
        self._session, self._requirements = dock.session, dock.binding.requirements
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.preset = _combo(self, PRESETS, "What is assumed about the specimen.")
        for index, parts in enumerate(PARTS_OF_PRESETS.values()):
            self.preset.setItemData(index, parts.assumption, Qt.ItemDataRole.ToolTipRole)
        self.quality = _combo(self, QUALITIES, "How long to train. Custom: changed under Advanced.")
        self.device = _combo(self, ("auto",), "Where to compute, with the memory that is free there.")
        self.device.setItemData(0, "auto")
        self.threads = QSpinBox(self)
        self.threads.setRange(1, max(available_threads(), self._session.threads))
        self.threads.setToolTip("CPU threads of the training. One core less than there are keeps the window smooth.")
        for label, widget in (
            ("Preset", self.preset),
            ("Quality", self.quality),
            ("Device", self.device),
            ("Threads", self.threads),
        ):
            form.addRow(label, widget)
        self.preset.activated.connect(self._on_preset)
        self.quality.activated.connect(self._on_quality)
        self.device.activated.connect(self._on_device)
        self.threads.valueChanged.connect(self._on_threads)
        self._requirements.devices_changed.connect(self.list_devices)
        self.list_devices()
        self.show_choices()

    def show_choices(self) -> None:
        """Show what the session has chosen."""
        session = self._session
        blockers = [QSignalBlocker(widget) for widget in (self.preset, self.quality, self.threads)]
        self.preset.setCurrentText(session.preset)
        custom = self.quality.findText(_CUSTOM)
        if session.is_customised and custom < 0:
            self.quality.addItem(_CUSTOM)
        elif not session.is_customised and custom >= 0:
            self.quality.removeItem(custom)
        self.quality.setCurrentText(_CUSTOM if session.is_customised else session.quality)
        self.threads.setValue(session.threads)
        del blockers

    def list_devices(self) -> None:
        """Show the devices that were found."""
        with QSignalBlocker(self.device):
            self.device.clear()
            self.device.addItem("automatic", "auto")
            for info in self._requirements.devices:
                free = "" if info.free_bytes is None else f", {info.free_bytes / 1e9:.1f} GB free"
                self.device.addItem(f"{info.label}{free}", info.name)
            self.device.setCurrentIndex(max(0, self.device.findData(self._session.device)))

    def _on_preset(self, index: int) -> None:
        self._session.choose(preset=self.preset.itemText(index))

    def _on_quality(self, index: int) -> None:
        if self.quality.itemText(index) != _CUSTOM:
            self._session.choose(quality=self.quality.itemText(index))

    def _on_device(self, index: int) -> None:
        self._session.device = self.device.itemData(index)
        self._requirements.look_again()

    def _on_threads(self, value: int) -> None:
        self._session.threads = value
        self._requirements.look_again()


def _combo(parent: QWidget, entries: tuple[str, ...], tip: str) -> QComboBox:
    combo = QComboBox(parent)
    combo.addItems(list(entries))
    combo.setToolTip(tip)
    # A long device name must not widen the dock.
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, combo.sizePolicy().verticalPolicy())
    combo.setMinimumWidth(120)
    return combo
