"""Limits that are checked before a library parses a file from a stranger, and before memory is taken for it.

A file of a few kilobytes can declare or expand to terabytes. What it declares is compared with its own size, with what
compression can do to real images, and with free memory.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

MAXIMUM_TEXT_BYTES = 8_000_000
"""No list of angles or times is longer; a larger file is something else."""
MAXIMUM_EXPANSION = 200
"""Times that a compressed file may grow: the noise of a measured image does not let it shrink nearly as much."""
HARMLESS_BYTES = 64_000_000
"""What a file may always expand to, however small it is."""
MAXIMUM_IMAGES = 100_000
"""No tilt series has more images; a header that says so is forged."""


def check_memory(needed: int, path: Path, *, shape: tuple[int, ...]) -> None:
    """Refuse to take more memory than is free.

    Parameters
    ----------
    needed : int
        Memory to be taken [byte].
    path : Path
        The file, for the message.
    shape : tuple of int
        What the file declares, for the message.

    Raises
    ------
    StinrError
        More memory is needed than is free.
    """
    import psutil  # type: ignore[import-untyped,unused-ignore]  # comes with napari

    free = int(psutil.virtual_memory().available)
    if needed > free:
        lengths = tuple(int(length) for length in shape)
        raise StinrError(
            f"{path.name} declares the shape {lengths}, which needs {needed / 1e9:.3g} GB",
            expected=f"less than the {free / 1e9:.3g} GB of free memory",
            cure="Bin or crop the images, or close other programs; if it is a small file, it is damaged.",
        )


def check_stored(needed: int, path: Path, *, what: str = "the images") -> None:
    """Refuse a file that ends before the last byte that it declares to store uncompressed."""
    found = path.stat().st_size
    if needed > found:
        raise StinrError(
            f"{path.name} cannot be read (it has {found} bytes)",
            expected=f"{needed} bytes for {what} that its header declares",
            cure="Copy or export the file again; it may be incomplete or of another kind than its ending says.",
        )


def check_expansion(shape: tuple[int, ...], itemsize: int, stored: int, path: Path) -> None:
    """Refuse numbers of `stored` bytes that expand as no measured image does, beyond what is harmless."""
    expanded = math.prod(int(length) for length in shape) * int(itemsize)
    if expanded > max(HARMLESS_BYTES, MAXIMUM_EXPANSION * stored):
        raise StinrError(
            f"{path.name} would expand {stored} bytes to the shape {tuple(shape)}, {expanded / 1e9:.3g} GB",
            expected=f"at most {MAXIMUM_EXPANSION} times the size in the file, as measured images are",
            cure="Do not trust it: it may be made to fill the memory. If it is yours, save it without compression.",
        )
