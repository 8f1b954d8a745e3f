"""The pages for people: links lead somewhere, and the map shows the house as it is."""

from __future__ import annotations

import re

import pytest

from helpers.places import ROOT, SOURCE
from test_layers import FLOORS

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


def anchors(text: str) -> set[str]:
    """Names by which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text(encoding="utf-8")), target


def test_the_map_shows_every_room_on_its_floor():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = re.search(r"```text\n(.*?)```", text, flags=re.DOTALL).group(1)
    lines = [{*re.split(r"  +", line)[0].split(" | ")} for line in picture.splitlines()]
    # plugin itself holds nothing but its rooms.
    assert lines[::-1] == [floor for floor in FLOORS if floor != {"plugin"}]


def test_the_map_names_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = re.findall(r"`([\w./]+(?:\.py|\.yaml|/))`", text)
    assert names
    assert not [name for name in names if not any((top / name).exists() for top in (ROOT, SOURCE / "napari_stinr"))]
