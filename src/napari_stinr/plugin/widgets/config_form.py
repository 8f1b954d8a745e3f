"""All settings of a reconstruction as a form, made from the settings themselves: a new one needs no code here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFormLayout, QGroupBox, QLabel, QVBoxLayout, QWidget

from napari_stinr.config import ReconstructionConfig, preset_config, settings_fault
from napari_stinr.config.faults import first_fault
from napari_stinr.errors import StinrError
from napari_stinr.plugin.widgets.config_inputs import SettingInput, create_input, tip_of
from napari_stinr.plugin.widgets.theme import ThemeColours, theme_colours

if TYPE_CHECKING:
    from pydantic import BaseModel

FIXED = ("kind", "batches", "background_level", "blocks_per_step")
"""Settings that follow from the kind of field, and two that are for scripts: a level is found, or none is subtracted,
and a run has the blocks of as many processes as began it."""
PARTS = ("preprocessing", "alignment", "field", "training")


class ConfigForm(QWidget):
    """Form for the settings of the field and of its training; preset and kind of field stay as they are."""

    changed = Signal()
    """A person has changed a setting, to a valid value or not."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._message = QLabel(self)
        self._message.setWordWrap(True)
        self._message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._layout.addWidget(self._message)
        self._groups: dict[str, QGroupBox] = {}
        self._inputs: dict[str, dict[str, SettingInput]] = {}
        for part in PARTS:
            self._groups[part] = QGroupBox(part.capitalize(), self)
            self._layout.addWidget(self._groups[part])
        self._layout.addStretch(1)
        self._config = preset_config("growth")
        self._models: dict[str, type[BaseModel]] = {}
        self.set_config(self._config)
        self.set_colours(theme_colours("dark"))

    def set_config(self, config: ReconstructionConfig) -> None:
        """Show settings, without a signal."""
        self._config = config
        for part in PARTS:
            settings: BaseModel = getattr(config, part)
            if self._models.get(part) is not type(settings):
                self._models[part] = type(settings)
                self._inputs[part] = self._filled_group(part, type(settings))
            for name, created in self._inputs[part].items():
                created.set_value(getattr(settings, name))
        self._show_fault(None)

    def config(self) -> ReconstructionConfig:
        """Return the settings as they stand in the form.

        Returns
        -------
        ReconstructionConfig
            The settings.

        Raises
        ------
        StinrError
            A value is out of range, or not what the setting takes.
        """
        values = self._config.model_dump()
        for part in PARTS:
            values[part].update({name: created.value() for name, created in self._inputs[part].items()})
        try:
            return ReconstructionConfig.model_validate(values)
        except ValidationError as error:
            raise settings_fault(error) or _fault(error) from error

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw what is wrong in the colours of a theme."""
        self._message.setStyleSheet(f"color: {colours.error};")

    def _filled_group(self, part: str, model: type[BaseModel]) -> dict[str, SettingInput]:
        """Put a group with one row for every setting of a model in the place of the one there was."""
        group, old = QGroupBox(part.capitalize(), self), self._groups[part]
        self._layout.replaceWidget(old, group)
        old.hide()
        old.deleteLater()
        self._groups[part] = group
        rows = QFormLayout(group)
        rows.setContentsMargins(6, 6, 6, 6)
        rows.setSpacing(3)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        inputs = {}
        for name, info in model.model_fields.items():
            if name in FIXED:
                continue
            inputs[name] = create_input(info, group)
            inputs[name].changed.connect(self._on_changed)
            label = QLabel(label_of(name), group)
            label.setToolTip(tip_of(info))
            label.setBuddy(inputs[name])
            rows.addRow(label, inputs[name])
        return inputs

    def _on_changed(self) -> None:
        try:
            self.config()
        except StinrError as error:
            self._show_fault(error)
        else:
            self._show_fault(None)
        self.changed.emit()

    def _show_fault(self, error: StinrError | None) -> None:
        self._message.setText(str(error or ""))
        self._message.setVisible(error is not None)


def label_of(name: str) -> str:
    """Return the name of a setting with blanks and a capital."""
    return name.replace("_", " ").capitalize()


def _fault(error: ValidationError) -> StinrError:
    """Say in the words of the form what pydantic has found."""
    where, value, expected = first_fault(error)
    names = [part for part in where if isinstance(part, str)]
    expected = expected.removeprefix("value error, ").removeprefix("input should be ").partition(", unable")[0]
    if value is None or isinstance(value, dict):
        found = f"the settings of the {names[0] if names else 'reconstruction'} do not go together"
    else:
        found = f"{label_of(names[-1])} is {value!r}"
    return StinrError(found, expected=expected[:1].lower() + expected[1:], cure="Correct it in the form.")
