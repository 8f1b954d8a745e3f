"""A training that is stopped in the search for a surface goes on as if it had never stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.series_cases import growing_series
from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.training import whole_atoms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = preset_config("growth").with_training(steps=28)
SERIES = growing_series(n_tilts=21, width=31, height=7)


@pytest.fixture(scope="module", autouse=True)
def _whatever_shows_is_atoms() -> Iterator[None]:
    """After so few steps nothing stands apart yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_atoms, "_RESOLVED", 1.0)
        yield


def trainer() -> Trainer:
    return Trainer(SERIES, CONFIG, device="cpu", threads=1)


@pytest.fixture(scope="module")
def losses_at_once() -> list[float]:
    return [report.loss for report in trainer().run()]


# In the middle of a round, at the border of two, and to the volume, before and after atoms are told and decided on.
@pytest.mark.parametrize("stopped_at", [2, 5, 8, 15, 18, 21, 23, 25, 26])
@pytest.mark.parametrize("is_saved", [False, True], ids=["at hand", "from a file"])
def test_a_stop_in_any_stage_changes_no_number(
    stopped_at: int, is_saved: bool, losses_at_once: list[float], tmp_path: Path
) -> None:
    first, before = trainer(), []
    for report in first.run():
        before.append(report.loss)
        if report.step == stopped_at:
            first.stop()
    found = first.reconstruction()
    if is_saved:
        found.save(tmp_path / "run.stinr")
        found = load_reconstruction(tmp_path / "run.stinr")
    second = Trainer.resume(found, SERIES, device="cpu", threads=1)
    assert before + [report.loss for report in second.run()] == losses_at_once


def test_all_states_of_atoms_are_among_them(losses_at_once: list[float]) -> None:
    states = set()
    running = trainer()
    for report in running.run():
        if report.step in (19, 24, 27):
            atoms = running.field.atoms
            states.add(None if atoms is None else atoms.is_decided)
    assert states == {None, False, True}
