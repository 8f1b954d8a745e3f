"""Open stacks, images, lists of tilt angles and reconstructions by File > Open, by dropping them, or from a script.

napari looks at names alone to choose a reader, so nothing is claimed here that napari itself reads: TIFF, HDF5, NumPy
and tables are taken only when they are given together with something that is claimed.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.endings import ALIGNED_ENDINGS, ANGLE_ENDINGS, MDOC_ENDING, MRC_ENDINGS, TIFF_ENDINGS
from napari_stinr.io.output.targets import RUN_ENDING
from napari_stinr.plugin.hooks.reader_window import (
    IMAGE_FILE,
    are_angles_shown,
    is_asked_in_window,
    is_image_shown,
    is_series_shown,
    open_dock_for,
    tell_missing_angles,
    tell_single,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.io.series.grouping import SeriesFiles
    from napari_stinr.io.series.headers import Headers
    from napari_stinr.plugin.session.draft import SeriesDraft

    LayerData = tuple[Any, ...]

PLUGIN = "napari-stinr"
OTHER_STACK_ENDINGS = (".dm3", ".dm4", ".emd", ".nxs", ".nx", ".mat")
CLAIMED = (*MRC_ENDINGS, *OTHER_STACK_ENDINGS, *ANGLE_ENDINGS, MDOC_ENDING, RUN_ENDING)
"""File endings that this reader is asked for, as in ``napari.yaml``."""
_CHECKED_ENDINGS = (*MRC_ENDINGS, *OTHER_STACK_ENDINGS)
"""Other programs use these, too: the header tells whether a file is one of ours."""
STACK_ENDINGS = (*(ending for ending in MRC_ENDINGS if ending != ".mrcs"), ".mrcs", *TIFF_ENDINGS)
"""Stacks that a list of angles may belong to, in the order in which they are looked for, before all others."""

_NOTHING: list[LayerData] = [(None,)]
"""What napari takes for: read, and there is nothing to show."""
_HEADER_BYTES, _SPACE_GROUP = 1024, slice(88, 92)
_VOLUME = 1
"""Space group of a volume; 0 is that of an image stack (MRC2014)."""
_LEAST_IMAGES = 3
"""Fewer images than this are no tilt series."""


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the function that reads a path, as napari asks for it.

    Parameters
    ----------
    path : str or sequence of str
        A file, or files that were given together.

    Returns
    -------
    callable or None
        :func:`read_layers`, with what was read of the file already; None where nothing here reads all of them, or where
        the content of the file is none of ours and another plugin reads files of that ending.
    """
    files = [Path(one) for one in _listed(path)]
    endings = [file.suffix.lower() for file in files]
    if not any(ending in CLAIMED for ending in endings) or not all(map(_is_known, endings)):
        return None
    if len(files) != 1 or files[0].suffix.lower() not in _CHECKED_ENDINGS:
        return read_layers
    from napari_stinr.io.series.headers import Headers, holds

    headers = Headers()
    is_ours = holds(headers.stack, _resolved(path)[0])
    return partial(read_layers, headers=headers) if is_ours or not _is_read_by_others(files[0]) else None


def read_layers(path: str | Sequence[str], *, headers: Headers | None = None) -> list[LayerData]:
    """Read files into layers.

    Parameters
    ----------
    path : str or sequence of str
        A file, or files that were given together: a stack takes the angles and the table of times among them.
    headers : Headers, optional
        What has been read of them already.

    Returns
    -------
    list of tuple
        Data, keyword arguments and type of every layer for napari. When a person asked for the file in the window and
        it cannot be read, the reason is shown and the list says that there is nothing to show.

    Raises
    ------
    StinrError
        A file is missing, damaged or of another kind, or a list of angles has no stack.
    """
    in_window = is_asked_in_window()
    try:
        layers = _layers(_resolved(path), in_window, headers)
    except StinrError as error:
        # napari puts a text of its own in place of a reader's error and would hide what is wrong and how to mend it.
        if not in_window:
            raise
        from napari_stinr.plugin.canvas.telling import show_error

        show_error(str(error))
        return _NOTHING
    if in_window:
        tell_missing_angles(layers)
        open_dock_for(layers)
    return layers


def volume_layer(
    volume: NDArray[np.float32],
    *,
    name: str,
    voxel: float,
    unit: str,
    facts: dict[str, Any],
    draft: SeriesDraft | None = None,
) -> LayerData:
    """Return data, arguments and type of the layer of a volume `(z, y, x)`, its voxel in nm or pixel."""
    from napari_stinr.plugin.canvas.layer_data import METADATA_KEY, contrast_limits, placement, volume_placement

    depth, height, width = volume.shape
    options = {
        "name": name,
        "contrast_limits": contrast_limits(volume),
        "colormap": "gray",
        "metadata": {METADATA_KEY: facts},
        **placement(None, **volume_placement(draft, (depth, height, width), voxel, unit)),
    }
    return volume, options, "image"


def _layers(paths: list[Path], in_window: bool, headers: Headers | None) -> list[LayerData]:
    from napari_stinr.plugin.session.dropped import Dropped

    dropped = Dropped.of(paths, headers)
    series = dropped.series()
    layers = [layer for files in series for layer in _layers_of(files, in_window)]
    for angles in () if series else (*dropped.tables, *dropped.images):
        layers += _layers_of_list(angles, in_window, dropped.headers)
    return layers + [_run_layer(path) for path in dropped.runs]


