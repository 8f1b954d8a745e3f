"""The guide that is packed with the program, and where each page of the dock is in it."""

from __future__ import annotations

import re

import pytest

from napari_stinr.plugin.session.guide_text import guide_text, heading_of


def headings() -> list[str]:
    return re.findall(r"^#+ (.*)$", guide_text(), re.MULTILINE)


@pytest.mark.parametrize("page", ["Series", "Align", "Reconstruct", "Explore"])
def test_every_page_has_a_part_in_the_guide(page: str) -> None:
    found = heading_of(page, headings())
    assert found > 0
    assert page.lower() in headings()[found].lower()


def test_a_heading_that_is_the_name_goes_before_one_that_has_it() -> None:
    assert heading_of("Align", ["Guide", "Before you align", "align"]) == 2
    assert heading_of("Align", ["Guide", "Realigned", "Before you align"]) == 2
    assert heading_of("Align", ["Guide", "Movie"]) == 0


def test_no_picture_and_no_dead_link_is_left() -> None:
    text = guide_text()
    assert "![" not in text
    assert re.findall(r"\]\((?!https?:)", text) == []
    assert len(text) > 5000


def test_keys_stand_at_the_end() -> None:
    text = guide_text([("Alt+R", "Start a training")])
    assert text.rstrip().endswith("| **Alt+R** | Start a training |")
    assert "\n## Keys\n" in text
