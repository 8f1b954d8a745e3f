"""One input for one setting, chosen by the type of the setting: number, tick, choice, list of numbers, or automatic."""

from __future__ import annotations

import re
import textwrap
from abc import abstractmethod
from functools import reduce
from operator import or_
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import numpy as np
from magicgui.widgets import create_widget
from qtpy.QtCore import QLocale, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QWidget

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from qtpy.QtGui import QValidator

AUTOMATIC = "automatic"
_TIP_WIDTH = 64
_DECIMALS = 9
_LARGEST_INT = 2**31 - 1
_FIRST_NUMBER = 1000
"""Where a number starts that was automatic so far."""


class SettingInput(QWidget):
    """An input in a row of its own, with the unit behind it; each kind shows and reads its values in its own way."""

    changed = Signal()
    """A person has changed the value."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self._given: Any = None
        self._shown: Any = None

    def set_value(self, value: object) -> None:
        """Show a value, without a signal."""
        blocked = self.blockSignals(True)
        self._write(value)
        self.blockSignals(blocked)
        self._given, self._shown = value, self._read()

    def value(self) -> Any:
        """Return the value, valid or not; what was not changed comes back exactly, however it is rounded."""
        read = self._read()
        return self._given if read == self._shown else read

    def add_unit(self, unit: str) -> None:
        """Show a unit, given without brackets, behind the input."""
        self._layout.addWidget(QLabel(f"[{unit}]", self))

    def _add(self, widget: QWidget) -> None:
        widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        # napari's style sheet asks for more, and with that a form does not fit into a narrow dock.
        widget.setStyleSheet("min-width: 46px;")
        self._layout.addWidget(widget, 1)

    def _on_changed(self, value: object = None) -> None:
        self.changed.emit()

    @abstractmethod
    def _write(self, value: Any) -> None:
        """Show a value."""

    @abstractmethod
    def _read(self) -> Any:
        """Return what is shown."""


def create_input(info: FieldInfo, parent: QWidget) -> SettingInput:
    """Return the input that suits a setting, without a value, with its tooltip and unit."""
    created = _input_for(info.annotation, _bounds(info), parent)
    tip = tip_of(info)
    created.setToolTip(tip)
    for part in created.findChildren(QWidget):
        part.setToolTip(tip)
    unit = re.search(r"\[([^\]]+)\]\.?$", info.description or "")
    if unit and unit[1] != "1":
        created.add_unit(unit[1])
    return created


def tip_of(info: FieldInfo) -> str:
    """Return what a setting is in lines that fit beside a dock: Qt breaks none by itself."""
    # [1] says to a programmer that a number has no unit, and nothing to anybody else.
    return textwrap.fill((info.description or "").replace(" [1].", "."), _TIP_WIDTH)


def _input_for(annotation: Any, bounds: tuple[float, float], parent: QWidget) -> SettingInput:
    choices = get_args(annotation)
    if NoneType in choices:
        others = [choice for choice in choices if choice is not NoneType]
        return _AutomaticInput(reduce(or_, others), bounds, parent)
    if annotation is bool or get_origin(annotation) is Literal:
        return _ChoiceInput(annotation, parent)
    if annotation in (int, float):
        return _NumberInput(annotation, bounds, parent)
    return _TextInput(get_origin(annotation) in (tuple, list), parent)


class _ChoiceInput(SettingInput):
    """A tick, or one of a few words."""

    def __init__(self, annotation: Any, parent: QWidget) -> None:
        super().__init__(parent)
        self._widget = create_widget(annotation=annotation, name="setting", label="")
        if annotation is bool:
            self._widget.text = ""
        self._add(self._widget.native)
        self._widget.changed.connect(self._on_changed)

    def _write(self, value: Any) -> None:
        self._widget.value = value

    def _read(self) -> Any:
        return self._widget.value


class _TextInput(SettingInput):
    """A list of numbers with commas between them, or any text; what it may hold is checked with the whole form."""

    def __init__(self, is_list: bool, parent: QWidget) -> None:
        super().__init__(parent)
        self._is_list = is_list
        self._widget = create_widget(annotation=str, name="setting", label="")
        self._add(self._widget.native)
        self._widget.changed.connect(self._on_changed)

    def _write(self, value: Any) -> None:
        self._widget.value = ", ".join(_short(part) for part in value) if self._is_list else str(value)

    def _read(self) -> Any:
        text = str(self._widget.value)
        return tuple(re.split(r"[,;\s]+", text.strip(" ,;"))) if self._is_list and text.strip(" ,;") else text.strip()


class _NumberInput(SettingInput):
    """A number within its bounds."""

    # Not the box of magicgui: its integers jump to the lower bound while they are typed, so that no 16 can be typed
    # where the lowest number is 8, and its decimals are rounded to two places.

    def __init__(self, number: type, bounds: tuple[float, float], parent: QWidget) -> None:
        super().__init__(parent)
        self._box: QSpinBox | QDoubleSpinBox
        low, high = bounds
        if number is int:
            self._box = QSpinBox(self)
            self._box.setRange(int(max(low, -_LARGEST_INT)), int(min(high, _LARGEST_INT)))
        else:
            self._box = _DecimalBox(self)
            self._box.setRange(max(low, -1e9), min(high, 1e9))
        self._box.setStepType(self._box.StepType.AdaptiveDecimalStepType)
        self._add(self._box)
        self._box.valueChanged.connect(self._on_changed)

    def _write(self, value: Any) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        self._box.setValue(type(low)(min(max(value, low), high)))

    def _read(self) -> Any:
        return self._box.value()


class _DecimalBox(QDoubleSpinBox):
    """Decimals as short as they can be written, with a point or a comma."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setLocale(QLocale.c())
        self.setDecimals(_DECIMALS)

    def textFromValue(self, value: float) -> str:
        return _short(value)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        return super().validate(text.replace(",", "."), position)


class _AutomaticInput(SettingInput):
    """A tick for None, and beside it the input for anything else."""

    def __init__(self, annotation: Any, bounds: tuple[float, float], parent: QWidget) -> None:
        super().__init__(parent)
        self._automatic = create_widget(annotation=bool, name="setting", label="")
        self._automatic.text = AUTOMATIC
        self._layout.addWidget(self._automatic.native)
        self._other = _input_for(annotation, bounds, self)
        self._layout.addWidget(self._other, 1)
        if annotation in (int, float):
            self._other.set_value(annotation(min(max(_FIRST_NUMBER, bounds[0]), bounds[1])))
        self._automatic.changed.connect(self._on_changed)
        self._other.changed.connect(self._on_changed)

    def _on_changed(self, value: object = None) -> None:
        self._other.setEnabled(not self._automatic.value)
        super()._on_changed()

    def _write(self, value: Any) -> None:
        self._automatic.value = value is None
        self._other.setEnabled(value is not None)
        if value is not None:
            self._other.set_value(value)

    def _read(self) -> Any:
        return None if self._automatic.value else self._other.value()


def _bounds(info: FieldInfo) -> tuple[float, float]:
    """Lowest and highest number that a setting may have."""
    nearest = 1 if info.annotation in (int, int | None) else 10.0**-_DECIMALS
    low, high = -np.inf, np.inf
    for limit in info.metadata:
        low = max(low, getattr(limit, "ge", low), getattr(limit, "gt", low - nearest) + nearest)
        high = min(high, getattr(limit, "le", high), getattr(limit, "lt", high + nearest) - nearest)
    return low, high


def _short(value: Any) -> str:
    """Write a number without an exponent and without zeros at its end."""
    return str(np.format_float_positional(float(value), precision=_DECIMALS, trim="-"))
