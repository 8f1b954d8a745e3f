"""What napari needs to show a stack or a volume at its place: scale, units, axis labels, and what it belongs to.

Every layer of the plugin lies on the axes (t, z, y, x), or (z, y, x) without the first, in nm and with full units: one
layer without units would switch them off for all. A projection is an integral along the beam, so the stack is one
voxel deep and as thick as the volume: it is seen at every position of the z slider, and the t slider moves stack and
volume together.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.preview import SAMPLED_PIXELS
from napari_stinr.plugin.session.time_axis import TimeAxis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.preview import Preview
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.reconstruction.sampled_field import SampledField

logger = logging.getLogger(__name__)

METADATA_KEY = "stinr"
ANGSTROM_PER_NM = 10.0
CONTRAST_QUANTILES = (0.001, 0.999)
_BELOW_ZERO = 1e-3
_told_lost: WeakSet[Any] = WeakSet()


class TimedStack:
    """Projections `(n_tilts, height, width)` as `(t, 1, y, x)`, at every step the nearest one; nothing is copied.

    Those that are trained turned by 90 degrees are shown like that, too: what pointed right points down. Images whose
    file is lost are blank: napari asks for them whenever it draws, and an error there stops the drawing.
    """

    def __init__(self, stack: Preview | NDArray[Any], axis: TimeAxis, *, is_turned: bool = False) -> None:
        self._stack, self._steps, self.is_turned = stack, axis.projection_at, is_turned
        _, height, width = stack.shape
        self.shape = (axis.n_steps, 1, *((width, height) if is_turned else (height, width)))
        self.dtype, self.ndim, self.size = stack.dtype, 4, int(np.prod(self.shape))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        first, *rest = index if isinstance(index, tuple) else (index,)
        chosen = self._images(self._steps[first])[..., None, :, :]
        return np.asarray(chosen[self._rest(first, rest)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._turned(self._stack[self._steps])[:, None], dtype=dtype)

    def _images(self, tilts: Any) -> NDArray[Any]:
        try:
            return self._turned(self._stack[tilts])
        except StinrError as error:
            _tell_lost(self._stack, error)
            return np.zeros((*np.shape(tilts), *self.shape[2:]), self.dtype)

    def _turned(self, images: NDArray[Any]) -> NDArray[Any]:
        return np.rot90(images, k=-1, axes=(-2, -1)) if self.is_turned else images

    @staticmethod
    def _rest(first: Any, rest: list[Any]) -> tuple[Any, ...]:
        # A number takes its axis away, a slice keeps it.
        return tuple(rest) if isinstance(first, (int, np.integer)) else (slice(None), *rest)


def _tell_lost(stack: Preview | NDArray[Any], error: StinrError) -> None:
    """Say once for a stack that its images cannot be read any more."""
    if stack in _told_lost:
        return
    from napari_stinr.plugin.canvas.telling import show_error

    _told_lost.add(stack)
    logger.warning("%s", error)
    show_error(str(error))


def pixel_size_in_view(pixel_size: float | None) -> tuple[float, str]:
    """Return the width of a pixel as napari shows it.

    Parameters
    ----------
    pixel_size : float or None
        Width [Å]; None where it is not known.

    Returns
    -------
    tuple of float and str
        Width and its unit, ``"nm"`` or ``"pixel"``.
    """
    return (1.0, "pixel") if pixel_size is None else (pixel_size / ANGSTROM_PER_NM, "nm")


def time_axis_of(draft: SeriesDraft) -> TimeAxis:
    """Return the time axis on which a series is shown.

    Parameters
    ----------
    draft : SeriesDraft
        The series.

    Returns
    -------
    TimeAxis
        In stack order where the times are not valid yet.
    """
    times = draft.times
    if not np.isfinite(times).all() or np.ptp(times) == 0:
        times = np.arange(draft.n_tilts, dtype=np.float64)
    first, last = float(times.min()), float(times.max())
    return TimeAxis.of_times((times - first) / (last - first), time_range=(first, last), unit=draft.time_unit)


def placement(
    axis: TimeAxis | None, voxel: tuple[float, float, float], origin: tuple[float, float, float], unit: str
) -> dict[str, Any]:
    """Return the keyword arguments that put a layer at its place.

    Parameters
    ----------
    axis : TimeAxis or None
        Time axis of a 4D layer; None for a volume.
    voxel : tuple of float
        Edges (z, y, x) of a voxel [unit].
    origin : tuple of float
        Centre (z, y, x) of the first voxel [unit].
    unit : str
        ``"nm"`` or ``"pixel"``.

    Returns
    -------
    dict
        ``scale``, ``translate``, ``units`` and ``axis_labels``.
    """
    if axis is None:
        return {"scale": voxel, "translate": origin, "units": (unit,) * 3, "axis_labels": ("z", "y", "x")}
    return {
        "scale": (axis.spacing, *voxel),
        "translate": (axis.time_range[0], *origin),
        # Seconds in one series and a dose or an order in another: napari would complain of each pair of layers.
        "units": ("", unit, unit, unit),
        "axis_labels": ("t", "z", "y", "x"),
    }


def volume_placement(draft: SeriesDraft | None, shape: tuple[int, int, int], voxel: float, unit: str) -> dict[str, Any]:
    """Return where a volume lies: its centre on the rotation axis, seen in the frame of the stack.

    Parameters
    ----------
    draft : SeriesDraft or None
        The series that it was made from; None where only the volume is known.
    shape : tuple of int
        Voxels (z, y, x).
    voxel : float
        Edge of a voxel [unit].
    unit : str
        ``"nm"`` or ``"pixel"``.

    Returns
    -------
    dict
        ``voxel``, ``origin`` and ``unit`` for :func:`placement`.
    """
    origin = (0.0, 0.0, 0.0)
    if draft is not None:
        pixel, _ = pixel_size_in_view(draft.pixel_size)
        if draft.pixel_size is None:
            voxel = pixel * draft.binning
        middle = (draft.shown_shape[2] - 1) / 2 * pixel
        # Rows at the border that no square of pixels is left for, below those that were cropped.
        n_rows, first = draft.cropped_shape[1], 0 if draft.crop is None else draft.crop.top
        if draft.is_turned:  # which were columns
            n_rows, first = draft.cropped_shape[2], 0 if draft.crop is None else draft.crop.left
        cropped_rows = n_rows % draft.binning // 2 + first
        origin = (
            middle - (shape[0] - 1) / 2 * voxel,
            (cropped_rows + (draft.binning - 1) / 2) * pixel,
            middle + draft.axis_offset * pixel - (shape[2] - 1) / 2 * voxel,
        )
    return {"voxel": (voxel, voxel, voxel), "origin": origin, "unit": unit}


def run_placement(reconstruction: Reconstruction, draft: SeriesDraft | None, axis: TimeAxis | None) -> dict[str, Any]:
    """Return the keyword arguments that put a volume of a reconstruction at its place.

    Parameters
    ----------
    reconstruction : Reconstruction
        What the volume is made from.
    draft : SeriesDraft or None
        Its series; None where only the reconstruction is known.
    axis : TimeAxis or None
        Time axis of a 4D layer; None for a volume.

    Returns
    -------
    dict
        As :func:`placement`.
    """
    size = reconstruction.voxel_size if reconstruction.length_unit != "pixel" else None
    voxel, unit = pixel_size_in_view(size)
    if size is None:
        voxel = reconstruction.voxel_size
    return placement(axis, **volume_placement(draft, reconstruction.grid.shape, voxel, unit))


def series_layer(draft: SeriesDraft) -> tuple[Any, dict[str, Any], str]:
    """Return the layer that shows a series: `(t, 1, y, x)`, ordered by time.

    Parameters
    ----------
    draft : SeriesDraft
        The series, valid or not yet.

    Returns
    -------
    tuple
        Data, keyword arguments and type for napari; the draft is in ``metadata["stinr"]["draft"]``.
    """
    axis = time_axis_of(draft)
    pixel, unit = pixel_size_in_view(draft.pixel_size)
    width = draft.shown_shape[2]
    where = placement(axis, (width * pixel, pixel, pixel), ((width - 1) / 2 * pixel, 0.0, 0.0), unit)
    options = {
        "name": draft.name,
        "contrast_limits": contrast_limits(draft.preview.pixels),
        "colormap": "gray",
        "projection_mode": "none",
        "metadata": {METADATA_KEY: {"draft": draft}},
        **where,
    }
    return TimedStack(draft.preview, axis, is_turned=draft.is_turned), options, "image"


def contrast_limits(values: NDArray[Any]) -> tuple[float, float]:
    """Return limits that show almost all values, whatever a few extreme ones are.

    Parameters
    ----------
    values : array_like
        `(...)` values; NaN and infinite ones do not count.

    Returns
    -------
    tuple of float
        Lower and upper limit, never the same.
    """
    # Not reshaped: what is not in one piece would be copied.
    sample = values.flat[:: max(1, values.size // SAMPLED_PIXELS)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    low, high = np.quantile(sample, CONTRAST_QUANTILES) if sample.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1.0)


def entry_of(layer: Any, name: str) -> Any:
    """Return what the plugin has noted with a layer.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any layer.
    name : str
        ``"draft"``, ``"mark"``, ...

    Returns
    -------
    object or None
        None where there is nothing.
    """
    entries = getattr(layer, "metadata", {}).get(METADATA_KEY, {})
    return entries.get(name) if isinstance(entries, dict) else None


def field_limits(field: SampledField) -> tuple[float, float]:
    """Return limits [V] that show a field at any time alike."""
    high = max(contrast_limits(field.typical)[1], 1e-6)
    # A little below 0: the maximum along a ray is not drawn where it does not exceed the lower limit.
    return -_BELOW_ZERO * high, high


def contents_of(layer: Any) -> tuple[SeriesDraft | None, Reconstruction | None]:
    """Return the draft and the reconstruction that a reader or a sample has put into a layer for the docks."""
    return entry_of(layer, "draft"), entry_of(layer, "reconstruction")
