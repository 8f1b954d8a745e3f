"""The settings of the training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_stinr.config.field_settings import Settings


class TrainingConfig(Settings):
    """How a field is fitted to the projections."""

    steps: int | None = Field(
        None, ge=1, description="Length of the training. automatic: as many steps as Visits asks for."
    )
    visits: int = Field(
        400,
        ge=1,
        description="Length of the training where Steps is automatic: how often every row of the images is used. "
        "Twice as many take twice as long.",
    )
    surface_visits: int = Field(
        150,
        ge=1,
        description="The same for each of the rounds that find the surface of the specimen, before the training"
        " proper.",
    )
    seed: int = Field(
        0,
        ge=0,
        description="Start of the random numbers. The same seed gives the same result; others show how much of it is "
        "chance.",
    )
    batches: Literal["blocks", "rays"] = Field(
        "blocks",
        description="What one step looks at. blocks: whole rows of several projections, which is fast; rays: single "
        "pixels, for the preset paper.",
    )
    tilts_per_step: int = Field(
        12,
        ge=1,
        description="Projections that one step looks at. More make a step longer and the result hardly better; with "
        "fewer, noise decides more of what was there at t = 0.",
    )
    early_tilts: int = Field(
        3,
        ge=0,
        description="How many of the first projections every step looks at: they show the specimen before anything "
        "grew.",
    )
    voxels_per_step: int = Field(
        400_000,
        ge=1,
        description="How large a part of the volume one step works on. Lower it where the memory does not suffice.",
    )
    blocks_per_step: int = Field(
        1,
        ge=1,
        le=4096,
        description="Blocks of that size in one step, each for a process of its own. A run that several processes "
        "share has as many as these were when it began; anything else has 1.",
    )
    rays_per_step: int = Field(
        256, ge=1, description="Pixels that one step looks at, where Batches is rays. More are steadier and slower."
    )
    density_rate: float = Field(
        0.12,
        gt=0,
        description="How large the changes of the volume are in one step. Lower it where the loss jumps or grows; "
        "raise it where it still falls at the end.",
    )
    arrival_rate: float = Field(
        0.03,
        gt=0,
        description="How large the changes of the arrival times are in one step. Lower it where the growth curve "
        "jumps [t per step].",
    )
    memory: Literal["short", "long"] = Field(
        "short",
        description="How many steps an earlier one is remembered for. short: half as many steps give the same result;"
        " long: steadier with much noise.",
    )
    warm_up_steps: int = Field(
        10,
        ge=1,
        description="Steps at the start in which the changes grow from small to full size, so that nothing jumps.",
    )
    first_width: float = Field(
        0.3,
        gt=0,
        description="How long the arrival of matter takes at the start of the training: slow, so that it can still "
        "move [t].",
    )
    last_width: float = Field(
        0.005, gt=0, description="How long the arrival of matter takes at the end of the training: nearly at once [t]."
    )
    anneal_until: float = Field(
        0.7, gt=0, le=1, description="Part of the training after which arrivals get no sharper, 0 to 1 [1]."
    )
    balance: float = Field(
        0.3,
        gt=0,
        description="How much fine detail counts beside coarse shapes. Small: fine detail is learnt early; large, 1 "
        "and more: coarse shapes first, and less noise [1].",
    )
    suppress_noise: bool = Field(
        True,
        description="Let detail that is finer than the noise allows count less. Switch it off for data without noise.",
    )
    margin: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How much is fitted beyond the edge of the images and not shown, as a part of their width. "
        "automatic: half of it where matter reaches the edge, else nothing [1].",
    )
    held_out: int = Field(
        0,
        ge=0,
        description="Projections that the training never sees. How well they are predicted tells whether the result "
        "can be trusted; about 1 in 30 is enough.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Number format of networks. auto: the short one (bfloat16) where the device is fast in it; "
        "float32: always the exact one.",
    )
