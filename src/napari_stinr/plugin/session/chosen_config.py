"""The settings that follow from what was chosen by name, and whether they suit the series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.config import ReconstructionConfig, preset_config
from napari_stinr.data.checks import MINIMUM_TILTS

if TYPE_CHECKING:
    from napari_stinr.plugin.session.draft import SeriesDraft

PROJECTIONS_FOR_ONE_HELD_OUT = 30
"""One projection in so many is held out where the preferences leave it open; fewer projections, none."""


def chosen_config(preset: str, quality: str, draft: SeriesDraft | None, held_out: int) -> ReconstructionConfig:
    """Return the settings for a preset and a quality; `held_out` below 0 goes by the number of projections."""
    # What was decided about this series stays whatever is chosen.
    n_used = 0 if draft is None else int(draft.used.sum())
    number = n_used // PROJECTIONS_FOR_ONE_HELD_OUT if held_out < 0 else held_out
    decided = {} if draft is None else draft.preprocessing
    return preset_config(preset).with_quality(quality).with_training(held_out=number).with_preprocessing(**decided)


def held_out_problem(draft: SeriesDraft, config: ReconstructionConfig) -> str:
    """Return in one line what is wrong with the number of held-out projections; "" where enough are left."""
    held_out = config.training.held_out
    left = int(draft.used.sum()) - held_out
    if left >= MINIMUM_TILTS:
        return ""
    return (
        f"{held_out} held-out projections leave {left} for the training; expected at least {MINIMUM_TILTS}. "
        "Set fewer under Advanced."
    )
