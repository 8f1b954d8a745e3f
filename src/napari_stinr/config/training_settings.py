"""The settings of the training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_stinr.config.field_settings import Settings


class TrainingConfig(Settings):
    """How a field is fitted to the projections."""

    steps: int | None = Field(
        None, ge=1, description="Steps of training; none: as many as visit every row `visits` times."
    )
    visits: int = Field(400, ge=1, description="How often every detector row is used, where steps are not given.")
    surface_visits: int = Field(
        150,
        ge=1,
        description="The same for each of the rounds that find the surface of the specimen, where the field has one.",
    )
    seed: int = Field(0, ge=0, description="Seed of everything that is random.")
    batches: Literal["blocks", "rays"] = Field(
        "blocks", description="Whole detector lines of many tilts, or single rays."
    )
    tilts_per_step: int = Field(
        12,
        ge=1,
        description="Tilts in a block. More make a step longer and the result hardly better; with fewer, noise decides "
        "more of what was there before the first projection.",
    )
    early_tilts: int = Field(3, ge=0, description="Tilts nearest t = 0 that are part of every block.")
    voxels_per_step: int = Field(
        400_000,
        ge=1,
        description="Voxels in a block: decides how many rows are used at a time; more on a GPU by default.",
    )
    rays_per_step: int = Field(256, ge=1, description="Rays in a step, where the batches are rays.")
    density_rate: float = Field(
        0.12,
        gt=0,
        description="Learning rate of a network, or of the density for data of contrast 1 (see projection_contrast) "
        "where every step uses all rows; with more blocks of rows it is divided by the square root of their number.",
    )
    arrival_rate: float = Field(0.03, gt=0, description="Learning rate of the arrival time [t per step].")
    memory: Literal["short", "long"] = Field(
        "short",
        description="How long a step remembers gradients (Adam's betas 0.5 and 0.9, or 0.9 and 0.99). With a short "
        "memory of the density the same error takes half as many steps; all else has a long one anyway.",
    )
    warm_up_steps: int = Field(10, ge=1, description="Steps over which the learning rates rise.")
    first_width: float = Field(0.3, gt=0, description="Duration of an arrival at the start [t].")
    last_width: float = Field(0.005, gt=0, description="Duration of an arrival at the end [t].")
    anneal_until: float = Field(0.7, gt=0, le=1, description="Fraction of the run after which the width stays [1].")
    balance: float = Field(
        0.3,
        gt=0,
        description="Floor of the frequency weight (|q|/q_nyquist + balance); large: plain least squares [1].",
    )
    suppress_noise: bool = Field(
        True, description="Let the frequency weight roll off where the data meet the noise floor."
    )
    margin: float | None = Field(
        None,
        ge=0,
        le=1,
        description="What is fitted beyond the view on each side and not shown, as a part of its width; none: half of "
        "it where matter reaches the edge of the projections, else nothing [1].",
    )
    held_out: int = Field(
        0,
        ge=0,
        description="Projections kept out of the training, evenly over the time, to see how unseen data are predicted.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Number format of networks; auto: bfloat16 where the device computes in it."
    )
