"""What the canvas shows, as a project keeps it: camera, sliders, what of the run is shown, colours of layers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from napari_stinr.plugin.canvas.display import Shown
from napari_stinr.plugin.canvas.layer_data import entry_of
from napari_stinr.plugin.canvas.run_layers import kind_of, number_of
from napari_stinr.plugin.canvas.views import View

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

_NUMBERS = ("gamma", "opacity", "iso_threshold", "attenuation")
_CHOICES = ("rendering", "blending")
_CAMERA = ("zoom", "perspective")
_REFUSED = (LookupError, TypeError, ValueError, AttributeError)


def view_state(binding: Any) -> dict[str, Any]:
    """Return what is seen now.

    Parameters
    ----------
    binding : ViewerBinding
        Of the viewer; it imports this module.

    Returns
    -------
    dict
        As JSON has it.
    """
    viewer, camera = binding.viewer, binding.viewer.scene.camera
    return {
        "view": str(binding.views.view),
        "shown": str(binding.display.shown),
        "t": float(binding.slider.t),
        "point": [float(position) for position in viewer.dims.point],
        "camera": {
            "angles": [float(angle) for angle in camera.angles],
            "center": [float(position) for position in camera.center],
            **{name: float(getattr(camera, name)) for name in _CAMERA},
        },
        "layers": {key: _looks(layer) for layer in viewer.layers if (key := _key(binding, layer))},
    }


class ViewRestorer:
    """Brings back what was seen, as soon as what is to be shown is there.

    Parameters
    ----------
    binding : ViewerBinding
        Of the viewer; it imports this module.
    """

    def __init__(self, binding: Any) -> None:
        self._binding = binding
        self._wanted: Mapping[str, Any] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether something is still to be brought back."""
        return self._wanted is not None

    def want(self, state: Mapping[str, Any]) -> None:
        """Bring back what :func:`view_state` gave; what cannot be brought back stays as it is.

        Parameters
        ----------
        state : mapping
            From a project.
        """
        self._wanted = state
        self._attempt(lambda: self._binding.display.show(Shown(state["shown"])))

    def forget(self) -> None:
        """Leave the view as it is."""
        self._wanted = None

    def look(self) -> None:
        """Bring it back now, if nothing that belongs to it is still being computed."""
        wanted, binding = self._wanted, self._binding
        stream = binding.layers.stream
        if wanted is None or binding.tasks.running or (stream is not None and stream.is_busy):
            return
        self._wanted = None
        if binding.session.is_active:
            return
        self._attempt(lambda: binding.views.show(View(wanted["view"])))
        layers = wanted.get("layers", {})
        for layer in list(binding.viewer.layers):
            looks = layers.get(_key(binding, layer)) if isinstance(layers, dict) else None
            if looks is not None:
                self._attempt(lambda layer=layer, looks=looks: _dress(layer, looks))
        self._attempt(lambda: self._move(wanted))

    def _move(self, wanted: Mapping[str, Any]) -> None:
        viewer, camera, saved = self._binding.viewer, self._binding.viewer.scene.camera, wanted["camera"]
        self._binding.slider.set_t(float(wanted["t"]))
        point = [float(position) for position in wanted["point"]]
        if len(point) == viewer.dims.ndim:
            viewer.dims.set_point(range(len(point)), point)
        camera.center = tuple(float(position) for position in saved["center"])
        for name in _CAMERA:
            setattr(camera, name, float(saved[name]))
        if viewer.dims.ndisplay == 3:
            camera.angles = tuple(float(angle) for angle in saved["angles"])

    @staticmethod
    def _attempt(do: Any) -> None:
        try:
            do()
        except _REFUSED as error:
            # The file may be of a later version, or the layers others than they were.
            logger.info("A part of the view is not brought back: %s", error)


def _key(binding: Any, layer: Any) -> str:
    """Return by what a layer is known again in another window, "" for one that is none of the project."""
    draft = entry_of(layer, "draft")
    if draft is not None:
        shown = binding.session.draft
        return "series" if shown is not None and draft.preview is shown.preview else ""
    if not kind_of(layer):
        return ""
    # Counted from the last one: a window in which there were runs before gives other numbers.
    numbers = [run.number for run in binding.session.runs.runs]
    number = number_of(layer)
    return f"{len(numbers) - numbers.index(number)} {kind_of(layer)}" if number in numbers else ""


def _looks(layer: Any) -> dict[str, Any]:
    return {
        "visible": bool(layer.visible),
        "colormap": str(layer.colormap.name),
        "contrast_limits": [float(limit) for limit in layer.contrast_limits],
        "contrast_limits_range": [float(limit) for limit in layer.contrast_limits_range],
        **{name: float(getattr(layer, name)) for name in _NUMBERS},
        **{name: str(getattr(layer, name)) for name in _CHOICES},
    }


def _dress(layer: Any, looks: Mapping[str, Any]) -> None:
    low, high = (float(limit) for limit in looks["contrast_limits_range"])
    layer.contrast_limits_range = (low, high)
    layer.contrast_limits = tuple(float(limit) for limit in looks["contrast_limits"])
    for name in _NUMBERS:
        setattr(layer, name, float(looks[name]))
    for name in _CHOICES:
        setattr(layer, name, str(looks[name]))
    layer.visible = bool(looks["visible"])
    if looks["colormap"] != layer.colormap.name:
        layer.colormap = str(looks["colormap"])
