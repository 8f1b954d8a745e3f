"""Write volumes as OME-Zarr 0.5: block by block, whole or not at all, and on from where a kill has stopped it.

yaozarrs makes and checks the metadata, zarr the arrays. What is missing of a store reads as NaN in every program, and
every chunk has a checksum: what a disk or a copy has lost is never taken for empty space.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.endings import OME_ZARR_ENDING
from napari_stinr.io.output.atomic import check_target, flush_to_disk
from napari_stinr.io.output.atomic_folder import atomic_folder, note_progress, progress_of
from napari_stinr.io.output.ome_zarr_layout import ATTRIBUTES, PROGRAM, halved, image_of, shown_range
from napari_stinr.io.output.ome_zarr_reading import is_written_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from napari_stinr.io.output.ome_zarr_layout import StoreLayout

_SAMPLED_SLICES = 16
"""Slices of the last volume, which has the most matter, that tell which values are black and white."""


class StoreWriter:
    """A store while it is written; :func:`writing_store` makes one.

    Parameters
    ----------
    folder : Path
        Where it is made, from :func:`napari_stinr.io.output.atomic_folder.atomic_folder`.
    layout : StoreLayout
        What is written.
    name : str
        Name of the image.
    attributes : mapping
        What the store tells of itself beyond OME-Zarr, as JSON has it.
    fingerprint : str
        That of all that is written, "" where it will not be gone on with.
    """

    def __init__(
        self, folder: Path, layout: StoreLayout, name: str, *, attributes: Mapping[str, Any], fingerprint: str
    ) -> None:
        self._folder, self._layout, self._name, self._fingerprint = folder, layout, name, fingerprint
        self._levels, self.blocks = layout.levels, layout.blocks
        done = progress_of(folder)
        self.n_done = int(done.get("blocks", 0))
        """How many of :attr:`blocks` were written before, the first of them."""
        self._range = (float(done.get("lowest", np.inf)), float(done.get("highest", -np.inf)))
        if self.n_done > 0:
            self._arrays = self._taken_up()
        else:
            self._arrays = self._made(attributes)

    def put(self, step: int, block: int, values: NDArray[np.float32]) -> None:
        """Write the rows of one volume; they are on the disk when this returns.

        Parameters
        ----------
        step : int
            Which of the times.
        block : int
            Which of :attr:`blocks`.
        values : ndarray
            `(z, rows, x)` float32 values [V].

        Raises
        ------
        StinrError
            They are not finite.
        """
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise StinrError(
                "the volume holds values that are not finite (NaN or infinite)",
                expected="numbers: NaN stands for what is missing of an OME-Zarr",
                cure="Write a .tif, or put 0 in their place.",
            )
        self._range = (min(self._range[0], low), max(self._range[1], high))
        time = (step,) if self._layout.has_time else ()
        for number, (level, array) in enumerate(zip(self._levels, self._arrays, strict=True)):
            values = halved(values) if number > 0 else values
            start = block * level.shard[1]
            array[(*time, slice(None), slice(start, start + values.shape[1]))] = values
            flush_to_disk(self._folder.joinpath(str(number), "c", *map(str, (*time, 0, block, 0))))

    def close_block(self, block: int) -> None:
        """Note that a block is written for all times: what interrupts the export costs nothing of it any more."""
        low, high = self._range
        note_progress(self._folder, self._fingerprint, {"blocks": block + 1, "lowest": low, "highest": high})

    def finish(self) -> None:
        """Write what is known only at the end: which values are black and white."""
        import zarr

        every = max(1, self._layout.shape[0] // _SAMPLED_SLICES)
        where = (slice(every // 2, None, every),)
        start, end = shown_range(np.asarray(self._arrays[0][(-1, *where) if self._layout.has_time else where]))
        low, high = min(self._range[0], start), max(self._range[1], end)
        image = image_of(self._layout, self._name, window=(start, end, low, high))
        group = zarr.open_group(self._folder, mode="r+")
        group.attrs["ome"] = image.model_dump(mode="json", exclude_none=True)
        for path in self._folder.rglob("zarr.json"):
            flush_to_disk(path)

    def _made(self, attributes: Mapping[str, Any]) -> list[Any]:
        from yaozarrs.write.v05 import prepare_image

        layout = self._layout
        told = {
            "program": PROGRAM,
            "times": list(layout.times),
            "time_range": list(layout.time_range),
            "time_unit": layout.time_unit,
            "voxel_size": layout.voxel_size,
            "length_unit": layout.length_unit,
            **attributes,
        }
        _, arrays = prepare_image(
            self._folder,
            image_of(layout, self._name),
            [(layout.array_shape(level), "float32") for level in self._levels],
            extra_attributes={ATTRIBUTES: told},
            writer=self._make_array,
            overwrite=True,
        )
        return [arrays[str(number)] for number in range(len(self._levels))]

    def _make_array(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: Any,
        chunks: tuple[int, ...],
        *,
        shards: tuple[int, ...] | None,
        overwrite: bool,
        compression: Any,
        dimension_names: list[str] | None,
    ) -> Any:
        # The library has one size of chunks for all levels, and none of these goes into the blocks of another level.
        import zarr
        from zarr.codecs import BloscCodec, Crc32cCodec

        level, time = self._levels[int(path.name)], (1,) if self._layout.has_time else ()
        return zarr.create_array(
            str(path),
            shape=shape,
            dtype=dtype,
            chunks=(*time, *level.chunk),
            shards=(*time, *level.shard),
            compressors=(BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), Crc32cCodec()),
            fill_value=np.nan,
            dimension_names=dimension_names,
            zarr_format=3,
            overwrite=overwrite,
            config={"write_empty_chunks": True},
        )

    def _taken_up(self) -> list[Any]:
        import zarr

        # What zarr was writing when the process was killed.
        for half in self._folder.rglob("*.partial"):
            half.unlink()
        paths = [str(self._folder / str(number)) for number in range(len(self._levels))]
        return [zarr.open_array(path, mode="r+", config={"write_empty_chunks": True}) for path in paths]


@contextlib.contextmanager
def writing_store(
    path: str | os.PathLike[str],
    layout: StoreLayout,
    *,
    attributes: Mapping[str, Any] | None = None,
    fingerprint: str = "",
    overwrite: bool = True,
) -> Iterator[StoreWriter]:
    """Write volumes as OME-Zarr; the store is there, whole, when the block has ended without an error.

    Parameters
    ----------
    path : str or path-like
        Folder to write, ending in ``.ome.zarr``.
    layout : StoreLayout
        What is written.
    attributes : mapping, optional
        What the store tells of itself beyond OME-Zarr, as JSON has it: settings, seed, versions.
    fingerprint : str
        That of all that is written. A store that was left unfinished with the same one is gone on with.
    overwrite : bool
        Replace an OME-Zarr that this program wrote.

    Yields
    ------
    StoreWriter
        Takes the blocks.

    Raises
    ------
    StinrError
        yaozarrs is not installed, or the folder cannot be written or is not to be replaced.
    """
    check_installed()
    target = Path(path).expanduser()
    told = dict(attributes or {}) | ({"fingerprint": fingerprint} if fingerprint else {})
    name = target.name[: -len(OME_ZARR_ENDING)]
    with atomic_folder(
        target, check=lambda: check_store_target(target, overwrite=overwrite), fingerprint=fingerprint
    ) as folder:
        writer = StoreWriter(folder, layout, name, attributes=told, fingerprint=fingerprint)
        yield writer
        writer.finish()


def check_store_target(path: Path, *, overwrite: bool) -> None:
    """Check that an OME-Zarr may be written where it is meant to be; one of this program may be replaced.

    Parameters
    ----------
    path : Path
        Where the folder shall be.
    overwrite : bool
        Whether one that is there already may be replaced.

    Raises
    ------
    StinrError
        There is a file or a folder that this program did not write, or the parent folder is missing.
    """
    target = Path(os.path.realpath(path.expanduser()))
    if not target.is_dir():
        if target.is_file():
            raise StinrError(f"{target} is a file", expected="the name of a folder", cure="Choose another name.")
        check_target(target, overwrite=overwrite)
        return
    if not is_written_store(target):
        raise StinrError(
            f"{target} is there already and is a folder that napari-stinr did not write",
            expected="a new name, or that of an earlier export",
            cure="Choose another name, or remove that folder first if nobody needs it.",
        )
    if not overwrite:
        raise StinrError(
            f"{target} exists", expected="a new folder name", cure="Choose another name, or allow it to be replaced."
        )
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise StinrError(
            f"{target} is write-protected",
            expected="a folder that may be replaced",
            cure="Choose another name, or allow it to be changed.",
        )


def check_installed() -> None:
    """Check that what writes OME-Zarr is installed; a StinrError says how to get it."""
    try:
        import yaozarrs.write.v05
        import zarr
    except ImportError as error:
        raise StinrError(
            f"{error.name or 'yaozarrs'} is not installed",
            expected="yaozarrs and zarr, which write OME-Zarr",
            cure='Install them with: pip install "napari-stinr[zarr]", then try again.',
        ) from error
    del yaozarrs, zarr
