"""Two volumes side by side under one camera, or their difference: two runs, or one at two times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils import Colormap
from qtpy.QtCore import QObject, Signal

from napari_stinr.analysis.contamination import is_static
from napari_stinr.errors import StinrError
from napari_stinr.plugin.canvas.layer_data import METADATA_KEY, contrast_limits, entry_of, run_placement
from napari_stinr.plugin.canvas.run_layers import kind_of
from napari_stinr.plugin.canvas.telling import show_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.stage import Stage
    from napari_stinr.plugin.session.runs import Run

COMPARED = "compared"
"""Name of the note of a layer that is one of those below."""
LEFT, RIGHT, DIFFERENCE = "left", "right", "difference"
_BLUE, _NOTHING, _ORANGE = (0.34, 0.71, 0.91, 1.0), (0.0, 0.0, 0.0, 0.0), (1.0, 0.62, 0.0, 1.0)
_DIVERGING = Colormap([_BLUE, _NOTHING, _ORANGE], name="stinr difference")
"""Blue where the right one is less, orange where it is more, as people of all colour vision can tell."""
_SMALLEST = 1e-6
_CELLS = (1, -1)
"""Rows and columns of the grid: one row, and as many columns as layers are seen."""
_PLACE = ("scale", "translate", "units")


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two.

    Parameters
    ----------
    source : int or napari.layers.Image
        Number of a run, or a layer with a volume.
    t : float
        Time of the volume of a run [t].
    """

    source: int | Image
    t: float = 0.0


@dataclass(frozen=True, eq=False)
class _Volume:
    """A volume `(z, y, x)` with its name and where it lies in the view."""

    values: NDArray[np.float32]
    name: str
    place: dict[str, Any]


@dataclass(frozen=True)
class _Look:
    """How a viewer looks at its layers: grid and camera."""

    is_grid: bool
    stride: int
    shape: tuple[int, int]
    n_displayed: int
    center: tuple[float, ...]
    zoom: float

    @classmethod
    def of(cls, viewer: Any) -> _Look:
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        return cls(grid.enabled, grid.stride, tuple(grid.shape), viewer.dims.ndisplay, camera.center, camera.zoom)

    def restore(self, viewer: Any) -> None:
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        grid.enabled, grid.stride, grid.shape = self.is_grid, self.stride, self.shape
        if viewer.dims.ndisplay == self.n_displayed:
            camera.center, camera.zoom = self.center, self.zoom
        else:
            viewer.fit_to_view()


