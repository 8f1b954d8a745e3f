"""Where things are, for tests that run other programs or read what lies beside the checkout."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
SOURCE = ROOT / "src"
SHARED_DATA = ROOT.parent / "shared" / "data"
"""Real and third-party series; not part of the project, and absent where only the project is."""
