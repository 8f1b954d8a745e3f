"""Write volumes of a reconstruction as OME-Zarr: block of rows by block of rows, all times of each before the next.

No volume is ever whole in memory, and a field that serves all times is sampled once. An export that was interrupted
goes on with the next block when the same reconstruction is exported in the same way.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_stinr import __version__
from napari_stinr.fields.base import potential
from napari_stinr.fields.storage import some_rows
from napari_stinr.io.output.ome_zarr import writing_store
from napari_stinr.io.output.ome_zarr_layout import StoreLayout
from napari_stinr.reconstruction import rendering

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import Field
    from napari_stinr.fields.base import Slices
    from napari_stinr.pace import Update
    from napari_stinr.reconstruction.reconstruction import Reconstruction


def export_store(
    reconstruction: Reconstruction,
    target: Path,
    grid: VoxelGrid,
    times: Sequence[float],
    *,
    contamination: bool,
    overwrite: bool,
    progress: Update | None,
) -> None:
    """Write volumes as OME-Zarr.

    Parameters
    ----------
    reconstruction : Reconstruction
        What to render.
    target : Path
        Folder to write, ending in ``.ome.zarr``.
    grid : VoxelGrid
        The voxels.
    times : sequence of float
        When [t].
    contamination : bool
        Write what was added since t = 0 in place of the whole volume.
    overwrite : bool
        Replace an OME-Zarr of this program.
    progress : callable, optional
        Called as ``progress(done, total)``; `total` is the number of volumes and `done` counts parts of them. An error
        that it raises ends the export and leaves what was there before.

    Raises
    ------
    StinrError
        The folder cannot be written or is not to be replaced.
    """
    layout = StoreLayout(
        grid.shape,
        grid.voxel_size,
        reconstruction.length_unit,
        times=tuple(float(t) for t in times),
        time_range=reconstruction.time_range,
        time_unit=reconstruction.time_unit,
    )
    told = _told(reconstruction, contamination=contamination)
    fingerprint = _fingerprint(reconstruction, told | {"grid": asdict(grid), "times": layout.times})
    moments = [0.0, *layout.times] if contamination else list(layout.times)
    with writing_store(target, layout, attributes=told, fingerprint=fingerprint, overwrite=overwrite) as writer:
        for number, block in enumerate(writer.blocks):
            if progress is not None:
                progress(block.start * len(times) / grid.height, len(times))
            if number < writer.n_done:
                continue
            volumes = rows_at(reconstruction.field, grid, block, moments)
            clean = next(volumes).copy() if contamination else None
            for step, values in enumerate(volumes):
                if clean is not None:
                    values -= clean
                writer.put(step, number, values)
                if progress is not None:
                    done = block.start * len(times) + (block.stop - block.start) * (step + 1)
                    progress(done / grid.height, len(times))
            writer.close_block(number)


def rows_at(field: Field, grid: VoxelGrid, rows: slice, times: Sequence[float]) -> Iterator[NDArray[np.float32]]:
    """Yield the potential of some rows at several times, sampling a field once that serves them all.

    Parameters
    ----------
    field : Field
        The field.
    grid : VoxelGrid
        The voxels.
    rows : slice
        Which rows of it.
    times : sequence of float
        When [t].

    Yields
    ------
    ndarray
        `(z, rows, x)` float32 potential, in the same memory every time: to be used up before the next is asked for [V].
    """
    z, y, x = rendering.lattice_of(grid)
    along_z, along_x = (None, None) if field.blur is None else field.blur.axes(z, x)
    if along_z is not None and along_x is not None:
        z, x = along_z.positions, along_x.positions
    at_once = max(1, rendering.RENDERED_AT_ONCE // (grid.depth * grid.width))
    starts = range(rows.start, rows.stop, at_once)
    kept: list[tuple[Slices, ...]] = []
    values = np.empty((grid.depth, rows.stop - rows.start, grid.width), dtype=np.float32)
    for t in times:
        for place, start in enumerate(starts):
            some = slice(start, min(start + at_once, rows.stop))
            with torch.inference_mode():
                parts = kept[place] if place < len(kept) else field.slices(z, y[some], x, t)
                sampled = potential(parts, t)
                if along_z is not None and along_x is not None:
                    sampled = along_x.apply(along_z.apply(sampled, axis=1), axis=2)
                values[:, some.start - rows.start : some.stop - rows.start] = sampled.transpose(0, 1).numpy()
            if field.serves_all_times and len(times) > 1 and place == len(kept):
                kept.append(parts)
        yield values


def _told(reconstruction: Reconstruction, *, contamination: bool) -> dict[str, Any]:
    """Return what a store says of where it comes from."""
    config = json.loads(reconstruction.config.model_dump_json())
    return {
        "version": __version__,
        "torch": torch.__version__,
        "content": "contamination" if contamination else "potential",
        "value_unit": "V",
        "step": reconstruction.step,
        "seed": reconstruction.config.training.seed,
        "config": config,
        "provenance": dict(reconstruction.provenance),
    }


def _fingerprint(reconstruction: Reconstruction, told: dict[str, Any]) -> str:
    """Return what changes with any number of the field and any setting of the export."""
    digest = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16)
    for name, value in sorted(reconstruction.field.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        numbers = value.detach().cpu().contiguous().reshape(-1)
        for some in some_rows(numbers):  # of which large ones may lie on files
            digest.update(numbers[some].view(torch.uint8).numpy())
    return digest.hexdigest()
