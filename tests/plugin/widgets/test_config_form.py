"""The form of the settings: complete without knowing them, exact, and clear about what is wrong."""

from __future__ import annotations

import pytest
from pydantic import Field, create_model
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QWidget,
)

from helpers.window_cases import show
from napari_stinr import StinrError
from napari_stinr.config import PRESETS, JointFieldConfig, ReconstructionConfig, TrainingConfig, preset_config
from napari_stinr.plugin.widgets.config_form import ConfigForm
from napari_stinr.plugin.widgets.config_inputs import create_input
from napari_stinr.plugin.widgets.theme import theme_colours
from napari_stinr.plugin.widgets.wheel import WheelGuard

pytestmark = pytest.mark.qt

FIXED = {"kind", "batches", "background_level", "blocks_per_step"}


@pytest.fixture
def form(qtbot):
    widget = ConfigForm()
    qtbot.addWidget(widget)
    widget.resize(300, 700)
    show(qtbot, widget)
    return widget


def rows_of(form):
    """Label and input of every row, by group title and label text."""
    # A layout shows what has come into it with the next turn of the event loop.
    QApplication.processEvents()
    rows = {}
    for group in form.findChildren(QGroupBox):
        if not group.isVisible():
            continue
        layout = group.layout()
        for number in range(layout.rowCount()):
            label = layout.itemAt(number, QFormLayout.ItemRole.LabelRole).widget()
            rows[group.title(), label.text()] = label, layout.itemAt(number, QFormLayout.ItemRole.FieldRole).widget()
    return rows


def part_of(form, group, label, kind):
    """Find the box, tick or line that a person would use in a row."""
    return next(part for part in rows_of(form)[group, label][1].findChildren(kind) if part.isVisible())


def type_into(box, text):
    box.setFocus()
    box.selectAll()
    QTest.keyClicks(box, text)
    QTest.keyClick(box, Qt.Key.Key_Return)


def messages(form):
    return [child.text() for child in form.children() if isinstance(child, QLabel) and child.isVisible()]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_comes_back_exactly(form, preset):
    form.set_config(preset_config(preset))
    assert form.config() == preset_config(preset)


def test_values_that_no_box_can_show_come_back_exactly(form):
    config = preset_config("growth").model_copy(
        update={
            "training": TrainingConfig(seed=2**40, density_rate=0.1234567890123456, last_width=1e-12, steps=7),
            "field": preset_config("growth").field.model_copy(update={"arrival_spacings": (8.000000000001, 1 / 3)}),
        }
    )
    form.set_config(config)
    assert form.config() == config
    type_into(part_of(form, "Training", "Visits", QAbstractSpinBox), "31")
    assert form.config() == config.with_training(visits=31)


@pytest.mark.parametrize("preset", PRESETS)
def test_there_is_a_row_for_every_setting(form, preset):
    form.set_config(preset_config(preset))
    config = preset_config(preset)
    wanted = {
        (part.capitalize(), name.replace("_", " ").capitalize())
        for part in ("preprocessing", "alignment", "field", "training")
        for name in type(getattr(config, part)).model_fields
        if name not in FIXED
    }
    assert set(rows_of(form)) == wanted


@pytest.mark.parametrize("preset", PRESETS)
def test_every_row_has_a_tooltip(form, preset):
    form.set_config(preset_config(preset))
    for place, (label, field) in rows_of(form).items():
        assert len(label.toolTip()) > 10, place
        assert label.toolTip() == field.toolTip()


def test_units_stand_behind_the_inputs(form):
    rows = rows_of(form)
    units = {place: [label.text() for label in field.findChildren(QLabel)] for place, (_, field) in rows.items()}
    assert units["Field", "Arrival spacings"] == ["[voxels]"]
    assert units["Training", "Arrival rate"] == ["[t per step]"]
    assert units["Training", "Balance"] == []


def test_numbers_ticks_and_choices_are_taken(form, qtbot):
    heard = []
    form.changed.connect(lambda: heard.append(1))
    type_into(part_of(form, "Training", "Visits", QAbstractSpinBox), "250")
    type_into(part_of(form, "Field", "Coarsest nodes", QAbstractSpinBox), "16")
    type_into(part_of(form, "Training", "Density rate", QAbstractSpinBox), "0,0625")
    type_into(part_of(form, "Field", "Arrival spacings", QLineEdit), "6; 3 1.5")
    part_of(form, "Training", "Suppress noise", QCheckBox).click()
    QTest.keyClick(part_of(form, "Training", "Precision", QComboBox), Qt.Key.Key_Down)
    config = form.config()
    assert len(heard) >= 6
    assert config.training.visits == 250
    assert config.field.coarsest_nodes == 16
    assert config.training.density_rate == 0.0625
    assert config.field.arrival_spacings == (6.0, 3.0, 1.5)
    assert config.training.suppress_noise is False
    assert config.training.precision == "float32"
    assert config.preset == "growth"
    assert config.training.batches == "blocks"


