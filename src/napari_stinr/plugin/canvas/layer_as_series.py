"""Layers of napari as tilt series: which may be one, and what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.checks import is_same_size
from napari_stinr.errors import StinrError
from napari_stinr.plugin.canvas.layer_data import ANGSTROM_PER_NM, METADATA_KEY, entry_of
from napari_stinr.plugin.session.new_draft import draft_of_stack, read_draft

if TYPE_CHECKING:
    from napari_stinr.plugin.session.draft import SeriesDraft


def draft_of_layer(layer: Any) -> SeriesDraft:
    """Take a layer as a tilt series.

    Parameters
    ----------
    layer : napari.layers.Image
        One of the plugin, or any with the projections along its first axis.

    Returns
    -------
    SeriesDraft
        The series, with the pixel size of the layer where it has one.

    Raises
    ------
    StinrError
        The layer is not a stack.
    """
    own: SeriesDraft | None = entry_of(layer, "draft")
    if own is not None:
        return own
    unit, scale = layer.units[-1], float(layer.scale[-1])
    if not is_same_size(float(layer.scale[-2]), scale) or _is_turned(layer):
        raise StinrError(
            f"{layer.name} is turned, sheared or has pixels of {float(layer.scale[-2]):g} x {scale:g}",
            expected="square pixels in rows and columns",
            cure="Resample it, or open its file.",
        )
    size = None
    if unit.is_compatible_with("nm"):
        size = float((scale * unit).to("nm").magnitude) * ANGSTROM_PER_NM
    draft = draft_of_stack(layer.data, name=layer.name, pixel_size=size)
    return draft if layer.source.path is None else _with_file(draft, layer.source.path)


def may_be_series(layer: Any) -> bool:
    """Return whether a layer can be taken as a tilt series.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any layer.

    Returns
    -------
    bool
        True for an image with three axes, or a fourth of length 1, that the plugin has not made as a volume.
    """
    if type(layer).__name__ != "Image" or layer.multiscale or layer.rgb:
        return False
    entries = layer.metadata.get(METADATA_KEY, {})
    if "draft" in entries:
        return True
    # Volumes that the plugin made, and the truth of its samples, are no tilt series.
    return not entries and sum(n > 1 for n in layer.data.shape) == 3


def _is_turned(layer: Any) -> bool:
    turn = np.asarray(getattr(layer, "rotate", np.eye(2)))
    shear = np.asarray(getattr(layer, "shear", np.zeros(1)))
    return not np.allclose(turn, np.eye(len(turn))) or not np.allclose(shear, 0)


def _with_file(draft: SeriesDraft, path: str) -> SeriesDraft:
    """Remember the file of a layer that another reader opened, where ours reads the same stack from it."""
    try:
        own = read_draft(path)
        is_same = own.shape == draft.shape and all(map(np.array_equal, own.projections(), draft.preview))
    except (StinrError, OSError):
        return draft
    return own if is_same else draft
