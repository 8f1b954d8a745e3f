"""The 4D layer: a volume at the slider's t, computed when napari asks for it.

napari asks in the thread of the window. What is quick is computed there and then; what is not is computed in a thread
of its own, which drops everything but the newest wish, and until it is there the last volume stays. A stream that
nobody looks at can rest: it has neither thread nor samples then, and both come back when napari asks again.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.plugin.canvas.layer_data import field_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.plugin.session.time_axis import TimeAxis
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.reconstruction.sampled_field import Part, SampledField

logger = logging.getLogger(__name__)

CACHE_BYTES = 256_000_000
"""Memory for volumes of times that were looked at already."""
_NEVER_AS_ARRAY = 2_000_000_000
"""Bytes of a 4D series above which it is not put together in memory at all."""
_Wish = tuple[int, int, tuple[tuple[int, int, int], ...]]


class VolumeStream:
    """What napari sees as an array `(t, z, y, x)`.

    Parameters
    ----------
    axis : TimeAxis
        Times of the steps along the first axis.
    shape : tuple of int
        Voxels (z, y, x).
    on_ready : callable, optional
        Called in another thread when something that was asked for has been computed, or a new field sampled.
    """

    def __init__(
        self, axis: TimeAxis, shape: tuple[int, int, int], *, on_ready: Callable[[], None] | None = None
    ) -> None:
        self.axis = axis
        self.shape = (axis.n_steps, *shape)
        self.dtype, self.ndim, self.size = np.dtype(np.float32), 4, int(np.prod(self.shape))
        self.on_ready = on_ready
        self.computed = self.dropped = 0
        self._field: SampledField | None = None
        self._limits: tuple[float, float] | None = None
        self._version = 0
        self._source: Reconstruction | None = None
        self._next: Reconstruction | None = None
        self._wish: _Wish | None = None
        self._cache: OrderedDict[_Wish, NDArray[np.float32]] = OrderedDict()
        self._shown: dict[tuple[int, ...], NDArray[np.float32]] = {}
        self._closed = self._is_working = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def show(self, reconstruction: Reconstruction) -> None:
        """Show another field on the same grid from now on; the old one stays until it is sampled."""
        with self._changed:
            if self._closed:
                return
            self._source = self._next = reconstruction
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="stinr-streaming", daemon=True)
                self._thread.start()
            self._changed.notify()

    @property
    def is_resting(self) -> bool:
        """Whether there is no thread, before the first field or after :meth:`rest`."""
        return self._thread is None

    def rest(self, *, wait: bool = False) -> None:
        """End the thread and let go of all samples until napari asks again; the reconstruction is kept."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._field = self._limits = self._next = self._wish = None
            self._is_working = False
            self._cache.clear()
            self._shown.clear()
            self._changed.notify()
        if wait and thread is not None:
            thread.join(5.0)

    @property
    def field(self) -> SampledField | None:
        """The field that is shown, None before the first was sampled."""
        return self._field

    @property
    def limits(self) -> tuple[float, float] | None:
        """Contrast limits that show the field at any time alike [V]; None where there is no field."""
        return self._limits

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be computed, or to be told to whoever listens."""
        return self._wish is not None or self._next is not None or self._is_working

    def close(self, *, wait: bool = True) -> None:
        """End the thread and let go of all memory; without `wait` it ends soon."""
        with self._changed:
            self._closed, self.on_ready = True, None
        self.rest(wait=wait)
        self._source = None

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        index = index if isinstance(index, tuple) else (index,)
        index = (*index, *(slice(None),) * (4 - len(index)))
        # Thick slices ask for many steps at once: the middle one stands for them.
        steps = np.atleast_1d(np.arange(self.shape[0])[index[0]])
        part = tuple(_as_slice(chosen, length) for chosen, length in zip(index[1:], self.shape[1:], strict=True))
        volume = self._volume(int(steps[len(steps) // 2]), part)  # type: ignore[arg-type]
        kept = tuple(0 if isinstance(chosen, (int, np.integer)) else slice(None) for chosen in index[1:])
        values = volume[kept]
        if isinstance(index[0], (int, np.integer)):
            return values
        return np.broadcast_to(values, (len(steps), *values.shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self.size * self.dtype.itemsize > _NEVER_AS_ARRAY:
            # Not a ValueError: napari's writers swallow those and leave a broken file.
            raise MemoryError(
                f"the whole 4D reconstruction takes {self.size * 4 / 1e9:.1f} GB; export it from Explore instead"
            )
        field = self._field
        if field is None and self._source is not None:
            from napari_stinr.reconstruction.sampled_field import SampledField

            field = SampledField.of(self._source)
        if field is None:
            return np.zeros(self.shape, dtype=dtype or self.dtype)
        everything = (slice(None),) * 3
        return np.stack([field.at(self.axis.t_of(step), everything) for step in range(self.shape[0])]).astype(
            dtype or self.dtype
        )

    def _volume(self, step: int, part: Part) -> NDArray[np.float32]:
        if self._thread is None and self._source is not None:
            self.show(self._source)
        field, version = self._field, self._version
        extent = tuple(chosen.indices(length) for chosen, length in zip(part, self.shape[1:], strict=True))
        shape = tuple(len(range(*limits)) for limits in extent)
        if field is None:
            return np.zeros(shape, dtype=np.float32)
        if field.is_quick(part):
            with self._changed:
                self._wish = None  # whatever was wished for before is not looked at any more
            return field.at(self.axis.t_of(step), part)
        wish = (version, step, extent)
        with self._changed:
            if wish in self._cache:
                self._wish = None
                self._cache.move_to_end(wish)
                self._shown = {shape: self._cache[wish]}
                return self._cache[wish]
            self._wish = wish
            self._changed.notify()
        last = self._shown.get(shape)
        return np.zeros(shape, dtype=np.float32) if last is None else last

    def _work(self) -> None:
        import torch

        # One thread: two more beside those of the training would slow both down many times.
        torch.set_num_threads(1)
        was_sampled = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_over() or self._next is not None or self._wish is not None)
                if self._is_over():
                    return
                reconstruction, wish, self._is_working = self._next, self._wish, True
                # In turns, or fields of a large volume that come quickly would leave no time to look at any.
                was_sampled = reconstruction is not None and (wish is None or not was_sampled)
            try:
                if was_sampled and reconstruction is not None:
                    self._sample(reconstruction)
                elif wish is not None:
                    self._compute(wish)
            except Exception:
                # The next wish may be possible; this one must not be tried for ever.
                logger.exception("A volume could not be computed")
                with self._changed:
                    if not self._is_over():
                        self._wish = self._next = None
            finally:
                with self._changed:
                    if not self._is_over():
                        self._is_working = False

    def _is_over(self) -> bool:
        """Whether the thread that asks is to end: another one may have taken its place."""
        return self._thread is not threading.current_thread()

    def _sample(self, reconstruction: Reconstruction) -> None:
        from napari_stinr.reconstruction.sampled_field import SampledField, Superseded

        try:
            field = SampledField.of(
                reconstruction, superseded=lambda: self._is_over() or self._next is not reconstruction
            )
        except Superseded:
            return
        # Here, and not in the thread of the window, which would draw a frame less for them.
        limits = field_limits(field)
        with self._changed:
            if self._is_over():
                return
            self._field, self._limits, self._version = field, limits, self._version + 1
            self._cache.clear()
            if self._wish is not None:
                self._wish = (self._version, *self._wish[1:])
            if self._next is reconstruction:
                self._next = None
        self._tell()

    def _compute(self, wish: _Wish) -> None:
        from napari_stinr.reconstruction.sampled_field import Superseded

        version, step, extent = wish
        part = tuple(slice(*limits) for limits in extent)
        field = self._field
        try:
            if field is None or version != self._version:
                raise Superseded
            volume = field.at(self.axis.t_of(step), part, superseded=lambda: self._is_over() or self._wish != wish)  # type: ignore[arg-type]
        except Superseded:
            with self._changed:
                if not self._is_over():
                    self.dropped += 1
                    self._wish = None if self._wish == wish else self._wish
            return
        with self._changed:
            if self._is_over():
                return
            self.computed += 1
            self._wish = None if self._wish == wish else self._wish
            self._cache[wish] = volume
            # Also where the next field is there before the window has asked, which empties the cache.
            self._shown = {volume.shape: volume}
            while sum(kept.nbytes for kept in self._cache.values()) > CACHE_BYTES and len(self._cache) > 1:
                self._cache.popitem(last=False)
        self._tell()

    def _tell(self) -> None:
        on_ready = self.on_ready
        if on_ready is not None:
            on_ready()


def _as_slice(chosen: Any, length: int) -> slice:
    if isinstance(chosen, (int, np.integer)):
        start = int(chosen) % length
        return slice(start, start + 1)
    assert isinstance(chosen, slice)
    return chosen
