"""Ways of looking at the volumes that are shown: slice, three planes, maximum along the view, isosurface."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_stinr.plugin.canvas.comparison import COMPARED, DIFFERENCE
from napari_stinr.plugin.canvas.display import Shown
from napari_stinr.plugin.canvas.layer_data import METADATA_KEY, entry_of
from napari_stinr.plugin.canvas.run_layers import ARRIVAL, kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.display import Display
    from napari_stinr.plugin.canvas.stage import Stage

_OBLIQUE = (-25.0, 35.0, 0.0)
"""Angles of the camera where looking along the beam would show one plane only [degrees]."""
_PLANES = {"plane y": (0.0, 1.0, 0.0), "plane x": (0.0, 0.0, 1.0)}
"""Normals of the planes that need a layer of their own; the layer itself has the plane z."""
_PLANE = "plane"
_LINKED = ("contrast_limits", "colormap", "gamma", "opacity")
_SEE_THROUGH, _OPAQUE = "translucent_no_depth", "translucent"
"""Blending of what lies below all else: napari's own, and one with which a plane hides what is behind it."""
_BINS = 128
_SAMPLED = 200_000


class View(StrEnum):
    """A way of looking at volumes."""

    SLICE = "Slice"
    ORTHOGONAL = "Orthogonal"
    MAXIMUM = "Maximum"
    ISOSURFACE = "Isosurface"


class Views(QObject):
    """Keeps the volumes of the plugin in the view that a person has chosen."""

    changed = Signal()

    def __init__(self, stage: Stage, display: Display, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._display = stage.viewer, display
        self._in_3d = View.MAXIMUM
        self._planes: WeakKeyDictionary[Any, list[Image]] = WeakKeyDictionary()
        self._thresholds: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._is_applying = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._apply)
        display.applied.connect(self._apply)
        stage.layers.volume_ready.connect(self._on_volume_ready)
        self._viewer.dims.events.ndisplay.connect(self._on_ndisplay_changed)

    @property
    def view(self) -> View:
        """What is chosen; napari's own button for 2D and 3D changes it, too."""
        return View.SLICE if self._viewer.dims.ndisplay == 2 else self._in_3d

    def show(self, view: View) -> None:
        """Look at the volumes in a way.

        Parameters
        ----------
        view : View
            Which one.
        """
        if view is not View.SLICE:
            self._in_3d = view
        self._is_applying = True
        try:
            self._viewer.dims.ndisplay = 2 if view is View.SLICE else 3
        finally:
            self._is_applying = False
        camera = self._viewer.scene.camera
        if view in (View.ORTHOGONAL, View.ISOSURFACE) and not np.any(camera.angles):
            camera.angles = _OBLIQUE
        self._apply()

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay_changed)

    def _on_ndisplay_changed(self, event: Any) -> None:
        if not self._is_applying:
            # After napari has taken its slices.
            self._later.start(0)

    def _apply(self) -> None:
        if self._in_3d is View.ORTHOGONAL and self._display.shown is Shown.COMPARE:
            # Every layer has a cell of its own beside another: planes would not cross.
            self._in_3d = View.MAXIMUM
        view = self.view
        for layer in list(self._viewer.layers):
            if not isinstance(layer, Image) or not _is_volume(layer):
                continue
            compared = entry_of(layer, COMPARED)
            if layer.visible and view is View.ISOSURFACE and _has_surface(layer):
                self._find_threshold(layer)
                layer.rendering = "iso"
            elif view is not View.SLICE:
                # Along a ray through a difference there are two ends, of which a maximum shows one.
                layer.rendering = "translucent" if compared == DIFFERENCE else "mip"
            is_plane = view is View.ORTHOGONAL
            if is_plane and layer.depiction != "plane":
                layer.plane.position, layer.plane.normal = _middle_of(layer), (1.0, 0.0, 0.0)
            layer.depiction = "plane" if is_plane else "volume"
            if layer.blending in (_SEE_THROUGH, _OPAQUE):
                layer.blending = _OPAQUE if is_plane else _SEE_THROUGH
            self._show_planes(layer, is_shown=is_plane and layer.visible)
        self.changed.emit()

    def _find_threshold(self, layer: Image) -> None:
        """Look for the surface in what is shown now; whoever has moved it keeps it."""
        own = self._thresholds.get(layer)
        if own is None or layer.iso_threshold == own:
            low, high = layer.contrast_limits
            volume = layer.data if layer.data.ndim == 3 else layer.data[self._viewer.dims.current_step[0]]
            found = surface_threshold(np.asarray(volume).ravel(), low=max(low, 0.0), high=high)
            self._thresholds[layer] = layer.iso_threshold = found

    def _on_volume_ready(self) -> None:
        if self.view is View.ISOSURFACE:
            self._apply()

    def _show_planes(self, layer: Image, *, is_shown: bool) -> None:
        planes = [plane for plane in self._planes.get(layer, []) if plane in self._viewer.layers]
        if not is_shown:
            for plane in planes:
                plane.visible = False
            return
        if len(planes) < len(_PLANES):
            planes = [self._plane_of(layer, name, normal) for name, normal in _PLANES.items()]
            self._planes[layer] = planes
        for plane in planes:
            if plane.data is not layer.data:
                plane.data = layer.data
            plane.visible = True

    def _plane_of(self, layer: Image, name: str, normal: tuple[float, ...]) -> Image:
        made = self._viewer.add_image(
            layer.data,
            name=_plane_name(layer, name),
            depiction="plane",
            plane={"normal": normal, "position": _middle_of(layer)},
            contrast_limits=layer.contrast_limits,
            colormap=layer.colormap,
            blending=layer.blending,
            projection_mode=layer.projection_mode,
            scale=layer.scale,
            translate=layer.translate,
            units=layer.units,
            axis_labels=layer.axis_labels,
            metadata=_plane_note(layer, name),
        )
        self._viewer.layers.link_layers([layer, made], _LINKED)
        self._viewer.layers.selection.active = layer
        return made


