"""Makes movies of what the canvas shows: sets time and camera for each frame, waits for its volume, grabs the canvas.

The frames are written in the background. Afterwards the canvas shows what it did before.
"""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_stinr.io.output.movies import ffmpeg, write_movie
from napari_stinr.io.output.targets import check_output
from napari_stinr.plugin.canvas.telling import show_error, show_info
from napari_stinr.plugin.session.failures import written_text
from napari_stinr.plugin.session.movies import KeyFrame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.background import BackgroundTasks
    from napari_stinr.plugin.canvas.layers import ViewerLayers
    from napari_stinr.plugin.canvas.time_slider import TimeSlider
    from napari_stinr.plugin.session.movies import Movie
    from napari_stinr.plugin.session.tasks import Progress, Task

_EVERY = 5
"""Time between two looks at whether the next frame can be grabbed [ms]."""
_QUIET_LOOKS = 2
"""Looks in a row that must find nothing to wait for: what was computed before the first is shown at the second."""
_WAITING_FRAMES = 4
_PATIENCE = 0.1
"""Time after which the writing asks whether it is still wanted [s]."""


class MovieMaker(QObject):
    """The movies of one viewer, one at a time."""

    changed = Signal()
    """A movie has begun, a frame was grabbed, or it has ended."""

    def __init__(
        self, viewer: Any, slider: TimeSlider, layers: ViewerLayers, tasks: BackgroundTasks, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._slider, self._layers, self._tasks = viewer, slider, layers, tasks
        self.start_frame: KeyFrame | None = None
        self.end_frame: KeyFrame | None = None
        self.written: Path | None = None
        """The movie that was written last."""
        self._frames: list[KeyFrame] = []
        self._n_grabbed = self._n_quiet = 0
        self._is_looking = False
        self._before: tuple[KeyFrame, tuple[float, ...]] | None = None
        self._images: queue.Queue[NDArray[np.uint8]] = queue.Queue(_WAITING_FRAMES)
        self._task: Task[Any] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY)
        self._timer.timeout.connect(self._look)

    @property
    def is_running(self) -> bool:
        """Whether a movie is being made."""
        return self._task is not None

    @property
    def progress(self) -> tuple[int, int]:
        """Frames that have been grabbed, and all of them."""
        return self._n_grabbed, len(self._frames)

    def view(self) -> KeyFrame:
        """Return what is seen now."""
        camera = self._viewer.scene.camera
        return KeyFrame(
            self._slider.t,
            (_as_tuple(camera.view_direction), _as_tuple(camera.up_direction)),
            float(camera.zoom),
            _as_tuple(camera.center),
        )

    def set_start(self) -> None:
        """Let movies begin with what is seen now."""
        self.start_frame = self.view()
        self.changed.emit()

    def set_end(self) -> None:
        """Let movies end with what is seen now."""
        self.end_frame = self.view()
        self.changed.emit()

    def forget_frames(self) -> None:
        """Let movies show what is seen when they are made, from the first time to the last."""
        self.start_frame = self.end_frame = None
        self.changed.emit()

    def make(self, movie: Movie, path: Path) -> None:
        """Make a movie in the background; while another one is made, nothing happens.

        Parameters
        ----------
        movie : Movie
            What is seen when.
        path : Path
            File to write, ending in ``.mp4`` or ``.gif``; one that is there is replaced.

        Raises
        ------
        StinrError
            FFmpeg is not installed, or the file cannot be written.
        """
        if self.is_running:
            return
        ffmpeg()
        check_output(path, endings=(path.suffix.lower(),))
        self._frames, self._n_grabbed = movie.frames(), 0
        images = self._images = queue.Queue(_WAITING_FRAMES)
        n_frames = len(self._frames)

        def write(progress: Progress) -> Path:
            frames = _taken(images, n_frames, progress)
            write_movie(path, frames, frames_per_second=movie.frames_per_second)
            return path

        self._before = self.view(), tuple(self._viewer.dims.point)
        self._task = self._tasks.run(
            f"movie {path.name}", write, self._on_written, on_error=self._on_failed, on_cancelled=self._on_ended
        )
        self._place()
        self._timer.start()
        self.changed.emit()

    def cancel(self) -> None:
        """End the movie; no file is left, and one that was there stays as it was."""
        if self._task is not None:
            self._task.progress.cancel()
            self._end_grabbing()

    def close(self) -> None:
        """Let go of the viewer."""
        self._timer.stop()
        self._before = None

    def _look(self) -> None:
        # A progress bar of napari lets Qt handle events, and with them this timer.
        if self._is_looking or self._images.full():
            return
        self._is_looking = True
        try:
            # Somebody may have moved it meanwhile.
            self._place()
            self._n_quiet = 0 if self._is_busy() else self._n_quiet + 1
            if self._n_quiet >= _QUIET_LOOKS:
                self._grab()
        finally:
            self._is_looking = False

    def _grab(self) -> None:
        image = np.asarray(self._viewer.screenshot(canvas_only=True, flash=False))
        self._images.put_nowait(np.ascontiguousarray(image[..., :3]))
        self._n_grabbed, self._n_quiet = self._n_grabbed + 1, 0
        if self._n_grabbed == len(self._frames):
            self._end_grabbing()
        else:
            self._place()
        self.changed.emit()

    def _place(self) -> None:
        self._show(self._frames[self._n_grabbed])

    def _show(self, frame: KeyFrame) -> None:
        camera = self._viewer.scene.camera
        self._slider.set_t(frame.t)
        if self._viewer.dims.ndisplay == 3:
            camera.set_view_direction(*frame.directions)
        camera.center, camera.zoom = frame.center, frame.zoom

    def _is_busy(self) -> bool:
        streams = [layer.data for layer in self._viewer.layers if layer.visible]
        is_computing = any(getattr(data, "is_busy", False) for data in streams)
        stream = self._layers.stream
        is_computing = is_computing or (stream is not None and stream.is_busy)
        return is_computing or not all(layer.loaded for layer in self._viewer.layers if layer.visible)

    def _end_grabbing(self) -> None:
        """Show again what was seen before."""
        self._timer.stop()
        before, self._before = self._before, None
        if before is not None:
            frame, point = before
            self._show(frame)
            if len(point) == self._viewer.dims.ndim:
                self._viewer.dims.set_point(range(len(point)), point)

    def _on_written(self, path: Path) -> None:
        self.written = path
        self._on_ended()
        show_info(written_text(path))

    def _on_failed(self, problem: str) -> None:
        self._on_ended()
        show_error(problem)

    def _on_ended(self) -> None:
        self._end_grabbing()
        self._task = None
        self.changed.emit()


def _taken(images: queue.Queue[NDArray[np.uint8]], n_frames: int, progress: Progress) -> Iterator[NDArray[np.uint8]]:
    for done in range(n_frames):
        image = None
        while image is None:
            progress(done, n_frames)
            try:
                image = images.get(timeout=_PATIENCE)
            except queue.Empty:
                continue
        yield image
    progress(n_frames, n_frames)


def _as_tuple(values: Any) -> tuple[float, float, float]:
    z, y, x = (float(value) for value in values)
    return z, y, x
