"""Messages are short enough for the line that napari shows, and nothing of them is lost."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from helpers.places import SOURCE
from napari_stinr.plugin.session.failures import split_text, written_text
from napari_stinr.plugin.session.run_words import HEADLINE

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = (
    "",
    "Short.",
    "One line\nand another that is much longer than what napari shows of a message, but below.",
    "needle.rawtlt belongs to a stack: open that first, or drop both together.",
    "One at a time: not opened were a.mrc, b.mrc",
    "all projections of x are blank: all pixels of each are equal (3 in the last); expected at least 3. Check it.",
    "a_very_long_name_without_any_space_that_goes_on_and_on_and_on.mrc",
    "No atom is uncertain and nothing in the whole of this sentence divides it into parts",
    "The window stays open. A second sentence.\nAnd a line.",
)


@pytest.mark.parametrize("text", TEXTS)
def test_first_line_fits_and_every_word_is_there(text: str) -> None:
    split = split_text(text)
    assert len(split.partition("\n")[0]) <= HEADLINE
    words = split.replace("\n", " ").split()
    assert all(word in words for word in text.replace("\n", " ").split())
    assert split_text(split) == split


def test_it_breaks_where_a_person_would() -> None:
    assert split_text(TEXTS[3]) == "needle.rawtlt belongs to a stack:\nopen that first, or drop both together."
    assert split_text(TEXTS[7]).startswith("No atom is uncertain and nothing in the…\nNo atom")
    assert split_text("Short.") == "Short."


def test_a_written_file_is_named_first(tmp_path: Path) -> None:
    assert written_text(tmp_path / "clean.tif") == f"Wrote clean.tif\nin {tmp_path}"


def test_nobody_else_tells_napari() -> None:
    """Everything goes through `canvas.telling`."""
    others = []
    for file in (SOURCE / "napari_stinr" / "plugin").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "napari.utils.notifications":
                others.append(file.name)
    assert others == []
