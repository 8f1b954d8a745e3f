"""What the tests of sessions have in common."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True, scope="module")
def _quick_collections() -> None:
    """Every training ends with a collection, which would spend its time on what the libraries keep for ever."""
    # A window that was open before has undone this for all.
    gc.freeze()
