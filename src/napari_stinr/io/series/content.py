"""What tells the content of a file from others, whatever its name and date."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

_WHOLE_BYTES = 256 * 2**20
"""Files up to this size are fingerprinted whole, larger ones in pieces."""
_PIECES, _PIECE_BYTES = 256, 2**18


def fingerprint(path: Path) -> str:
    """Return what tells a content from others: of a large file many pieces count, evenly from its start to its end.

    Parameters
    ----------
    path : Path
        The file; an OSError says that it cannot be read.

    Returns
    -------
    str
        Hexadecimal.
    """
    size = path.stat().st_size
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        if size <= _WHOLE_BYTES:
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
        else:
            for start in np.linspace(0, size - _PIECE_BYTES, _PIECES).astype(np.int64):
                stream.seek(int(start))
                digest.update(stream.read(_PIECE_BYTES))
    return digest.hexdigest()
