"""Napari's slider of time: where it stands, in t, in physical time and in projections, and how it is moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.plugin.session.time_axis import TimeAxis

if TYPE_CHECKING:
    from napari.components import ViewerModel


class TimeSlider:
    """The slider of the axis t of a viewer; where no layer has that axis, it stands at t = 0 and does not move."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.series_axis = TimeAxis()
        """Time axis of the series that is shown."""
        self.volume_axis: TimeAxis | None = None
        """Time axis of the 4D volume; None while there is none."""

    @property
    def axis(self) -> TimeAxis:
        """The time axis of the reconstruction, or of the series before there is one."""
        return self.series_axis if self.volume_axis is None else self.volume_axis

    @property
    def t(self) -> float:
        """Where the time slider stands, 0 to 1 [t]."""
        time = self._time()
        return 0.0 if time is None else float(np.clip(self.axis.t_of_physical(time), 0.0, 1.0))

    @property
    def projection(self) -> int | None:
        """Position in the stack of the projection at the time slider; None where no series is shown."""
        time, axis = self._time(), self.series_axis
        if time is None or not len(axis.projection_at):
            return None
        return int(axis.projection_at[axis.step_of(axis.t_of_physical(time))])

    def set_t(self, t: float) -> None:
        """Move the time slider to the step nearest to a time, 0 to 1 [t]."""
        self.set_step(self.axis.step_of(t))

    def set_step(self, step: int) -> None:
        """Move the time slider to a step of its axis."""
        self._move(self.axis, step)

    def go_to(self, projection: int) -> None:
        """Move the time slider to a projection of the series, by its position in the stack."""
        axis = self.series_axis
        if projection < len(axis.step_of_projection):
            self._move(axis, int(axis.step_of_projection[projection]))

    def _time(self) -> float | None:
        """Where the slider stands in physical time [unit of the series]; None where there is no axis t."""
        number = self._viewer.dims.ndim - 4
        return float(self._viewer.dims.point[number]) if number >= 0 else None

    def _move(self, axis: TimeAxis, step: int) -> None:
        number = self._viewer.dims.ndim - 4
        if number >= 0:
            self._viewer.dims.set_point(number, axis.physical(axis.t_of(step)))