def _layers_of(files: SeriesFiles, in_window: bool) -> list[LayerData]:
    from napari_stinr.io.series.mdoc import is_mdoc
    from napari_stinr.io.series.sources import find_sources
    from napari_stinr.plugin.session.dropped import read_files

    first, has_lists = files.paths[0], files.angles is not None or files.times is not None
    sources = [source.path for source in find_sources(files.paths, files.headers)]
    if len(sources) == 1 and not has_lists:
        if in_window and is_image_shown(sources[0], first):
            return _NOTHING
        layer = _image_layer(sources[0], first, in_window, files.headers)
        if layer is not None:
            return [layer]
    draft = read_files(files)
    return _NOTHING if in_window and is_mdoc(first) and is_series_shown(draft, first) else [_series_layer(draft)]


def _layers_of_list(angles: Path, in_window: bool, headers: Headers) -> list[LayerData]:
    """Return the series of a list of angles that comes alone: its stack lies beside it."""
    from napari_stinr.plugin.session.new_draft import read_draft

    stack = _stack_beside(angles)
    if stack is None and in_window and are_angles_shown(angles, headers):
        return _NOTHING
    if stack is None:
        raise StinrError(
            f"{angles.name} lists tilt angles and its stack is not beside it",
            expected=f"one of {', '.join(angles.stem + ending for ending in STACK_ENDINGS[:5])}, …",
            cure="Put it beside the list under the same name, or give the list as angles on the page Series.",
        )
    draft = read_draft(stack, angles=angles, headers=headers)
    return _NOTHING if in_window and is_series_shown(draft, angles) else [_series_layer(draft)]


def _image_layer(path: Path, asked: Path, in_window: bool, headers: Headers) -> LayerData | None:
    """Return the layer of a volume, or of a file with fewer images than a series has; None for a series."""
    from napari_stinr.io.formats.containers import read_images
    from napari_stinr.io.series.sidecars import find_angle_file
    from napari_stinr.plugin.canvas.layer_data import pixel_size_in_view

    content = headers.stack(path)
    few = len(content.images) < _LEAST_IMAGES
    is_volume = _is_volume(path) and content.tilt_angles is None and find_angle_file(path) is None
    if not few and not is_volume:
        return None
    voxel, unit = pixel_size_in_view(content.pixel_size)
    volume = read_images(content.images, path)
    if in_window and few:
        tell_single(path, len(content.images))
    # Nothing is noted with a volume that would keep a person from taking it as a tilt series after all.
    return volume_layer(
        volume, name=path.stem, voxel=voxel, unit=unit, facts={IMAGE_FILE: (path, asked)} if few else {}
    )


def _series_layer(draft: SeriesDraft) -> LayerData:
    from napari_stinr.plugin.canvas.layer_data import series_layer

    return series_layer(draft)


def _stack_beside(angles: Path) -> Path | None:
    from napari_stinr.io.formats.registry import READERS

    endings = tuple(dict.fromkeys((*STACK_ENDINGS, *READERS)))
    if angles.suffix.lower() == ".tlt":
        # IMOD writes the angles that its alignment refined.
        endings = tuple(dict.fromkeys((*ALIGNED_ENDINGS, *endings)))
    beside = {
        file.suffix.lower(): file
        for file in angles.parent.glob("*")
        if file.stem == angles.stem and file != angles and file.is_file()
    }
    return next((beside[ending] for ending in endings if ending in beside), None)


def _run_layer(path: Path) -> LayerData:
    from napari_stinr.analysis.contamination import is_static
    from napari_stinr.plugin.canvas.layer_data import pixel_size_in_view
    from napari_stinr.reconstruction import load_reconstruction

    reconstruction = load_reconstruction(path)
    size = reconstruction.voxel_size
    voxel, unit = (size, "pixel") if reconstruction.length_unit == "pixel" else pixel_size_in_view(size)
    # What grew is in a static volume, too.
    name = f"{path.stem} {'static reconstruction' if is_static(reconstruction) else 'clean (t = 0)'}"
    facts = {"reconstruction": reconstruction}
    return volume_layer(reconstruction.render(0.0), name=name, voxel=voxel, unit=unit, facts=facts)


def _is_volume(path: Path) -> bool:
    """Whether an ``.mrc`` file calls itself a volume; the other endings are those of stacks, whatever they say."""
    if path.suffix.lower() != MRC_ENDINGS[0]:
        return False
    with path.open("rb") as stream:
        header = stream.read(_HEADER_BYTES)
    # Either byte order: the number is small in the right one and huge in the wrong one.
    return min(int.from_bytes(header[_SPACE_GROUP], "little"), int.from_bytes(header[_SPACE_GROUP], "big")) == _VOLUME


def _is_known(ending: str) -> bool:
    if ending in CLAIMED:
        return True
    from napari_stinr.plugin.session.file_filters import READABLE

    return ending in READABLE


def _is_read_by_others(path: Path) -> bool:
    # Where nobody else reads it, the reason why it cannot be read is of more use than a refusal without one.
    from npe2 import PluginManager

    readers = PluginManager.instance().iter_compatible_readers(str(path))
    return any(reader.plugin_name != PLUGIN for reader in readers)


def _resolved(path: str | Sequence[str]) -> list[Path]:
    return [Path(one).expanduser().resolve() for one in _listed(path)]


def _listed(path: str | os.PathLike[str] | Sequence[str]) -> list[str]:
    return [str(one) for one in path] if isinstance(path, (list, tuple)) else [str(path)]