def test_steps_are_automatic_or_a_number(form):
    tick = part_of(form, "Training", "Steps", QCheckBox)
    box = part_of(form, "Training", "Steps", QAbstractSpinBox)
    assert tick.text() == "automatic"
    assert tick.isChecked()
    assert not box.isEnabled()
    tick.click()
    assert box.isEnabled()
    type_into(box, "640")
    assert form.config().training.steps == 640
    tick.click()
    assert form.config().training.steps is None
    form.set_config(preset_config("paper"))
    assert part_of(form, "Training", "Steps", QAbstractSpinBox).text() == "20000"


def test_numbers_out_of_range_cannot_be_typed(form):
    box = part_of(form, "Field", "Coarsest nodes", QAbstractSpinBox)
    type_into(box, "999")
    assert 2 <= form.config().field.coarsest_nodes <= 256
    type_into(part_of(form, "Training", "Anneal until", QAbstractSpinBox), "0")
    assert 0 < form.config().training.anneal_until <= 1


def test_what_is_wrong_is_said_and_raised(form):
    line = part_of(form, "Field", "Arrival spacings", QLineEdit)
    heard = []
    form.changed.connect(lambda: heard.append(1))
    type_into(line, "8, wide")
    assert heard
    with pytest.raises(StinrError, match="Arrival spacings is 'wide'; expected a valid number") as error:
        form.config()
    assert messages(form) == [str(error.value)]
    type_into(line, "")
    assert "Arrival spacings" in messages(form)[0]
    type_into(line, "8, 2")
    assert messages(form) == []
    type_into(line, "x")
    form.set_config(preset_config("growth"))
    assert messages(form) == []
    assert form.config() == preset_config("growth")


def test_what_does_not_go_together_is_said_in_the_words_of_the_settings(form):
    type_into(part_of(form, "Field", "Features", QAbstractSpinBox), "4")
    with pytest.raises(StinrError, match="4 features and no hidden units; expected 1 feature") as error:
        form.config()
    assert messages(form) == [str(error.value)]
    type_into(part_of(form, "Field", "Hidden", QAbstractSpinBox), "8")
    assert messages(form) == []
    type_into(part_of(form, "Field", "Arrival spacings", QLineEdit), "8, -60")
    assert "Arrival spacings is '-60'; expected greater than 0" in messages(form)[0]


def test_code_that_sets_the_form_is_not_told_of_it(form):
    heard = []
    form.changed.connect(lambda: heard.append(1))
    for preset in PRESETS:
        form.set_config(preset_config(preset))
    assert heard == []


def test_another_kind_of_field_has_other_rows(form):
    form.set_config(preset_config("paper"))
    assert ("Field", "Layers") in rows_of(form)
    type_into(part_of(form, "Field", "Layers", QAbstractSpinBox), "5")
    assert form.config().field == JointFieldConfig(layers=5)
    form.set_config(preset_config("static"))
    assert ("Field", "Layers") not in rows_of(form)
    assert [group.title() for group in form.findChildren(QGroupBox) if group.isVisible()].count("Field") == 1


def test_the_wheel_over_a_number_scrolls_and_does_not_change_it(form):
    WheelGuard(form).watch(form)
    box = part_of(form, "Training", "Visits", QAbstractSpinBox)
    box.clearFocus()
    wheel(box)
    assert form.config() == preset_config("growth")
    combo = part_of(form, "Training", "Precision", QComboBox)
    wheel(combo)
    assert form.config() == preset_config("growth")


def wheel(widget):
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        widget.mapToGlobal(middle),
        QPoint(0, 0),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


@pytest.mark.parametrize(
    ("annotation", "default", "values"),
    [
        (float | None, None, [None, 0.25]),
        (str, "a", ["b"]),
        (tuple[int, ...], (1, 2), [(3, 4)]),
        (bool, True, [False]),
        (int, 3, [-5]),
        (float, -0.5, [2.5]),
    ],
)
def test_a_setting_of_a_new_type_gets_an_input(annotation, default, values, qtbot):
    model = create_model("Later", setting=(annotation, Field(default, description="Something new [nm].")))
    holder = QWidget()
    qtbot.addWidget(holder)
    made = create_input(model.model_fields["setting"], holder)
    for value in [default, *values]:
        made.set_value(value)
        assert model(setting=made.value()).setting == value
    assert made.toolTip() == "Something new [nm]."


def test_settings_that_contradict_each_other_are_named(form, monkeypatch):
    def refuse(values):
        return ReconstructionConfig.__pydantic_validator__.validate_python({**values, "training": None})

    monkeypatch.setattr(ReconstructionConfig, "model_validate", staticmethod(refuse))
    with pytest.raises(StinrError, match="the settings of the training do not go together"):
        form.config()


def test_the_form_fits_into_a_narrow_dock_and_leaves_with_its_viewer(make_napari_viewer):
    viewer = make_napari_viewer()
    form = ConfigForm()
    viewer.window.add_dock_widget(form)
    form.set_colours(theme_colours(viewer.theme))
    assert form.minimumSizeHint().width() <= 280
    viewer.close()
