"""A trained field: rendered, saved, loaded, predicted from, exported."""

from __future__ import annotations

from napari_stinr.reconstruction.reconstruction import Reconstruction, load_reconstruction

__all__ = ["Reconstruction", "load_reconstruction"]