def _is_volume(layer: Image) -> bool:
    """Whether a layer is a volume that the plugin has made, and no plane of one, and no projections."""
    is_marked = entry_of(layer, "mark") is not None and not kind_of(layer)
    is_other = is_marked or entry_of(layer, _PLANE) is not None or entry_of(layer, "draft") is not None
    return METADATA_KEY in layer.metadata and not is_other and layer.data.ndim >= 3


def _plane_name(layer: Image, plane: str) -> str:
    """Name after the layer, with its run at the end."""
    kind, point, run = layer.name.partition(" · ")
    return f"{kind} {plane}{point}{run}"


def _plane_note(layer: Image, plane: str) -> dict[str, Any]:
    """Metadata by which a plane belongs to the run of its layer."""
    mark = entry_of(layer, "mark")
    note = {_PLANE: plane} if mark is None else {_PLANE: plane, "mark": (mark[0], plane, mark[2])}
    return {METADATA_KEY: note}


def _has_surface(layer: Image) -> bool:
    """Whether a layer shows matter, and no numbers over it."""
    return kind_of(layer) != ARRIVAL and entry_of(layer, COMPARED) != DIFFERENCE


def _middle_of(layer: Image) -> tuple[float, ...]:
    """Return the centre of the volume [voxel]."""
    return tuple((length - 1) / 2 for length in layer.data.shape[-3:])


def surface_threshold(values: NDArray[Any], *, low: float, high: float) -> float:
    """Return where a surface between matter and vacuum lies: the value that tells two kinds of voxels apart best.

    Parameters
    ----------
    values : ndarray
        `(n,)` values of voxels.
    low, high : float
        Limits within which they are told apart.

    Returns
    -------
    float
        By Otsu's method; half way where there is nothing to tell apart.
    """
    sample = np.clip(values[:: max(1, values.size // _SAMPLED)], low, high)
    counts, edges = np.histogram(sample, bins=_BINS, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = counts.sum() - below
    mass = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    if not np.isfinite(between).any():
        return (low + high) / 2
    return float(edges[1:][np.nanargmax(between)])
