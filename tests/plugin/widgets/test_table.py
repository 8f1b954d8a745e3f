"""The table of the projections under the keyboard and the mouse."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QGuiApplication, QKeyEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QWidget

from helpers.window_cases import show
from napari_stinr.plugin.widgets.table import SeriesTable, TableRows
from napari_stinr.plugin.widgets.theme import theme_colours

pytestmark = pytest.mark.qt

USE, ANGLE, TIME = range(3)
CONTROL, SHIFT, PLAIN = (getattr(Qt.KeyboardModifier, f"{name}Modifier") for name in ("Control", "Shift", "No"))


class Person:
    """Someone at the table, and what the table has told others meanwhile."""

    def __init__(self, table):
        self.table = table
        self.edited, self.refused, self.rows = [], [], []
        table.edited.connect(self.edited.append)
        table.refused.connect(self.refused.append)
        table.row_selected.connect(self.rows.append)

    def click(self, row, column, modifier=PLAIN):
        place = self.table.visualRect(self.table.model().index(row, column)).center()
        QTest.mouseClick(self.table.viewport(), Qt.MouseButton.LeftButton, modifier, place)

    def tick(self, row):
        rect = self.table.visualRect(self.table.model().index(row, USE))
        place = rect.center()
        place.setX(rect.left() + 10)
        QTest.mouseClick(self.table.viewport(), Qt.MouseButton.LeftButton, PLAIN, place)

    def press(self, key, modifier=PLAIN):
        QTest.keyClick(self.table, key, modifier)

    def type_into(self, row, column, text):
        self.click(row, column)
        self.press(Qt.Key.Key_F2)
        editor = next(line for line in self.table.findChildren(QLineEdit) if line.isVisible())
        editor.selectAll()
        QTest.keyClicks(editor, text)
        QTest.keyClick(editor, Qt.Key.Key_Return)
        # The editor hands its text over in a queued call.
        QApplication.processEvents()

    def paste(self, text):
        QGuiApplication.clipboard().setText(text)
        self.press(Qt.Key.Key_V, CONTROL)

    def copy(self):
        self.press(Qt.Key.Key_C, CONTROL)
        return QGuiApplication.clipboard().text()

    def sees(self, row, column):
        return self.table.model().index(row, column).data()


@pytest.fixture
def person(qtbot):
    table = SeriesTable()
    qtbot.addWidget(table)
    table.resize(300, 260)
    angles, times = np.arange(-4.0, 5.0, 2.0), 10.0 * np.arange(5)
    table.set_rows(angles, times, np.ones(5, bool), time_unit="s")
    show(qtbot, table)
    return Person(table)


def headings(table):
    return [table.model().headerData(column, Qt.Orientation.Horizontal) for column in range(3)]


def colour_at(table, row, column):
    rect = table.visualRect(table.model().index(row, column))
    return table.viewport().grab().toImage().pixelColor(rect.left() + 4, rect.center().y())


def test_columns_have_their_units(person):
    table = person.table
    assert headings(table) == ["Use", "Tilt angle (°)", "Time (s)"]
    table.set_rows([0.0], [0.0], [True], time_unit="")
    assert headings(table)[TIME] == "Time"
    assert [person.sees(0, ANGLE), person.sees(0, TIME)] == ["0", "0"]
    assert person.edited == []


def test_rows_of_a_series_in_several_files_tell_their_file(person):
    table = person.table
    tip = (Qt.Orientation.Vertical, Qt.ItemDataRole.ToolTipRole)
    assert table.model().headerData(1, *tip) is None
    table.set_rows([0.0, 3.0], [0.0, 1.0], [True, True], time_unit="s", files=["b.dm3", "a.dm3"])
    assert [table.model().headerData(row, *tip) for row in range(2)] == ["b.dm3", "a.dm3"]


def test_what_is_unknown_is_empty_and_red(person):
    table = person.table
    table.set_rows([1.0, np.nan], [0.0, 1.0], [True, True], time_unit="s")
    assert person.sees(1, ANGLE) == ""
    plain, red = colour_at(table, 0, ANGLE), colour_at(table, 1, ANGLE)
    assert red.red() > red.green() + 40
    assert abs(plain.red() - plain.green()) < 10
    person.type_into(1, ANGLE, "3.5")
    assert person.edited[-1].angles.tolist() == [1.0, 3.5]


def test_a_number_can_be_typed(person):
    person.type_into(1, ANGLE, "-1.75")
    person.type_into(2, TIME, "20,5")
    assert person.sees(1, ANGLE) == "-1.75"
    rows = person.edited[-1]
    assert isinstance(rows, TableRows)
    assert rows.angles.tolist() == [-4, -1.75, 0, 2, 4]
    assert rows.times.tolist() == [0, 10, 20.5, 30, 40]
    assert rows.used.all()
    assert len(person.edited) == 2


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        (ANGLE, "abc", "'abc' is not a number; the tilt angle of projection 2 stays -2"),
        (ANGLE, "190", "190° is not within ±180°; the tilt angle of projection 2 stays -2"),
        (TIME, "nan", "'nan' is not a number; the time of projection 2 stays 10"),
        (TIME, " ", "'' is not a number; the time of projection 2 stays 10"),
    ],
)
def test_rubbish_is_refused_with_the_reason(person, column, text, reason):
    before = person.sees(1, column)
    person.type_into(1, column, text)
    assert person.sees(1, column) == before
    assert person.refused == [reason]
    assert person.edited == []


def test_confirming_a_cell_does_not_round_what_is_behind_it(person):
    exact = 1.0 + 1e-14
    person.table.set_rows([exact] * 3, [0, 1, 2], [True] * 3, time_unit="s")
    person.type_into(0, ANGLE, "1")
    assert person.edited == []
    assert person.table.rows().angles[0] == exact


def test_a_tick_leaves_a_projection_out(person):
    person.tick(3)
    assert person.edited[-1].used.tolist() == [True, True, True, False, True]
    person.tick(3)
    assert person.edited[-1].used.all()


def test_space_switches_all_selected_rows(person):
    person.click(1, ANGLE)
    person.click(3, ANGLE, SHIFT)
    person.press(Qt.Key.Key_Space)
    assert person.edited[-1].used.tolist() == [True, False, False, False, True]
    person.press(Qt.Key.Key_Space)
    assert person.edited[-1].used.all()
    person.tick(2)
    person.click(1, TIME)
    person.click(3, TIME, SHIFT)
    person.press(Qt.Key.Key_Space)
    assert person.edited[-1].used.all(), "a mixed selection is all used first"


def test_the_selection_survives_an_answer_with_as_many_rows(person):
    person.click(1, ANGLE)
    person.click(2, ANGLE, SHIFT)
    rows = person.table.rows()
    person.table.set_rows(rows.angles, rows.times, rows.used, time_unit="s")
    person.press(Qt.Key.Key_Space)
    assert person.edited[-1].used.tolist() == [True, False, False, True, True]


def test_a_column_goes_to_a_spreadsheet_and_back(person):
    person.click(0, ANGLE)
    person.click(4, ANGLE, SHIFT)
    assert person.copy().split("\n") == ["-4", "-2", "0", "2", "4"]
    person.click(0, TIME)
    person.paste("1\r\n2,5\r\n3\r\n4\r\n5\r\n")
    assert person.edited[-1].times.tolist() == [1, 2.5, 3, 4, 5]
    assert len(person.edited) == 1
    person.click(3, ANGLE)
    person.paste("\N{MINUS SIGN}7\t100\n8\t200")
    assert person.edited[-1].angles.tolist() == [-4, -2, 0, -7, 8]
    assert person.edited[-1].times.tolist() == [1, 2.5, 3, 100, 200]
    person.click(0, ANGLE)
    person.press(Qt.Key.Key_Left)
    person.paste("0\n1\nno")
    assert person.edited[-1].used.tolist() == [False, True, False, True, True]


@pytest.mark.parametrize("text", ["1\nzwei\n3", "1\n2\n3\n4\n5\n6", "1\t2\t3", ""])
def test_a_paste_that_does_not_fit_changes_nothing(person, text):
    person.click(0, ANGLE)
    person.paste(text)
    assert person.edited == []
    assert len(person.refused) == 1
    assert person.table.rows().angles.tolist() == [-4, -2, 0, 2, 4]


def test_a_row_that_a_person_goes_to_is_told(person):
    person.click(2, TIME)
    person.press(Qt.Key.Key_Down)
    person.click(2, ANGLE)
    assert person.rows == [2, 3, 2]
    person.table.set_current(4)
    assert person.rows == [2, 3, 2]


def test_the_current_row_stands_out_and_is_scrolled_to(person):
    table = person.table
    n = 300
    table.set_colours(theme_colours("light"))
    table.set_rows(np.zeros(n), np.arange(n), np.ones(n, bool), time_unit="s")
    table.set_current(250)
    assert table.viewport().rect().contains(table.visualRect(table.model().index(250, ANGLE)))
    assert colour_at(table, 250, ANGLE) != colour_at(table, 249, ANGLE)
    table.set_current(-1)
    assert colour_at(table, 250, ANGLE) == colour_at(table, 249, ANGLE)


def test_the_keys_of_the_table_do_not_reach_napari(person):
    for key, modifier in ((Qt.Key.Key_Space, PLAIN), (Qt.Key.Key_C, CONTROL), (Qt.Key.Key_V, CONTROL)):
        event = QKeyEvent(QEvent.Type.ShortcutOverride, key, modifier)
        event.ignore()
        QApplication.sendEvent(person.table, event)
        assert event.isAccepted()


def test_columns_of_different_length_are_refused(person):
    with pytest.raises(ValueError, match="2 tilt angles, 1 times"):
        person.table.set_rows([0, 1], [0], [True], time_unit="s")


def test_a_docked_table_leaves_with_its_viewer(make_napari_viewer):
    viewer = make_napari_viewer()
    holder = QWidget()
    table = SeriesTable(holder)
    table.set_rows([0, 1], [0, 1], [True, False], time_unit="s")
    viewer.window.add_dock_widget(holder)
    viewer.close()
