"""What the layers of one run have in common: a name, a number, a stream, and how they are told from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.analysis.contamination import is_static
from napari_stinr.plugin.canvas.layer_data import METADATA_KEY, entry_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.streaming import VolumeStream
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.runs import Run
    from napari_stinr.reconstruction import Reconstruction

CLEAN, CONTAMINATION, ARRIVAL, UNCERTAIN = "clean", "contamination", "arrival time", "uncertain"
AT_T = "reconstruction"
OVER_THE_CLEAN = (CONTAMINATION, ARRIVAL, UNCERTAIN)
ALL_KINDS = (AT_T, CLEAN, *OVER_THE_CLEAN)
"""What is made from a reconstruction."""
_STATIC = "volume"
_VISIBLE_CHANGE = 0.02
_LEAST_DENSITY = 0.05  # of the highest: below, there is no matter that could have arrived
_MARK = "mark"


@dataclass(eq=False)
class RunLayers:
    """The stream of a run, with its 4D layer.

    Parameters
    ----------
    number : int
        Number of the run.
    draft : SeriesDraft or None
        The series by which its layers are placed.
    stream : VolumeStream
        What the layer shows; it rests while the run is not worked on and nobody looks at it.
    layer : Image or None
        None before it was added, and where a person removed it.
    limits : tuple of float or None
        Contrast limits that the plugin set last [V].
    """

    number: int
    draft: SeriesDraft | None
    stream: VolumeStream
    layer: Image | None = None
    limits: tuple[float, float] | None = None
    is_new: bool = True

    def refresh(self) -> None:
        """Show what the stream has computed, in limits that show it at all times."""
        layer, limits, own = self.layer, self.stream.limits, self.limits
        if layer is None or limits is None:
            return
        # Whoever has set the contrast by hand keeps it.
        is_untouched = own is None or tuple(layer.contrast_limits) == own
        if is_untouched and (own is None or abs(limits[1] / own[1] - 1) > _VISIBLE_CHANGE):
            self.limits = limits
            layer.contrast_limits_range = (limits[0], 2 * limits[1])
            layer.contrast_limits = limits
        layer.refresh(extent=False)


def layer_name(kind: str, run: Run, *, detail: str = "") -> str:
    """Return what a layer of a run is called, such as ``"clean · growth · #2"``.

    Parameters
    ----------
    kind : str
        One of `ALL_KINDS`.
    run : Run
        The run.
    detail : str
        What tells it from another layer of its kind.

    Returns
    -------
    str
        A static volume is never called clean: what grew is in it.
    """
    if kind == CLEAN and run.reconstruction is not None and is_static(run.reconstruction):
        kind = _STATIC
    return f"{kind}{' ' if detail else ''}{detail} · {run.title}"


def layer_note(kind: str, run: Run, reconstruction: Reconstruction, *, detail: str = "") -> dict[str, Any]:
    """Return the metadata by which :func:`kind_of` and :func:`number_of` know a layer.

    Parameters
    ----------
    kind : str
        One of `ALL_KINDS`.
    run : Run
        The run.
    reconstruction : Reconstruction
        What the layer is made from.
    detail : str
        What tells it from another layer of its kind.

    Returns
    -------
    dict
        ``metadata`` for napari.
    """
    return {METADATA_KEY: {_MARK: (kind, detail, run.number), "provenance": dict(reconstruction.provenance)}}


def limits_of_atoms(volume: NDArray[np.float32]) -> tuple[float, float]:
    """Return contrast limits `(low, high)` of a volume in which there may be a few atoms only [V]."""
    # Of what is there: a few atoms are less than a thousandth of all voxels.
    there = volume[volume > _LEAST_DENSITY * float(volume.max())]
    return 0.0, max(float(np.quantile(there, 0.99)) if there.size else 0.0, 1e-6)


def arrival_of_matter(arrival: NDArray[np.float32], density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return arrival times `(z, y, x)` where there is matter, and 0 elsewhere [t]."""
    seen = density > _LEAST_DENSITY * density.max()
    return np.where(seen, np.clip(arrival, 0, 1), 0).astype(np.float32)


def kind_of(layer: Any) -> str:
    """Return what of a reconstruction a layer shows, "" where it shows none."""
    mark = entry_of(layer, _MARK)
    return mark[0] if mark is not None and mark[0] in ALL_KINDS else ""


def number_of(layer: Any) -> int | None:
    """Return the number of the run that a layer belongs to, None where it belongs to none."""
    return entry_of(layer, _MARK)[2] if kind_of(layer) else None


def made_layers(viewer: ViewerModel, *kinds: str, number: int | None = None) -> list[Any]:
    """Return the layers that were made from a reconstruction.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    *kinds : str
        Some of `ALL_KINDS`.
    number : int, optional
        Of this run only.

    Returns
    -------
    list of Layer
        In the order of the viewer.
    """
    return [layer for layer in viewer.layers if kind_of(layer) in kinds and number in (None, number_of(layer))]


def put_in_its_group(viewer: ViewerModel, layer: Any) -> None:
    """Put a layer directly above the others of its run.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layer : Layer
        One that was made from a reconstruction.
    """
    layers = viewer.layers
    others = [
        layers.index(other) for other in made_layers(viewer, *ALL_KINDS, number=number_of(layer)) if other != layer
    ]
    if others and layers.index(layer) != max(others) + 1:
        layers.move(layers.index(layer), max(others) + 1)


def rename_layers(viewer: ViewerModel, number: int, *, before: str, after: str) -> None:
    """Name the layers of a run after its new title; those that a person has named stay so.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    number : int
        The run.
    before, after : str
        Its titles.
    """
    for layer in made_layers(viewer, *ALL_KINDS, number=number):
        if layer.name.endswith(before):
            layer.name = layer.name.removesuffix(before) + after


def same_layer(viewer: ViewerModel, kind: str, run: Run, *, detail: str = "") -> Any:
    """Return the layer of a run that shows this already, None where there is none."""
    mark = (kind, detail, run.number)
    return next((layer for layer in viewer.layers if entry_of(layer, _MARK) == mark), None)
