"""The page `Reconstruct`: choose, and watch the training."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_stinr.io.output.targets import RUN_ENDING
from napari_stinr.plugin.canvas.residual_layers import ResidualLayers
from napari_stinr.plugin.docks.base import Page, text_label
from napari_stinr.plugin.docks.comparison_source import ComparisonSource
from napari_stinr.plugin.docks.queue_panel import QueuePanel
from napari_stinr.plugin.docks.run_files import RunFiles, ask_for_new_file
from napari_stinr.plugin.docks.run_settings import RunSettings
from napari_stinr.plugin.session.held_out_text import held_out_verdict
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.comparison import ComparisonView
from napari_stinr.plugin.widgets.folding import Folding
from napari_stinr.plugin.widgets.loss_plot import LossPlot

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.plugin.widgets.theme import ThemeColours
    from napari_stinr.training.schedule import StepReport

_TIP_WIDTH = 64
_RUN_FILTER = f"Reconstruction (*{RUN_ENDING})"


class ReconstructPage(Page):
    """Train a field on the tilt series and watch it: loss and residual on top, what was chosen below.

    While a training runs nothing can be chosen: the settings are folded then, and afterwards as they were before.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.plot = LossPlot(self)
        self.column.addWidget(self.plot)
        self.held_out_line = text_label(self)
        self.held_out_line.hide()
        self.column.addWidget(self.held_out_line)
        self.view = ComparisonView(self)
        self.column.addWidget(self.view)
        self.canvas_button = self.button(
            "Show residual on the canvas",
            "Show measured, predicted and residual of the projection at the time slider side by side.",
            self._on_canvas_button,
            Action.COMPARE_PROJECTIONS,
        )
        self.canvas_button.setCheckable(True)
        self.column.addWidget(self.canvas_button)
        self.files = RunFiles(self)
        self.settings = RunSettings(self)
        self.folding = Folding("Settings", self, is_folded=self.session.is_active)
        self.folding.addWidget(self.settings)
        self._was_unfolded = True
        self._was_active = self.session.is_active
        self.column.addWidget(self.folding)
        self.queue = QueuePanel(self)
        self.queue_folding = Folding(self.queue.title, self)
        self.queue_folding.addWidget(self.queue)
        self.column.addWidget(self.queue_folding)
        self.column.addWidget(self.files)
        self.column.addStretch(1)
        self.on_canvas = ResidualLayers(self.binding, self)
        self.watch = ComparisonSource(self.binding, self.view, self._is_compared)
        self._connect()
        self.set_colours(self.colours)
        self.settings.show_config()
        self._on_state_changed()
        self._has_missed = True

    @property
    def choices(self) -> Any:
        """Preset, quality, device, threads."""
        return self.settings.choices

    def _is_compared(self) -> bool:
        """Whether measured and predicted projection are looked at, here or on the canvas."""
        return self.is_seen() or self.on_canvas.is_shown

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if hasattr(self, "watch"):
            for widget in (self.plot, self.view, self.settings):
                widget.set_colours(colours)
            self._update_held_out()

    def catch_up(self) -> None:
        """Draw the losses that came while nobody was looking, and the projection of now."""
        log = self.session.log
        self.plot.clear_curves()
        self.plot.append(log.steps, log.losses, log.held_out, stages=log.stages)
        self._update_held_out()
        self.watch.update()

    def ask_for_run(self) -> None:
        """Let the person choose a run to go on with."""
        name, _ = QFileDialog.getOpenFileName(self, "Resume a run", "", f"{_RUN_FILTER};;All files (*)")
        if name:
            self.binding.attempt(lambda: self.session.start(resume=Path(name)))

    def ask_for_target(self) -> None:
        """Let the person choose where the reconstruction is saved."""
        path = ask_for_new_file(self, "Save the reconstruction", _RUN_FILTER, RUN_ENDING)
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

    def _connect(self) -> None:
        binding = self.binding
        self.settings.described.connect(lambda text: self.folding.setText(f"Settings: {text}"))
        self.files.resume_pressed.connect(self.ask_for_run)
        self.files.save_pressed.connect(self.ask_for_target)
        self.queue.title_changed.connect(self.queue_folding.setText)
        self.watch.predicted.connect(self._on_predicted)
        self.on_canvas.changed.connect(self.canvas_button.setChecked)
        binding.draft_changed.connect(self._on_state_changed)
        binding.state_changed.connect(self._on_state_changed)
        binding.run_started.connect(self._on_run_started)
        binding.run_left.connect(self._on_run_started)
        binding.run_taken_up.connect(self._on_run_taken_up)
        binding.preparing.connect(self.files.update_notes)
        binding.reported.connect(self._on_reported)
        binding.said.connect(self.files.say)

    def _on_canvas_button(self, is_wanted: bool) -> None:
        if is_wanted:
            self.on_canvas.show()
            self.watch.update()
        else:
            self.on_canvas.hide()

    def _on_predicted(self, measured: NDArray[np.float32], predicted: NDArray[np.float32]) -> None:
        if self.session.run_draft is not None:
            self.on_canvas.take(measured, predicted, self.session.run_draft)

    def _on_state_changed(self) -> None:
        self.update_buttons()
        self.files.update_notes()
        self.settings.show_estimate()
        self._update_held_out()
        was_active, self._was_active = self._was_active, self.session.is_active
        if self.session.is_active and not was_active:
            self._was_unfolded = self.folding.isExpanded()
            self.folding.collapse(animate=False)
        elif was_active and not self.session.is_active and self._was_unfolded:
            self.folding.expand(animate=False)

    def _update_held_out(self) -> None:
        """Say what the held-out loss means, and what to do about it."""
        log, is_running = self.session.log, self.session.is_active
        first = log.stages[-1][0] if log.stages else 1
        found = held_out_verdict(log.steps, log.losses, log.held_out, first=first, is_running=is_running)
        self.verdict(self.held_out_line, found.text, found.is_good)
        self.held_out_line.setToolTip(textwrap.fill(found.details, _TIP_WIDTH))
        self.held_out_line.setVisible(bool(found.text))

    def _on_run_started(self) -> None:
        self.plot.clear_curves()
        self._update_held_out()
        self.files.saved.hide()

    def _on_run_taken_up(self) -> None:
        self._on_run_started()
        if self.is_seen():
            self.catch_up()

    def _on_reported(self, reports: Sequence[StepReport]) -> None:
        if not self.is_seen():
            return
        self.plot.append(
            [report.step for report in reports],
            [report.loss for report in reports],
            [report.held_out_loss for report in reports],
            stages=self.session.log.stages,
        )
        if any(math.isfinite(report.held_out_loss) for report in reports):
            self._update_held_out()
