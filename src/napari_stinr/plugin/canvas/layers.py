"""The layers of a session: the only place that adds layers to a viewer.

Every run has its own, and the next run replaces none of them. A person may delete any of them at any time, so every
layer is looked up and never taken for granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_stinr.plugin.canvas.grown import GrownSince
from napari_stinr.plugin.canvas.hidden_layers import HiddenLayers
from napari_stinr.plugin.canvas.layer_data import (
    contrast_limits,
    entry_of,
    run_placement,
    series_layer,
    time_axis_of,
)
from napari_stinr.plugin.canvas.removal import SafeRemoval
from napari_stinr.plugin.canvas.run_layers import (
    ALL_KINDS,
    ARRIVAL,
    AT_T,
    CLEAN,
    CONTAMINATION,
    OVER_THE_CLEAN,
    UNCERTAIN,
    RunLayers,
    arrival_of_matter,
    layer_name,
    layer_note,
    limits_of_atoms,
    made_layers,
    number_of,
    put_in_its_group,
    rename_layers,
    same_layer,
)
from napari_stinr.plugin.canvas.streaming import VolumeStream
from napari_stinr.plugin.canvas.units_later import UnitsLater
from napari_stinr.plugin.session.time_axis import TimeAxis

if TYPE_CHECKING:
    from weakref import ReferenceType

    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.time_slider import TimeSlider
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.runs import Run, RunHistory
    from napari_stinr.reconstruction import Reconstruction


class ViewerLayers(QObject):
    """Adds and updates the layers of one session."""

    volume_ready = Signal()
    """Something that the slider asked for has been computed; may be emitted in another thread."""

    def __init__(self, viewer: ViewerModel, slider: TimeSlider, runs: RunHistory, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._slider, self._runs = viewer, slider, runs
        self._series_layer: Image | None = None
        self._current: RunLayers | None = None
        self._groups: dict[int, RunLayers] = {}
        self._titles: dict[int, str] = {}
        self._made_from: WeakKeyDictionary[Layer, ReferenceType[Reconstruction]] = WeakKeyDictionary()
        self._last_world: NDArray[Any] | None = None
        self._removal, self._hidden, self._units = SafeRemoval(viewer), HiddenLayers(viewer), UnitsLater(viewer)
        self.volume_ready.connect(self._on_volume_ready)
        viewer.layers.events.removed.connect(self._on_removed)
        runs.changed.connect(self._on_runs_changed)

    @property
    def stream(self) -> VolumeStream | None:
        """The 4D volume of the run that is worked on, None while there is none."""
        return None if self._current is None else self._current.stream

    @property
    def stream_layer(self) -> Image | None:
        """The layer of that volume, None where a person deleted it."""
        return None if self._current is None else self._current.layer

    def show_series(self, draft: SeriesDraft) -> None:
        """Show a tilt series, valid or not yet, or bring the layer that shows it up to date."""
        with self._units.held():
            self._show_series(draft)

    def _show_series(self, draft: SeriesDraft) -> None:
        before = self._series_layer
        layer = before
        if layer is None or layer not in self._viewer.layers or _preview_of(layer) is not draft.preview:
            layer = next((kept for kept in self._viewer.layers if _preview_of(kept) is draft.preview), None)
        data, options, _ = series_layer(draft)
        is_other = layer is None or layer is not before
        if is_other:
            self._hide(*self._of_others(draft))
        if layer is None:
            layer, has_turned = self._viewer.add_image(data, **options), False
        else:
            was = entry_of(layer, "draft")
            has_turned = was.is_turned is not draft.is_turned
            if has_turned or not np.array_equal(time_axis_of(was).projection_at, time_axis_of(draft).projection_at):
                layer.data = data
            for name in ("scale", "translate", "units"):
                setattr(layer, name, options[name])
            layer.metadata = {**layer.metadata, **options["metadata"]}
        self._series_layer, self._slider.series_axis = layer, time_axis_of(draft)
        if is_other:
            layer.visible = True
        self._follow()
        if is_other or has_turned:
            self._look_at(layer, axes=(0, 1) if is_other else (1,))

    def show_reconstruction(self, reconstruction: Reconstruction, draft: SeriesDraft | None, *, again: bool) -> None:
        """Stream a reconstruction into the 4D layer of its run; `again`: also where that was hidden or deleted."""
        with self._units.held():
            self._show_reconstruction(reconstruction, draft, again=again)

    def _show_reconstruction(self, reconstruction: Reconstruction, draft: SeriesDraft | None, *, again: bool) -> None:
        run = self._runs.open(reconstruction, draft)
        group = self._group_of(run, reconstruction, draft)
        if self._current is not group:
            self.forget_stream()
            self.hide_results()
            if draft is None or _preview_of(self._series_layer) is not draft.preview:
                self._hide(self._series_layer)
            self._current, self._slider.volume_axis = group, group.stream.axis
            self._add_stream_layer(group, run, reconstruction)
        elif group.is_new or (again and group.layer is None):
            self._add_stream_layer(group, run, reconstruction)
        group.stream.show(reconstruction)
        if again and group.layer is not None:
            self.hide_results()
            group.layer.visible = True
            self._viewer.layers.selection.active = group.layer

    def add_volume(
        self,
        volume: NDArray[np.float32],
        kind: str,
        reconstruction: Reconstruction,
        *,
        detail: str = "",
        **options: Any,
    ) -> Image:
        """Add the layer of a volume `(z, y, x)` of a run, or bring it up to date and show it again."""
        run = self._runs.open(reconstruction)
        # What lies over the clean specimen does so one at a time; a clean one stands alone.
        self._hide(*made_layers(self._viewer, *(ALL_KINDS if kind == CLEAN else OVER_THE_CLEAN)))
        group = self._groups.get(run.number)
        if "contrast_limits" not in options:
            limits = None if group is None else group.limits
            options["contrast_limits"] = limits or contrast_limits(volume)
        settings = {
            "name": layer_name(kind, run, detail=detail),
            "metadata": layer_note(kind, run, reconstruction, detail=detail),
            **run_placement(reconstruction, run.draft if group is None else group.draft, None),
            **options,
        }
        self._titles[run.number] = run.title
        layer = same_layer(self._viewer, kind, run, detail=detail)
        if layer is None:
            layer = self._viewer.add_image(volume, **settings)
            layer.events.visible.connect(self._on_visible_changed)
            put_in_its_group(self._viewer, layer)
        else:
            self._bring_up_to_date(layer, volume, settings, reconstruction)
        self._made_from[layer] = ref(reconstruction)
        if kind in OVER_THE_CLEAN:
            # Above a clean one that was made anew, which would cover it.
            put_in_its_group(self._viewer, layer)
        return layer

    def add_clean(self, volume: NDArray[np.float32], reconstruction: Reconstruction) -> Image:
        """Add the clean specimen and hide what it replaces."""
        layer = self.add_volume(volume, CLEAN, reconstruction)
        self._hide(self._series_layer)
        self._viewer.layers.selection.active = layer
        return layer

    def add_grown(
        self, clean: NDArray[np.float32], limits: tuple[float, float], reconstruction: Reconstruction
    ) -> Image | None:
        """Add what has grown until the time of the slider, which it follows, to be seen over the clean specimen."""
        group, run = self._current, self._runs.of(reconstruction)
        if group is None or run is None or run.number != group.number:
            return None
        grown = GrownSince(group.stream, clean)
        place = run_placement(reconstruction, group.draft, group.stream.axis)
        layer = self.add_volume(
            grown,  # type: ignore[arg-type]  # napari takes what has a shape and can be indexed
            CONTAMINATION,
            reconstruction,
            colormap="bop orange",
            blending="additive",
            contrast_limits=limits,
            projection_mode="none",
            **place,
        )
        if layer.data.stream is not grown.stream or layer.data.clean is not clean:
            self._replace(layer, grown, place)
        return layer

    def add_uncertain(self, volume: NDArray[np.float32], reconstruction: Reconstruction) -> Image:
        """Add the atoms that might as well be on the other side, to be seen over the clean specimen."""
        return self._add_over_the_clean(volume, UNCERTAIN, reconstruction, colormap="cyan")

    def _add_over_the_clean(
        self, volume: NDArray[np.float32], kind: str, reconstruction: Reconstruction, **options: Any
    ) -> Image:
        limits = limits_of_atoms(volume)
        return self.add_volume(volume, kind, reconstruction, blending="additive", contrast_limits=limits, **options)

    def add_arrival(
        self, arrival: NDArray[np.float32], density: NDArray[np.float32], reconstruction: Reconstruction
    ) -> Image:
        """Add the map of arrival times, to be seen over the clean specimen: black where nothing has arrived."""
        looks: dict[str, Any] = {"colormap": "inferno", "blending": "additive", "contrast_limits": (0.0, 1.0)}
        return self.add_volume(arrival_of_matter(arrival, density), ARRIVAL, reconstruction, **looks)

    def forget_stream(self) -> None:
        """Work on no run any more: its 4D layer is hidden and has no memory until it is shown again."""
        group, self._current, self._slider.volume_axis = self._current, None, None
        if group is not None:
            self._hide(group.layer)
            self._rest_unseen()
        self._follow()

    def hide_results(self) -> None:
        """Hide what was made from any reconstruction, but the 4D layer of the run that is worked on."""
        made = made_layers(self._viewer, *ALL_KINDS)
        self._hide(*(layer for layer in made if layer is not self.stream_layer))

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._runs.changed.disconnect(self._on_runs_changed)
        for group in self._groups.values():
            group.stream.close(wait=True)
        self._hidden.close()
        self._removal.close()
        self._units.close()
        self._groups.clear()
        self._current = self._series_layer = None

    def _group_of(self, run: Run, reconstruction: Reconstruction, draft: SeriesDraft | None) -> RunLayers:
        axis = time_axis_of(draft) if draft is not None else _axis_of(reconstruction)
        shape, group = reconstruction.grid.shape, self._groups.get(run.number)
        if group is not None and group.stream.shape == (axis.n_steps, *shape) and group.draft is draft:
            return group
        stream = VolumeStream(axis, shape, on_ready=self.volume_ready.emit)
        if group is None:
            group = self._groups[run.number] = RunLayers(run.number, draft, stream)
        else:
            group.stream.close(wait=False)
            group.stream, group.draft, group.limits, group.is_new = stream, draft, None, True
            if group is self._current:
                self._slider.volume_axis = axis
        return group

    def _add_stream_layer(self, group: RunLayers, run: Run, reconstruction: Reconstruction) -> None:
        self._titles[run.number] = run.title
        options = {
            "name": layer_name(AT_T, run),
            "contrast_limits": group.limits or (0.0, 1.0),
            "metadata": layer_note(AT_T, run, reconstruction),
            **run_placement(reconstruction, group.draft, group.stream.axis),
        }
        layer = group.layer
        if layer is None:
            group.layer = layer = self._viewer.add_image(group.stream, projection_mode="none", **options)
            layer.events.visible.connect(self._on_visible_changed)
        else:
            if group.is_new:
                layer.data = group.stream
                for name, value in options.items():
                    setattr(layer, name, value)
            layer.visible = True
        group.is_new = False
        self._follow()
        world = layer.extent.world
        # Two runs of a series are compared in one view; else, the docks have made the canvas smaller meanwhile.
        if self._last_world is None or not np.array_equal(world, self._last_world):
            self._viewer.reset_view()
            self._viewer.dims.set_point(self._viewer.dims.ndim - 3, world.mean(axis=0)[1])
        self._last_world = world

    def _bring_up_to_date(
        self, layer: Image, volume: NDArray[np.float32], settings: dict[str, Any], reconstruction: Reconstruction
    ) -> None:
        made_from = self._made_from.get(layer)
        if made_from is None or made_from() is not reconstruction:
            self._replace(layer, volume, settings)
            layer.metadata = settings["metadata"]
            layer.contrast_limits_range = settings["contrast_limits"]
            layer.contrast_limits = settings["contrast_limits"]
        layer.visible = True

    def _replace(self, layer: Image, data: Any, place: dict[str, Any]) -> None:
        layer.data = data
        for name in ("scale", "translate", "units"):
            setattr(layer, name, place[name])

    def _look_at(self, layer: Image, *, axes: tuple[int, ...]) -> None:
        """Bring a series that was opened, or is taken up again, into sight."""
        self._last_world = None
        self._viewer.reset_view()
        # Where a deeper series was looked at before, its z may lie beside this one, and the canvas stay black.
        middle = layer.extent.world.mean(axis=0)
        for axis in axes:
            self._viewer.dims.set_point(self._viewer.dims.ndim - 4 + axis, middle[axis])

    def _follow(self) -> None:
        """Say which layers the sliders are made for: those of the series and the run that are worked on."""
        series, volume = self._series_layer, self.stream_layer
        if series is not None and volume is not None:
            draft = self._current.draft if self._current is not None else None
            is_its_own = draft is not None and _preview_of(series) is draft.preview
            if not is_its_own or series.units != volume.units:
                series = None
        self._hidden.follow(series, volume)

    def _of_others(self, draft: SeriesDraft) -> list[Any]:
        """Layers of other series, and of runs that were not made from this one."""
        drafts = {group.number: group.draft for group in self._groups.values()}
        own = {number for number, of in drafts.items() if of is not None and of.preview is draft.preview}
        made = made_layers(self._viewer, *ALL_KINDS)
        others = [layer for layer in made if number_of(layer) not in own]
        return others if self._series_layer is None else [*others, self._series_layer]

    def _hide(self, *layers: Any) -> None:
        for layer in set(layers) & set(self._viewer.layers):
            layer.visible = False

    def _rest_unseen(self) -> None:
        """Let the streams of other runs rest where nobody looks at them."""
        seen = {number_of(layer) for layer in made_layers(self._viewer, AT_T, CONTAMINATION) if layer.visible}
        for group in self._groups.values():
            if group is not self._current and group.number not in seen:
                group.stream.rest()

    def _on_volume_ready(self) -> None:
        for group in self._groups.values():
            group.refresh()

    def _on_visible_changed(self, event: Any) -> None:
        self._rest_unseen()

    def _on_removed(self, event: Any) -> None:
        for group in self._groups.values():
            if event.value is group.layer:
                group.layer = None
        if event.value is self._series_layer:
            self._series_layer = None
        self._rest_unseen()
        self._follow()

    def _on_runs_changed(self) -> None:
        kept = {run.number: run for run in self._runs.runs}
        for number, title in list(self._titles.items()):
            run = kept.get(number)
            if run is None:
                self._remove_run(number)
            elif run.title != title:
                self._titles[number] = run.title
                rename_layers(self._viewer, number, before=title, after=run.title)

    def _remove_run(self, number: int) -> None:
        group = self._groups.get(number)
        if group is self._current:
            self.forget_stream()
        for layer in made_layers(self._viewer, *ALL_KINDS, number=number):
            self._viewer.layers.remove(layer)
        del self._titles[number]
        if group is not None:
            del self._groups[number]
            group.stream.close(wait=False)
        if self._current is None and self._series_layer is not None:
            self._series_layer.visible = True


def _axis_of(reconstruction: Reconstruction) -> TimeAxis:
    return TimeAxis(time_range=reconstruction.time_range, unit=reconstruction.time_unit)


def _preview_of(layer: Any) -> Any:
    draft = entry_of(layer, "draft")
    return None if draft is None else draft.preview
