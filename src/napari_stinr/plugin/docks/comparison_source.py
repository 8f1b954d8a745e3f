"""Keeps measured, predicted and residual projection up to date with the time slider and with the newest snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.plugin.canvas.binding import ViewerBinding
    from napari_stinr.plugin.session.tasks import Progress
    from napari_stinr.plugin.widgets.comparison import ComparisonView
    from napari_stinr.reconstruction import Reconstruction


class ComparisonSource(QObject):
    """Predicts the projection at the time slider, one at a time: what was missed meanwhile is passed over."""

    predicted = Signal(object, object)
    """`(height, width)` projection as it was trained on, and as the field predicts it."""

    def __init__(self, binding: ViewerBinding, view: ComparisonView, is_seen: Callable[[], bool]) -> None:
        super().__init__(view)
        self._binding, self._view, self._is_seen = binding, view, is_seen
        self._is_busy = self._is_stale = False
        self._series: TiltSeries | None = None
        binding.t_changed.connect(self.update)
        binding.reconstruction_changed.connect(self.update)
        binding.run_started.connect(self.forget)
        binding.run_left.connect(self.forget)
        binding.run_taken_up.connect(self.forget)

    def forget(self) -> None:
        """Start with an empty view."""
        self._series = None
        self._view.clear()

    def update(self) -> None:
        """Show the projection of the current time."""
        session, axis = self._binding.session, self._binding.slider.axis
        reconstruction, draft = session.reconstruction, session.run_draft
        if reconstruction is None or draft is None or not len(axis.projection_at) or not self._is_seen():
            return
        if self._is_busy:
            self._is_stale = True
            return
        known = session.series or self._series
        tilt = int(axis.projection_at[axis.step_of(self._binding.slider.t)])

        def predict(_: Progress) -> tuple[TiltSeries, int, NDArray[Any], Reconstruction]:
            from napari_stinr.reconstruction.prediction import predict_projections

            series = known or draft.series()
            return series, tilt, predict_projections(reconstruction, series, [tilt])[0], reconstruction

        self._is_busy, self._is_stale = True, False
        self._binding.run("predict", predict, self._show, on_error=self._on_error, bar=False)

    def _show(self, found: tuple[TiltSeries, int, NDArray[Any], Reconstruction]) -> None:
        series, tilt, predicted, reconstruction = found
        self._is_busy = False
        if reconstruction.provenance.get("fingerprint") in (None, self._fingerprint()):
            self._series = series
            angle, t = series.tilt_angles[tilt], series.times[tilt]
            caption = f"Projection {tilt + 1} of {series.n_tilts}: {angle:.4g}°, t = {t:.3f}"
            self._view.set_images(series.projections[tilt], predicted, caption=caption)
            self.predicted.emit(series.projections[tilt], predicted)
        if self._is_stale:
            self.update()

    def _fingerprint(self) -> str | None:
        current = self._binding.session.reconstruction
        return None if current is None else current.provenance.get("fingerprint")

    def _on_error(self, problem: str) -> None:
        self._is_busy = False
        self._view.clear()
