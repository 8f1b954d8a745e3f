"""Save layers at their physical size: volumes and 4D layers as MRC or TIFF, tilt series with their angles and times."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft

ENDINGS = (".mrc", ".ome.tif", ".ome.tiff", ".tif", ".tiff")
"""File endings that are written."""
_SAME_EDGE = 1e-6
"""Largest relative difference between the edges of a voxel that is a cube."""
_PIXEL = "pixel"


def write_mrc(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Save a layer with its physical voxel size in the format of the ending, as MRC where the name has none.

    Parameters
    ----------
    path : str
        File to write, ending in ``.mrc``, ``.ome.tif`` or ``.tif``; one that is there is replaced.
    data : array_like
        `(z, y, x)` volume, `(t, z, y, x)` volumes, of which one at a time is asked for, or a tilt series with its
        draft in ``metadata["stinr"]``, which is written in stack order with ``NAME.rawtlt`` and ``NAME_times.csv``.
    meta : mapping
        Keyword arguments of the layer, as napari gives them.

    Returns
    -------
    list of str
        Files that were written, `path` first.

    Raises
    ------
    RuntimeError
        The layer is wrong or a file cannot be written; the text says what, and how to mend it.
    """
    return _write(path, data, meta, ".mrc")


def write_ome_tiff(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Save a layer as :func:`write_mrc` does, as OME-TIFF where the name has no ending."""
    return _write(path, data, meta, ".ome.tif")


def write_tiff(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Save a layer as :func:`write_mrc` does, as TIFF for ImageJ and OME readers where the name has no ending."""
    return _write(path, data, meta, ".tif")


def _write(path: str, data: Any, meta: Mapping[str, Any], default_ending: str) -> list[str]:
    from napari_stinr.plugin.canvas.layer_data import METADATA_KEY

    try:
        target, is_new_name = _with_ending(Path(path).expanduser(), default_ending)
        draft = meta.get("metadata", {}).get(METADATA_KEY, {}).get("draft")
        if draft is not None:
            return _write_series(target, draft, overwrite=not is_new_name)
        _write_layer(target, data, meta, overwrite=not is_new_name)
        return [str(target)]
    except StinrError as error:
        # napari drops every ValueError of a writer without a word, and a StinrError is one.
        raise RuntimeError(str(error)) from error


def _with_ending(path: Path, default: str) -> tuple[Path, bool]:
    """Path with an ending that is known, and whether that makes a name which nobody agreed to replace."""
    if path.name.lower().endswith(ENDINGS):
        return path, False
    # A dot in the name of a layer, such as that of "t = 0.5", begins no ending.
    return path.with_name(path.name + default), True


def _write_layer(target: Path, data: Any, meta: Mapping[str, Any], *, overwrite: bool) -> None:
    from napari_stinr.io import write_frames, write_volume

    data = data[0] if meta.get("multiscale") else data
    _check_layer(data, meta)
    voxel, unit = _voxel_size(meta)
    if data.ndim == 3:
        write_volume(target, _values(data[:]), voxel_size=voxel, length_unit=unit, overwrite=overwrite)
        return
    if target.suffix.lower() == ".mrc":
        raise StinrError(
            f"the layer {meta.get('name', '')} holds {data.shape[0]} volumes",
            expected="one, as an MRC file holds one volume",
            cure=f"Save it as {target.stem}.ome.tif, or save one volume of it.",
        )
    n_times, depth, height, width = data.shape
    first, spacing = float(_of(meta, "translate", 4, 0.0)[0]), float(_of(meta, "scale", 4, 1.0)[0])
    with _progress(n_times, f"Saving {target.name}") as progress:
        write_frames(
            target,
            _frames(data),
            n_times=n_times,
            shape=(depth, height, width),
            voxel_size=voxel,
            length_unit=unit,
            times=[first + spacing * step for step in range(n_times)],
            overwrite=overwrite,
            progress=progress,
        )


def _write_series(target: Path, draft: SeriesDraft, *, overwrite: bool) -> list[str]:
    from napari_stinr.io import write_frames, write_tilt_angles, write_tilt_series, write_times
    from napari_stinr.io.output.targets import lists_beside

    knows_angles = bool(np.isfinite(draft.tilt_angles).all())
    angles, times = lists_beside(target)
    if knows_angles and not target.exists():
        # A person agreed to replace the stack and what belongs to it; without one, the lists belong to something else.
        _refuse_to_replace(angles, draft.tilt_angles)
        _refuse_to_replace(times, draft.times)
    if target.suffix.lower() == ".mrc":
        write_tilt_series(target, draft.projections(), pixel_size=draft.pixel_size, overwrite=overwrite)
    else:
        n_tilts, height, width = draft.shape
        write_frames(
            target,
            (image[None] for image in draft.projections()),
            n_times=n_tilts,
            shape=(1, height, width),
            voxel_size=draft.pixel_size or 1.0,
            length_unit=_PIXEL if draft.pixel_size is None else "Å",
            times=[float(time) for time in draft.times],
            overwrite=overwrite,
        )
    if not knows_angles:
        return [str(target)]
    write_tilt_angles(angles, draft.tilt_angles)
    write_times(times, draft.tilt_angles, draft.times)
    return [str(target), str(angles), str(times)]


def _refuse_to_replace(path: Path, values: NDArray[np.float64]) -> None:
    from napari_stinr.io.series.sidecars import read_angles, read_timetable

    if not path.exists():
        return
    try:
        held = read_angles(path) if path.suffix == ".rawtlt" else read_timetable(path).times
    except StinrError:
        held = np.empty(0)
    if not np.array_equal(held, values):
        raise StinrError(
            f"{path.name} exists and holds other numbers than the layer",
            expected=f"a name that is free, as {path.name} is written beside the stack",
            cure="Choose another name for the stack.",
        )


def _check_layer(data: Any, meta: Mapping[str, Any]) -> None:
    name, n_axes = meta.get("name", "the layer"), len(data.shape)
    if n_axes not in (3, 4) or meta.get("rgb"):
        raise StinrError(
            f"{name} has the shape {tuple(data.shape)}{' with colours' if meta.get('rgb') else ''}",
            expected="a volume (z, y, x) or volumes over time (t, z, y, x) of real numbers",
            cure="Choose another layer, or napari's own format for images.",
        )
    matrices = [np.asarray(meta[key]) for key in ("rotate", "affine") if meta.get(key) is not None]
    is_turned = any(not np.allclose(matrix, np.eye(len(matrix))) for matrix in matrices if matrix.ndim == 2)
    if is_turned or (meta.get("shear") is not None and np.any(meta["shear"])):
        raise StinrError(
            f"{name} is rotated, sheared or transformed",
            expected="voxels along the axes, as the file has no place for anything else",
            cure="Take the transformation off the layer, or resample it.",
        )


def _voxel_size(meta: Mapping[str, Any]) -> tuple[float, str]:
    """Edge of a voxel and its unit: nm, or pixel where the layer has no length."""
    scale = _of(meta, "scale", 3, 1.0)[-3:]
    units = [str(unit) for unit in _of(meta, "units", 3, _PIXEL)[-3:]]
    if all(unit == _PIXEL for unit in units):
        edges, unit = [float(edge) for edge in scale], _PIXEL
    else:
        edges = [float(edge) * _in_nm(name) for edge, name in zip(scale, units, strict=True)]
        unit = "nm"
    if max(edges) - min(edges) > _SAME_EDGE * max(abs(edge) for edge in edges):
        raise StinrError(
            f"the voxels are {' x '.join(f'{edge:g}' for edge in edges)} {unit} (z, y, x)",
            expected="cubes, as one voxel size is stored",
            cure="Resample the volume to cubes, or correct the scale of the layer.",
        )
    return float(f"{edges[-1]:.12g}"), unit


def _in_nm(unit: str) -> float:
    import pint

    try:
        return float(pint.get_application_registry()(unit).to("nm").magnitude)
    except (pint.PintError, AttributeError) as error:
        raise StinrError(
            f"the unit of the layer is {unit or 'none'}",
            expected="a length, such as nm or angstrom, along z, y and x",
            cure="Set the units of the layer.",
        ) from error


def _of(meta: Mapping[str, Any], key: str, n_axes: int, default: Any) -> list[Any]:
    values = meta.get(key)
    return [default] * n_axes if values is None else list(values)


def _frames(data: Any) -> Iterator[NDArray[np.float32]]:
    # Never the whole of it: a lazy layer would compute, and hold, every volume at once.
    from napari_stinr.plugin.canvas.streaming import VolumeStream

    if not isinstance(data, VolumeStream):
        yield from (_values(data[step]) for step in range(data.shape[0]))
        return
    if data.field is None:
        raise StinrError(
            "nothing of the reconstruction is computed yet", expected="at least one preview", cure="Wait a moment."
        )
    # Asked by index it answers at once, with the last volume where the right one is still to be computed.
    for step in range(data.shape[0]):
        yield data.field.at(data.axis.t_of(step), (slice(None),) * 3)


def _values(volume: Any) -> NDArray[np.float32]:
    return np.asarray(volume, dtype=np.float32)


@contextmanager
def _progress(total: int, text: str) -> Iterator[Callable[[int, int], None]]:
    from napari.utils import progress

    with progress(total=total, desc=text) as bar:
        yield lambda done, _: bar.update(done - bar.n)
