"""Napari's slider of time: where it stands, in t, in physical time and in projections, and how it is moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_stinr.plugin.canvas.streaming import VolumeStream
    from napari_stinr.plugin.session.time_axis import TimeAxis


class TimeSlider:
    """The part of :class:`ViewerLayers` that reads and moves the slider of the axis t."""

    _viewer: ViewerModel
    _series_axis: TimeAxis
    stream: VolumeStream | None

    @property
    def axis(self) -> TimeAxis:
        """The time axis of the reconstruction, or of the series before there is one."""
        return self._series_axis if self.stream is None else self.stream.axis

    @property
    def t(self) -> float:
        """Where the time slider stands, 0 to 1 [t]."""
        axis = self._viewer.dims.ndim - 4
        if axis < 0:
            return 0.0
        return float(np.clip(self.axis.t_of_physical(float(self._viewer.dims.point[axis])), 0.0, 1.0))

    def set_t(self, t: float) -> None:
        """Move the time slider to a time, 0 to 1 [t]."""
        self.set_time(self.axis.physical(self.axis.t_of(self.axis.step_of(t))))

    def go_to(self, projection: int) -> None:
        """Move the time slider to a projection of the series, by its position in the stack."""
        axis = self._series_axis
        if projection < len(axis.step_of_projection):
            self.set_time(axis.physical(axis.t_of(int(axis.step_of_projection[projection]))))

    def set_time(self, time: float) -> None:
        """Move the time slider to a physical time, in the unit of the series."""
        axis = self._viewer.dims.ndim - 4
        if axis >= 0:
            self._viewer.dims.set_point(axis, time)

    @property
    def projection(self) -> int | None:
        """Position in the stack of the projection at the time slider; None where no series is shown."""
        axis, times = self._viewer.dims.ndim - 4, self._series_axis
        if axis < 0 or not len(times.projection_at):
            return None
        return int(times.projection_at[times.step_of(times.t_of_physical(float(self._viewer.dims.point[axis])))])
