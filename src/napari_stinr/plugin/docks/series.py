"""The page `Series`: what is reconstructed, with the angle and time of every projection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout

from napari_stinr.data.coverage import coverage_notes
from napari_stinr.errors import StinrError
from napari_stinr.plugin.canvas.layer_as_series import draft_of_layer, may_be_series
from napari_stinr.plugin.canvas.layer_data import entry_of, time_axis_of
from napari_stinr.plugin.canvas.telling import show_error, show_info
from napari_stinr.plugin.docks.base import Page, text_label
from napari_stinr.plugin.docks.series_form import SeriesForm
from napari_stinr.plugin.docks.series_state import SeriesState
from napari_stinr.plugin.session.chosen_config import held_out_problem
from napari_stinr.plugin.session.corrections import angles_from, times_from
from napari_stinr.plugin.session.file_filters import series_filter
from napari_stinr.plugin.session.findings import Act, Cure, Finding, findings_of
from napari_stinr.plugin.session.series_title import series_title
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.folding import Folding
from napari_stinr.plugin.widgets.table import SeriesTable, TableRows
from napari_stinr.plugin.widgets.time_plots import IntensityPlot

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.data.notes import Note
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.stack_facts import StackFacts
    from napari_stinr.plugin.widgets.theme import ThemeColours

_LAYER_HINT = "or use a layer …"
_LEAST_LETTERS = 8
"""Of a layer's name that are seen."""


