"""The settings of `Reconstruct`: the few choices, what they will need, everything else, and files of settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from napari_stinr.config import ReconstructionConfig, read_settings_text
from napari_stinr.errors import StinrError
from napari_stinr.plugin.canvas.telling import show_info
from napari_stinr.plugin.docks.base import text_label
from napari_stinr.plugin.docks.run_choices import RunChoices
from napari_stinr.plugin.docks.run_files import ask_for_new_file
from napari_stinr.plugin.session.scripts import python_script, save_settings
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.config_form import ConfigForm
from napari_stinr.plugin.widgets.folding import Folding

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page
    from napari_stinr.plugin.widgets.theme import ThemeColours


class RunSettings(QWidget):
    """Preset, quality, device and threads; the estimate; `Advanced`; load, save, copy as script."""

    described = Signal(str)
    """The settings in a few words, for the title of the folded part."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._page, self._session, self._binding = page, page.session, page.binding
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.choices = RunChoices(page)
        column.addWidget(self.choices)
        self.estimate = text_label(self)
        column.addWidget(self.estimate)
        self.advanced = Folding("Advanced", self)
        self.form = ConfigForm(self)
        self.advanced.addWidget(self.form)
        column.addWidget(self.advanced)
        column.addLayout(self._script_buttons())
        for widget in (self.form, self.choices):
            page.gate(widget, Action.EDIT_SETTINGS)
        self.form.changed.connect(self._on_form_changed)
        self._binding.config_changed.connect(self.show_config)

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        self.form.set_colours(colours)
        self.show_estimate()

    def show_config(self) -> None:
        """Show the settings that the session has."""
        session = self._session
        self.choices.show_choices()
        self.show_estimate()
        quality = "Custom" if session.is_customised else session.quality
        self.described.emit(f"{session.preset}, {quality}")
        try:
            is_same = self.form.config() == session.config
        except StinrError:
            is_same = False
        if not is_same:
            self.form.set_config(session.config)

    def show_estimate(self) -> None:
        """Show what a run is expected to need."""
        session = self._session
        if session.estimate is None:
            self.estimate.setStyleSheet("")
            self.estimate.setText(self._binding.requirements.problem)
        elif session.estimate.problem:
            self._page.verdict(self.estimate, session.estimate.problem, False)
        else:
            self.estimate.setStyleSheet("")
            self.estimate.setText(session.estimate.text)
        self.estimate.setVisible(bool(self.estimate.text()))

    def ask_for_settings(self) -> None:
        """Let the person choose settings to load."""
        name, _ = QFileDialog.getOpenFileName(self, "Load settings", "", "Settings (*.yaml *.yml);;All files (*)")
        if name:
            self._binding.attempt(lambda: self.load_settings(Path(name)))

    def load_settings(self, path: Path) -> None:
        """Take the settings from YAML that :meth:`save_settings` or ``stinr info RUN`` gave."""
        self._session.customise(ReconstructionConfig.from_yaml(read_settings_text(path)))

    def ask_for_settings_target(self) -> None:
        """Let the person choose where the settings are saved."""
        path = ask_for_new_file(self, "Save settings", "Settings (*.yaml)", ".yaml")
        if path is not None:
            self._binding.attempt(lambda: self.save_settings(path))

    def save_settings(self, path: Path) -> None:
        """Write the settings as YAML, headed by the command that repeats the run."""
        session = self._session
        written = save_settings(path, session.draft, session.config, pose=session.pose)
        names = ", ".join(file.name for file in written)
        show_info(f"Saved the settings.\n{names}. {session.pose_of_script}")

    def copy_script(self) -> None:
        """Put the Python for this reconstruction on the clipboard."""
        session = self._session
        if session.draft is None:
            return
        script = python_script(
            session.draft, session.config, device=session.device, threads=session.threads, pose=session.pose
        )
        QApplication.clipboard().setText(script)
        show_info(f"The Python for this run is on the clipboard.\n{session.pose_of_script}")

    def _script_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        page = self._page
        for text, tip, pressed, action in (
            ("Load…", "Take the settings from a YAML file.", self.ask_for_settings, Action.EDIT_SETTINGS),
            (
                "Save…",
                "Write the settings as YAML, for stinr train.",
                self.ask_for_settings_target,
                Action.SAVE_SETTINGS,
            ),
        ):
            row.addWidget(page.button(text, tip, pressed, action))
        self.script_button = page.button(
            "Copy as script", "Put the Python for this run on the clipboard.", self.copy_script, Action.COPY_SCRIPT
        )
        row.addWidget(self.script_button)
        return row

    def _on_form_changed(self) -> None:
        try:
            config = self.form.config()
        except StinrError:
            return  # the form shows what is wrong, and the last valid settings stay
        self._binding.attempt(lambda: self._session.customise(config))
