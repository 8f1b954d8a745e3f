"""What a person does to a pose by hand on the canvas: the tilt axis, and single projections; one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_stinr.plugin.canvas.axis_line import AxisLine
from napari_stinr.plugin.canvas.nudging import Nudging
from napari_stinr.plugin.session.alignment_run import nudged
from napari_stinr.plugin.session.alignment_slice import preview_slice, summed

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.plugin.canvas.aligner import Aligner
    from napari_stinr.plugin.canvas.time_slider import TimeSlider
    from napari_stinr.plugin.session.alignment_run import SeriesView


class ByHand(QObject):
    """Work by hand on the pose of one viewer; `run` is that of the `BackgroundTasks`."""

    changed = Signal()
    """Something was begun or ended."""
    axis_moved = Signal(float, float)
    """The person drags the axis: its offset [pixel of the prepared projections] and turn [degrees]."""
    slice_ready = Signal(object)
    """`(depth, width)` slice at the pose that was asked for last."""

    def __init__(
        self, viewer: ViewerModel, slider: TimeSlider, aligner: Aligner, run: Callable[..., Any], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._aligner, self._session, self._run = aligner, aligner.session, run
        self.axis, self.nudging = AxisLine(viewer, self), Nudging(viewer, slider, self)
        self.is_maximum = False
        self.row: int | None = None
        """Row of which a slice is wanted, None for the middle one [pixel of the prepared projections]."""
        self._wish: tuple[Pose, int] | None = None
        self._is_slicing = False
        self._picture_of: tuple[SeriesView, Any, bool] | None = None
        self.axis.moved.connect(self._on_axis_moved)
        self.axis.ended.connect(self.changed.emit)
        self.nudging.nudged.connect(self._on_nudged)
        self.nudging.shown_changed.connect(self.changed.emit)
        self.nudging.ended.connect(self.changed.emit)
        aligner.changed.connect(self._follow)
        self._session.draft_changed.connect(self._on_draft_changed)
        self._session.run_started.connect(self.end)

    def show_axis(self) -> None:
        """Draw the axis over the sum or maximum of the projections; in a moment, where that is to be computed."""
        view, pose = self._aligner.view, self._aligner.pose
        if view is None or pose is None:
            return
        self.nudging.end()
        is_maximum = self.is_maximum
        if self._picture_of is not None and self._is_picture(view, pose):
            self._draw_axis(self._picture_of[1][2])
            return

        def take(image: NDArray[Any]) -> None:
            self._picture_of = view, (pose.dx, pose.dy, image), is_maximum
            if self._aligner.view is view and not self.nudging.is_on:
                self._draw_axis(image)

        self._run("add up projections", lambda _: summed(view, pose, is_maximum=is_maximum), take, bar=False)

    def move_projections(self) -> None:
        """Show the aligned projections, and let arrow keys move them."""
        view, pose, draft = self._aligner.view, self._aligner.pose, self._session.draft
        if view is not None and pose is not None and draft is not None:
            self.axis.end()
            self.nudging.begin(view, pose, draft)
            self.changed.emit()

    def set_axis(self, offset: float, turn: float) -> None:
        """Put the axis somewhere [pixel of the prepared projections, degrees]."""
        pose = self._aligner.pose
        if pose is not None and (offset, turn) != (pose.axis_offset, pose.axis_rotation):
            moved = replace(pose, axis_offset=offset, axis_rotation=turn)
            self._aligner.move_by_hand(moved, "move the axis", kind="")

    def want_slice(self, pose: Pose | None = None) -> None:
        """Compute the slice at a pose, or at the known one; only the last that is wanted is computed."""
        view, pose = self._aligner.view, self._aligner.pose if pose is None else pose
        if view is None or pose is None:
            return
        middle = view.shape[0] // 2
        self._wish = pose, middle if self.row is None else min(self.row, view.shape[0] - 1)
        self._slice()

    def end(self) -> None:
        """Leave the canvas as it was."""
        self.axis.end()
        self.nudging.end()

    def close(self) -> None:
        """Let go of the viewer."""
        self.axis.close()
        self.nudging.close()

    def _draw_axis(self, image: NDArray[Any]) -> None:
        view, pose = self._aligner.view, self._aligner.pose
        if view is not None and pose is not None:
            self.axis.show(image, view, offset=pose.axis_offset, turn=pose.axis_rotation)
            self.changed.emit()

    def _is_picture(self, view: SeriesView, pose: Pose) -> bool:
        assert self._picture_of is not None
        of, (dx, dy, _), is_maximum = self._picture_of
        is_same = np.array_equal(dx, pose.dx) and np.array_equal(dy, pose.dy)
        return of is view and is_same and is_maximum is self.is_maximum

    def _slice(self) -> None:
        view, wish = self._aligner.view, self._wish
        if self._is_slicing or wish is None or view is None:
            return
        (pose, row), self._wish, self._is_slicing = wish, None, True

        def take(image: NDArray[Any]) -> None:
            self._is_slicing = False
            self.slice_ready.emit(image)
            self._slice()

        def fail(problem: str) -> None:
            self._is_slicing = False

        self._run("slice", lambda _: preview_slice(view, pose, row=row), take, on_error=fail, bar=False)

    def _on_axis_moved(self, offset: float, turn: float, is_final: bool) -> None:
        pose = self._aligner.pose
        if pose is None:
            return
        self.axis_moved.emit(offset, turn)
        if is_final:
            self.set_axis(offset, turn)
        else:
            self.want_slice(replace(pose, axis_offset=offset, axis_rotation=turn))

    def _on_nudged(self, projection: int, x: float, y: float) -> None:
        pose = self._aligner.pose
        if pose is not None:
            title = f"move projection {projection + 1}"
            self._aligner.move_by_hand(nudged(pose, projection, x=x, y=y), title, kind=title)

    def _follow(self) -> None:
        """Show the pose as it is now, whatever has changed it."""
        pose = self._aligner.pose
        if self._aligner.view is None or pose is None:
            self.end()
            return
        self.nudging.set_pose(pose)
        if self.axis.is_shown:
            self.axis.set_axis(pose.axis_offset, pose.axis_rotation)

    def _on_draft_changed(self, _: Any) -> None:
        self.end()
