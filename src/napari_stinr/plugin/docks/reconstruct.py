"""The page `Reconstruct`: choose, and watch the training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QLabel
from superqt import QCollapsible

from napari_stinr.config import ReconstructionConfig, read_settings_text
from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import RUN_ENDING
from napari_stinr.plugin.docks.base import Page, text_label
from napari_stinr.plugin.docks.comparison_source import ComparisonSource
from napari_stinr.plugin.docks.run_choices import RunChoices
from napari_stinr.plugin.docks.run_files import RunFiles
from napari_stinr.plugin.session.scripts import python_script, save_settings
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.comparison import ComparisonView
from napari_stinr.plugin.widgets.config_form import ConfigForm
from napari_stinr.plugin.widgets.loss_plot import LossPlot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stinr.plugin.widgets.theme import ThemeColours
    from napari_stinr.training.schedule import StepReport

_RUN_FILTER = f"Reconstruction (*{RUN_ENDING})"


class ReconstructPage(Page):
    """Train a field on the tilt series and watch it."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.plot = LossPlot(self)
        self.column.addWidget(self.plot)
        self.choices = RunChoices(self)
        self.column.addWidget(self.choices)
        self.estimate = text_label(self)
        self.column.addWidget(self.estimate)
        self.files = RunFiles(self)
        self.column.addWidget(self.files)
        self.view = ComparisonView(self)
        self.column.addWidget(self.view)
        self.advanced = QCollapsible("Advanced", self)
        self.form = ConfigForm(self)
        self.advanced.addWidget(self.form)
        self.column.addWidget(self.advanced)
        self.column.addLayout(self._script_buttons())
        self.column.addStretch(1)
        self.watch = ComparisonSource(self.binding, self.view, self.is_seen)
        for widget in (self.form, self.choices):
            self.gate(widget, Action.EDIT_SETTINGS)
        self._connect()
        self.set_colours(self.colours)
        self._on_config_changed()
        self._on_state_changed()
        self._has_missed = True

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if hasattr(self, "watch"):
            for widget in (self.plot, self.view, self.form):
                widget.set_colours(colours)
            self._update_estimate()

    def catch_up(self) -> None:
        """Draw the losses that came while nobody was looking, and the projection of now."""
        log = self.session.log
        self.plot.clear_curves()
        self.plot.append(log.steps, log.losses, log.held_out, stages=log.stages)
        self.watch.update()

    def ask_for_run(self) -> None:
        """Let the person choose a run to go on with."""
        name, _ = QFileDialog.getOpenFileName(self, "Resume a run", "", f"{_RUN_FILTER};;All files (*)")
        if name:
            self.binding.attempt(lambda: self.session.start(resume=Path(name)))

    def ask_for_target(self) -> None:
        """Let the person choose where the reconstruction is saved."""
        path = _ask_for_new_file(self, "Save the reconstruction", _RUN_FILTER, RUN_ENDING)
        if path is not None:
            self.save_run(path)

    def save_run(self, path: Path) -> None:
        """Save the newest reconstruction in the background, over a file that is there."""
        reconstruction = self.session.reconstruction
        if reconstruction is not None:
            self.binding.run(
                f"save {path.name}",
                lambda _: reconstruction.save(path),
                lambda _: self.binding.said.emit(f"Saved as {path}", False),
            )

    def ask_for_settings(self) -> None:
        """Let the person choose settings to load."""
        name, _ = QFileDialog.getOpenFileName(self, "Load settings", "", "Settings (*.yaml *.yml);;All files (*)")
        if name:
            self.binding.attempt(lambda: self.load_settings(Path(name)))

    def load_settings(self, path: Path) -> None:
        """Take the settings from YAML that :meth:`save_settings` or ``stinr info RUN`` gave."""
        self.session.customise(ReconstructionConfig.from_yaml(read_settings_text(path)))

    def ask_for_settings_target(self) -> None:
        """Let the person choose where the settings are saved."""
        path = _ask_for_new_file(self, "Save settings", "Settings (*.yaml)", ".yaml")
        if path is not None:
            self.binding.attempt(lambda: self.save_settings(path))

    def save_settings(self, path: Path) -> None:
        """Write the settings as YAML, headed by the command that repeats the run."""
        written = save_settings(path, self.session.draft, self.session.config)
        show_info("Saved " + ", ".join(file.name for file in written))

    def copy_script(self) -> None:
        """Put the Python for this reconstruction on the clipboard."""
        session = self.session
        if session.draft is None:
            return
        script = python_script(session.draft, session.config, device=session.device, threads=session.threads)
        QApplication.clipboard().setText(script)
        show_info("The Python for this reconstruction is on the clipboard.")

    def _script_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Settings", self))
        row.addWidget(self.button("Load…", "Take the settings from YAML.", self.ask_for_settings, Action.EDIT_SETTINGS))
        row.addWidget(
            self.button(
                "Save…",
                "Write the settings as YAML, for stinr train.",
                self.ask_for_settings_target,
                Action.SAVE_SETTINGS,
            )
        )
        self.script_button = self.button(
            "Copy as script", "Put the Python for this run on the clipboard.", self.copy_script, Action.COPY_SCRIPT
        )
        row.addWidget(self.script_button)
        return row

    def _connect(self) -> None:
        binding = self.binding
        self.form.changed.connect(self._on_form_changed)
        self.files.resume_pressed.connect(self.ask_for_run)
        self.files.save_pressed.connect(self.ask_for_target)
        binding.config_changed.connect(self._on_config_changed)
        binding.draft_changed.connect(self._on_state_changed)
        binding.state_changed.connect(self._on_state_changed)
        binding.run_started.connect(self._on_run_started)
        binding.run_left.connect(self._on_run_started)
        binding.preparing.connect(self.files.update_notes)
        binding.reported.connect(self._on_reported)
        binding.said.connect(self.files.say)

    def _on_form_changed(self) -> None:
        try:
            config = self.form.config()
        except StinrError:
            return  # the form shows what is wrong, and the last valid settings stay
        self.binding.attempt(lambda: self.session.customise(config))

    def _on_config_changed(self) -> None:
        self.choices.show_choices()
        self._update_estimate()
        try:
            is_same = self.form.config() == self.session.config
        except StinrError:
            is_same = False
        if not is_same:
            self.form.set_config(self.session.config)

    def _on_state_changed(self) -> None:
        self.update_buttons()
        self.files.update_notes()
        self._update_estimate()

    def _on_run_started(self) -> None:
        self.plot.clear_curves()
        self.files.saved.hide()

    def _on_reported(self, reports: Sequence[StepReport]) -> None:
        if not self.is_seen():
            return
        self.plot.append(
            [report.step for report in reports],
            [report.loss for report in reports],
            [report.held_out_loss for report in reports],
            stages=self.session.log.stages,
        )

    def _update_estimate(self) -> None:
        session = self.session
        if session.estimate is None:
            self.estimate.setStyleSheet("")
            self.estimate.setText(self.binding.requirements.problem)
        elif session.estimate.problem:
            self.verdict(self.estimate, session.estimate.problem, False)
        else:
            self.estimate.setStyleSheet("")
            self.estimate.setText(session.estimate.text)


def _ask_for_new_file(parent: Page, title: str, file_filter: str, ending: str) -> Path | None:
    """Let a person choose a file to write; Qt asks before one is replaced, also where it adds the ending."""
    dialog = QFileDialog(parent, title, "", file_filter)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(ending.lstrip("."))
    return Path(dialog.selectedFiles()[0]) if dialog.exec() else None