class Comparison(QObject):
    """What is compared, and the three layers that show it."""

    changed = Signal()
    """Something else is to be compared, or can be."""
    shown = Signal()

    def __init__(self, stage: Stage, parent: QObject) -> None:
        super().__init__(parent)
        self._stage, self._viewer, self._runs = stage, stage.viewer, stage.session.runs
        # Of psygnal, which would hold a part of the dock that was closed: this one lives as long as the window.
        self._runs.changed.connect(self.changed.emit)
        self.sides: tuple[Side, Side] | None = None
        self.is_difference = False
        self._layers: dict[str, Image] = {}
        self._before: _Look | None = None
        self._wanted = 0
        self.legend = ""
        """What is seen where, for the canvas."""

    @property
    def is_on(self) -> bool:
        """Whether the layers are shown, or will be."""
        return self._before is not None

    def sources(self) -> dict[int | Image, str]:
        """Return what can be compared with its name: runs, the one of now first, then other volumes."""
        now = self._runs.of(self._stage.session.reconstruction)
        runs = sorted(self._runs.runs, key=lambda run: (run is not now, -run.number))
        found: dict[int | Image, str] = {run.number: run.title for run in runs}
        for layer in self._viewer.layers:
            is_other = isinstance(layer, Image) and not kind_of(layer) and entry_of(layer, COMPARED) is None
            if is_other and layer.ndim == 3 and isinstance(layer.data, np.ndarray) and not layer.rgb:
                found[layer] = str(layer.name)
        return found

    def current_sides(self) -> tuple[Side, Side] | None:
        """Return what is compared, or would be: the run of now before and after, as long as nobody chose others."""
        sources = self.sources()
        if self.sides is not None and all(side.source in sources for side in self.sides):
            return self.sides
        first = next(iter(sources), None)
        return None if first is None else (Side(first, 0.0), Side(first, 1.0))

    def choose(self, left: Side, right: Side, *, is_difference: bool) -> None:
        """Compare others, or in another way.

        Parameters
        ----------
        left, right : Side
            What.
        is_difference : bool
            Show the right one less the left one.
        """
        self.sides, self.is_difference = (left, right), is_difference
        self.changed.emit()
        if self.is_on:
            self.show()

    def show(self) -> None:
        """Compute both and show them; a later call counts more than an earlier one."""
        sides = self.current_sides()
        if sides is None:
            return
        if self._before is None:
            self._before = _Look.of(self._viewer)
        self._wanted += 1
        number, is_difference = self._wanted, self.is_difference
        work = [self._volume_of(side) for side in sides]

        def done(volumes: list[_Volume]) -> None:
            if number == self._wanted and self._before is not None:
                self._present(*volumes, is_difference=is_difference)

        self._stage.run("render two volumes", lambda _: [made() for made in work], done)

    def leave(self) -> None:
        """Hide the layers, and give grid and camera back as they were."""
        if self._before is None:
            return
        self._hide(*self._layers)
        self._before.restore(self._viewer)
        self._before = None

    def _volume_of(self, side: Side) -> Callable[[], _Volume]:
        """Return what makes a volume, in another thread, of what is so now."""
        source = side.source
        if isinstance(source, Image):
            place = {name: getattr(source, name) for name in (*_PLACE, "axis_labels")}
            volume = _Volume(np.asarray(source.data, dtype=np.float32), str(source.name), place)
            return lambda: volume
        run = self._run_of(source)
        reconstruction = run.reconstruction
        assert reconstruction is not None
        name = run.title if is_static(reconstruction) else f"{run.title}, t = {side.t:.2f}"
        place = run_placement(reconstruction, run.draft, None)
        return lambda: _Volume(reconstruction.render(side.t), name, place)

    def _run_of(self, number: int) -> Run:
        return next(run for run in self._runs.runs if run.number == number)

    def _present(self, left: _Volume, right: _Volume, *, is_difference: bool) -> None:
        assert self._before is not None
        if is_difference:
            try:
                difference = _difference(left, right)
            except StinrError as error:
                show_error(str(error))
                return
            if self._is_side_by_side:
                self._before.restore(self._viewer)
                self._viewer.canvas.grid.enabled = False
            self._hide(LEFT, RIGHT)
            bright = float(np.quantile(np.abs(difference), 0.999))
            limit = max(bright, _SMALLEST)
            self._put(DIFFERENCE, f"{right.name} − {left.name}", difference, left.place, (-limit, limit))
            self.legend = f"orange: more in {right.name}\nblue: more in {left.name}"
        else:
            lows, highs = zip(*(contrast_limits(volume.values) for volume in (left, right)), strict=True)
            self._hide(DIFFERENCE)
            for what, volume in ((LEFT, left), (RIGHT, right)):
                self._put(what, f"{what}: {volume.name}", volume.values, volume.place, (min(lows), max(highs)))
            self._order()
            self.legend = f"left: {left.name}\nright: {right.name}"
        # What is hidden now has no cell in the grid.
        self.shown.emit()
        grid = self._viewer.canvas.grid
        if not is_difference and not self._is_side_by_side:
            grid.stride, grid.shape, grid.enabled = 1, _CELLS, True
            self._viewer.fit_to_view()

    @property
    def _is_side_by_side(self) -> bool:
        grid = self._viewer.canvas.grid
        return bool(grid.enabled) and grid.stride == 1 and tuple(grid.shape) == _CELLS

    def _put(
        self,
        what: str,
        name: str,
        values: NDArray[np.float32],
        place: dict[str, Any],
        limits: tuple[float, float],
    ) -> None:
        layer = self._layers.get(what)
        if layer is None or layer not in self._viewer.layers:
            looks = {"colormap": _DIVERGING if what == DIFFERENCE else "gray", "contrast_limits": limits}
            metadata = {METADATA_KEY: {COMPARED: what}}
            layer = self._viewer.add_image(values, name=name, metadata=metadata, **looks, **place)
            self._layers[what] = layer
        else:
            layer.data, layer.name = values, name
            for key in _PLACE:
                setattr(layer, key, place[key])
            layer.contrast_limits_range = layer.contrast_limits = limits
        layer.visible = True

    def _order(self) -> None:
        """Put the left one left of the right one: the grid follows the list of layers."""
        layers = self._viewer.layers
        left, right = layers.index(self._layers[LEFT]), layers.index(self._layers[RIGHT])
        if left > right:
            layers.move(right, left + 1)

    def _hide(self, *names: str) -> None:
        for name in names:
            layer = self._layers.get(name)
            if layer is not None and layer in self._viewer.layers:
                layer.visible = False


def _difference(left: _Volume, right: _Volume) -> NDArray[np.float32]:
    """`(z, y, x)` right volume less the left one, of the same voxels."""
    same_voxels = np.allclose(left.place["scale"], right.place["scale"])
    if left.values.shape != right.values.shape or not same_voxels:
        raise StinrError(
            f"the volumes have {_size(left)} and {_size(right)} voxels, or these are not of the same size",
            expected="two volumes on the same voxels",
            cure="Show them side by side.",
        )
    return right.values - left.values


def _size(volume: _Volume) -> str:
    return " x ".join(map(str, volume.values.shape))