class SeriesPage(Page):
    """Open a tilt series, and say what the files do not tell."""

    findings_changed = Signal()

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._is_read = ""
        tip = "Open a stack, or all files of a series with one file for every tilt, with lists of angles and times."
        self.open_button = self.button("Open…", tip, self.ask_for_files, Action.EDIT_SERIES)
        tip = "Open the folder of a series with one file for every tilt."
        self.folder_button = self.button("Folder…", tip, self.ask_for_folder, Action.EDIT_SERIES)
        self.layer_choice = QComboBox(self)
        self.layer_choice.setToolTip("Take a layer that is open already: projections along its first axis.")
        # As wide as there is room for, whatever the longest name is.
        self.layer_choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.layer_choice.setMinimumContentsLength(_LEAST_LETTERS)
        self.layer_choice.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)
        # A layer may have a name of any length.
        self.layer_choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.layer_choice.setMinimumContentsLength(8)
        self.layer_choice.activated.connect(self._on_layer_chosen)
        self._fill_column()
        for widget in (self.form, self.table, self.layer_choice):
            self.gate(widget, Action.EDIT_SERIES)
        self._connect()
        self.set_colours(self.colours)
        self._list_layers()
        self.update_buttons()
        self.update_series()

    def _fill_column(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.open_button)
        row.addWidget(self.folder_button)
        row.addWidget(self.layer_choice, 1)
        self.column.addLayout(row)
        self.title = text_label(self)
        self.column.addWidget(self.title)
        self.state = SeriesState(self, self.colours)
        self.column.addWidget(self.state)
        self.form = SeriesForm(self, self.colours)
        self.column.addWidget(self.form)
        self.plot = IntensityPlot(self)
        self.column.addWidget(self.plot)
        self.table = SeriesTable(self)
        self.column.addWidget(self.table, 1)
        self.notes = Folding("What was found in the files", self)
        self.notes_text = text_label(self)
        self.notes_text.setTextFormat(Qt.TextFormat.PlainText)
        self.notes.addWidget(self.notes_text)
        self.column.addWidget(self.notes)

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if hasattr(self, "notes_text"):
            self.plot.set_colours(colours)
            self.table.set_colours(colours)
            self.form.set_colours(colours)
            self.state.set_colours(colours)

    def catch_up(self) -> None:
        """Show the projection that the time slider has come to."""
        self._on_t_changed(self.binding.slider.t)

    def update_buttons(self) -> None:
        """Enable what is possible now: nothing while files are read, since what is read replaces the series."""
        super().update_buttons()
        if self._is_read:
            for widget in (self.open_button, self.folder_button, self.form, self.table, self.layer_choice):
                widget.setEnabled(False)
        reason = f"{self._is_read} is being read." if self._is_read else self.session.why_not(Action.EDIT_SERIES)
        self.state.permit(reason)

    def open_files(self, paths: list[Path]) -> None:
        """Open a tilt series, lists for it, or a reconstruction; one after the other."""
        if self._is_read:
            show_info(f"{self._is_read} is being read: wait for it, then drop again.")
        else:
            super().open_files(paths)

    def ask_for_files(self) -> None:
        """Let the person choose a stack or several files, and angles and times with them."""
        # Twenty endings behind each name would make the dialog wider than the screen.
        option = QFileDialog.Option.HideNameFilterDetails
        chosen, _ = QFileDialog.getOpenFileNames(self, "Open a tilt series", "", series_filter(), options=option)
        self.open_files([Path(name) for name in chosen])

    def ask_for_folder(self) -> None:
        """Let the person choose a folder with one file for every tilt."""
        chosen = QFileDialog.getExistingDirectory(self, "Open a folder with one file for every tilt")
        self.open_files([Path(chosen)] if chosen else [])

    def change(self, **values: Any) -> None:
        """Change values of :class:`SeriesDraft` by their names, as a script gives them."""
        if self.session.draft is not None:
            self._take(replace(self.session.draft, **values))

    def set_angles(self, source: str) -> None:
        """Take the angles from a file, from ``START:STEP``, or with "" as they were found."""
        draft, found = self.session.draft, self.session.found
        if draft is None or found is None:
            return
        if source:
            self._try(lambda: angles_from(draft, source), self.form.refuse_angles)
        else:
            self._take(replace(draft, tilt_angles=found.tilt_angles, angles_argument=found.angles_argument))

    def set_times(self, source: str) -> None:
        """Take the times from a file, from an acquisition order, or with "" as they were found."""
        draft, found = self.session.draft, self.session.found
        if draft is None or found is None:
            return
        if source:
            self._try(lambda: times_from(draft, source), self.form.refuse_times)
        else:
            as_found = {name: getattr(found, name) for name in ("times", "times_argument", "time_unit", "time_assumed")}
            self._take(replace(draft, **as_found))

    def update_series(self) -> None:
        """Show the series as it is now."""
        draft = self.session.draft
        self.form.show_draft(draft)
        for widget in (self.table, self.plot, self.notes):
            widget.setVisible(draft is not None)
        self._update_title()
        self.update_state()
        if draft is None:
            return
        names = [path.name for path in draft.paths] if len(draft.paths) > 1 else []
        self.table.set_rows(draft.tilt_angles, draft.times, draft.used, time_unit=draft.time_unit, files=names)
        self._on_t_changed(self.binding.slider.t)

    def update_state(self) -> None:
        """Say what is right, to be decided and wrong, and what the pixels tell as far as they have been looked at."""
        session, facts, draft = self.session, self.binding.facts, self.session.draft
        found: tuple[Finding, ...] = ()
        if draft is not None:
            found = findings_of(
                draft,
                session.config.preprocessing,
                facts=facts.facts,
                lost=facts.lost,
                estimate=session.estimate,
                settings_problem=held_out_problem(draft, session.config),
            )
        if found != self.state.findings:
            self.state.show_findings(found)
            self.findings_changed.emit()
        if draft is not None:
            self._show_facts(draft, facts.facts)

    def cure(self, cure: Cure) -> None:
        """Do what the button beside a finding stands for."""
        draft, change = self.session.draft, cure.change
        if change is not None and draft is not None:
            self._try(lambda: change(draft), show_error)
            # A button that chooses is pressed even where nothing came of it.
            self.state.show_findings(self.state.findings)
        elif cure.act is not None:
            self._act(cure.act)

    def _show_notes(self, *notes: Note) -> None:
        self.notes_text.setText("\n".join(f"· {note}" for note in notes) or "Nothing.")

    def _connect(self) -> None:
        binding = self.binding
        self.form.changed.connect(self._on_form_changed)
        self.form.angles_chosen.connect(self.set_angles)
        self.form.times_chosen.connect(self.set_times)
        self.form.crop_wanted.connect(self._on_crop_wanted)
        binding.crop.changed.connect(self._on_cropped)
        binding.crop.ended.connect(self._on_crop_ended)
        self.state.cured.connect(self.cure)
        self.table.edited.connect(self._on_table_edited)
        self.table.refused.connect(show_error)
        self.table.row_selected.connect(self._on_row_selected)
        binding.draft_changed.connect(self.update_series)
        binding.state_changed.connect(self.update_state)
        binding.config_changed.connect(self.update_state)
        binding.facts.changed.connect(self.update_state)
        binding.t_changed.connect(self._on_t_changed)
        binding.layers_changed.connect(self._list_layers)
        binding.polled.connect(self._watch_reading)

    def _watch_reading(self) -> None:
        is_read = next((task.reads for task in self.binding.tasks.running if task.reads), "")
        if is_read != self._is_read:
            self._is_read = is_read
            self.update_buttons()
            self._update_title()

    def _update_title(self) -> None:
        self.title.setText(series_title(self.session.draft, self._is_read))
        self.title.setToolTip("" if self.session.draft is None else self.session.draft.name)

    def _on_form_changed(self, values: dict[str, Any]) -> None:
        self.change(**values)

    def _on_cropped(self, crop: Any) -> None:
        self.change(crop=crop)

    def _on_crop_ended(self) -> None:
        self.form.set_cropping(False)

    def _on_crop_wanted(self, is_wanted: bool) -> None:
        if is_wanted and self.session.draft is not None:
            self.binding.crop.draw(self.session.draft)
        else:
            self.binding.crop.end()

    def _on_table_edited(self, rows: TableRows) -> None:
        if self.session.draft is not None:
            self._take(self.session.draft.with_rows(rows.angles, rows.times, rows.used))

    def _on_row_selected(self, row: int) -> None:
        self.binding.slider.go_to(row)

    def _on_t_changed(self, t: float) -> None:
        if not self.is_seen():
            return
        projection = self.binding.slider.projection
        if self.session.draft is not None and projection is not None:
            self.table.set_current(projection)

    def _on_layer_chosen(self, index: int) -> None:
        name, layers = self.layer_choice.itemText(index), self.binding.viewer.layers
        if index > 0 and name in layers:
            self._use_layer(layers[name])
        self._list_layers()

    def _use_layer(self, layer: Any) -> None:
        try:
            draft = draft_of_layer(layer)
        except (StinrError, OSError) as error:
            show_error(str(error))
            return
        if entry_of(layer, "draft") is None:
            # Ours shows the same array, with its time, place and units; two of them would lie over each other.
            self.binding.viewer.layers.remove(layer)
        self._take(draft)

    def _list_layers(self) -> None:
        with QSignalBlocker(self.layer_choice):
            self.layer_choice.clear()
            self.layer_choice.addItems([_LAYER_HINT])
            for layer in filter(may_be_series, self.binding.viewer.layers):
                self.layer_choice.addItem(layer.name)
                self.layer_choice.setItemData(self.layer_choice.count() - 1, layer.name, Qt.ItemDataRole.ToolTipRole)
            self.layer_choice.setCurrentIndex(0)

    def _try(self, make: Callable[[], SeriesDraft], refuse: Callable[[str], Any]) -> None:
        try:
            made = make()
        except StinrError as error:
            refuse(f"{error.found[:1].upper()}{error.found[1:]}; expected {error.expected}.")
        except OSError as error:
            refuse(str(error))
        else:
            self._take(made)

    def _take(self, draft: SeriesDraft) -> None:
        self.binding.set_draft(draft)

    def _act(self, act: Act) -> None:
        if act is Act.OPEN:
            self.ask_for_files()
            return
        if act is Act.SETTINGS:
            self.page_wanted.emit("Reconstruct")
            return
        self.page_wanted.emit("Series")
        form = self.form
        field = {
            Act.ANGLES: form.angles,
            Act.TIME: form.times,
            Act.PIXEL_SIZE: form.pixel_size,
            Act.AXIS_OFFSET: form.axis_offset,
            Act.CROP: form.crop,
        }[act]
        self._scroll.ensureWidgetVisible(field)
        field.setFocus(Qt.FocusReason.OtherFocusReason)
        if act is Act.TIME:
            form.times.showPopup()
        elif act is Act.CROP:
            form.crop.setChecked(True)
        else:
            field.selectAll()

    def _show_facts(self, draft: SeriesDraft, facts: StackFacts | None) -> None:
        notes = (*draft.notes, *coverage_notes(draft.tilt_angles, draft.used))
        if facts is None:
            self._show_notes(*notes)
            self.plot.set_data([], [], unit="", used=[])
            return
        margin = facts.edges.margin(draft.binned_shape[2], self.session.config.training.margin)
        note = facts.edges.note(margin)
        self._show_notes(*notes, *(() if note is None else (note,)))
        intensity = facts.sides - facts.intensity if draft.invert_contrast else facts.intensity
        label = time_axis_of(draft).label
        self.plot.set_data(draft.times, intensity, unit="", used=draft.used, time_label=label)
