"""What has grown until the slider's t: the 4D volume less the clean specimen, computed when napari asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.streaming import VolumeStream


class GrownSince:
    """What napari sees as an array `(t, z, y, x)`: at every time, what is there more than at t = 0.

    Parameters
    ----------
    stream : VolumeStream
        The volume at any time; where it is not computed yet, what is below 0 here is not seen.
    clean : ndarray
        `(z, y, x)` float32 volume at t = 0 [V].
    """

    def __init__(self, stream: VolumeStream, clean: NDArray[np.float32]) -> None:
        self.stream, self.clean = stream, clean
        self.shape, self.dtype, self.ndim, self.size = stream.shape, stream.dtype, stream.ndim, stream.size

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        index = index if isinstance(index, tuple) else (index,)
        return self.stream[index] - self.clean[index[1:]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(np.asarray(self.stream) - self.clean, dtype=dtype)
