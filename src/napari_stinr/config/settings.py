"""The settings with their limits and defaults, the presets and the quality levels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_stinr.config.yaml_text import parse_settings
from napari_stinr.errors import StinrError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StaticFieldConfig(_Frozen):
    """A density on dyadic grids that does not change: what existing software assumes."""

    kind: Literal["static"] = "static"
    coarsest_nodes: int = Field(22, ge=2, le=256, description="Fewest nodes across that a grid of the density has.")
    features: int = Field(1, ge=1, le=64, description="Values held at every node; more than one needs hidden units.")
    hidden: int = Field(0, ge=0, le=512, description="Units in each of two hidden layers; 0: the grids are added up.")


class GrowthFieldConfig(StaticFieldConfig):
    """A density with an arrival time: specimen where it arrives before 0, contamination after."""

    kind: Literal["growth"] = "growth"  # type: ignore[assignment]
    arrival_spacings: tuple[float, ...] = Field(
        (8.0, 4.0), min_length=1, description="Distance of the nodes of each grid of the arrival time [voxels]."
    )
    arrival_start: float = Field(0.3, ge=-1, le=1, description="Arrival time everywhere before training [t].")


class JointFieldConfig(_Frozen):
    """One network of (z, y, x, t), as published by Chien, Ophus and Waller (2023)."""

    kind: Literal["joint"] = "joint"
    hidden: int = Field(64, ge=8, le=2048, description="Units in each hidden layer.")
    layers: int = Field(2, ge=1, le=16, description="Hidden layers.")
    spatial_frequencies: int = Field(4, ge=1, le=12, description="Octaves of the sinusoidal encoding of z, y and x.")
    time_frequencies: int = Field(
        1, ge=1, le=12, description="Octaves of the encoding of t; few, or t explains every tilt."
    )


FieldConfig = Annotated[GrowthFieldConfig | StaticFieldConfig | JointFieldConfig, Field(discriminator="kind")]


class TrainingConfig(_Frozen):
    """How a field is fitted to the projections."""

    steps: int | None = Field(
        None, ge=1, description="Steps of training; none: as many as visit every row `visits` times."
    )
    visits: int = Field(300, ge=1, description="How often every detector row is used, where steps are not given.")
    seed: int = Field(0, ge=0, description="Seed of everything that is random.")
    batches: Literal["blocks", "rays"] = Field(
        "blocks", description="Whole detector lines of many tilts, or single rays."
    )
    tilts_per_step: int = Field(32, ge=1, description="Tilts in a block.")
    early_tilts: int = Field(3, ge=0, description="Tilts nearest t = 0 that are part of every block.")
    voxels_per_step: int = Field(
        400_000, ge=1, description="Voxels in a block: decides how many rows are used at a time."
    )
    rays_per_step: int = Field(256, ge=1, description="Rays in a step, where the batches are rays.")
    density_rate: float = Field(
        0.12,
        gt=0,
        description="Learning rate of a network, or of the density for data of contrast 1 (see projection_contrast) "
        "where every step uses all rows; with more blocks of rows it is divided by the square root of their number.",
    )
    arrival_rate: float = Field(0.03, gt=0, description="Learning rate of the arrival time [t per step].")
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
    held_out: int = Field(
        0,
        ge=0,
        description="Projections kept out of the training, evenly over the time, to see how unseen data are predicted.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Number format of networks; auto: what a measurement at the start finds faster."
    )


class ReconstructionConfig(_Frozen):
    """Everything that decides a reconstruction, besides the data."""

    preset: str = "growth"
    field: FieldConfig = Field(default_factory=GrowthFieldConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    def to_yaml(self) -> str:
        """Return the settings as YAML that :meth:`from_yaml` reads back.

        Returns
        -------
        str
            YAML text.
        """
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str) -> ReconstructionConfig:
        r"""Read settings from YAML; what is not given keeps the value of the preset that it names.

        Parameters
        ----------
        text : str
            YAML text, e.g. ``"preset: growth\ntraining: {steps: 200}"``.

        Returns
        -------
        ReconstructionConfig
            The settings.

        Raises
        ------
        StinrError
            The text is not YAML, has aliases or is longer than any settings, or a setting has an unknown name or a
            value that is out of range.
        """
        given = parse_settings(text)
        base = preset_config(str(given.get("preset", "growth"))).model_dump(mode="json")
        for part, values in given.items():
            base[part] = (
                {**base[part], **values} if isinstance(values, dict) and isinstance(base.get(part), dict) else values
            )
        return _validated(base)

    def with_training(self, **changes: Any) -> ReconstructionConfig:
        """Return these settings with other settings of the training.

        Parameters
        ----------
        **changes
            Names and values of :class:`TrainingConfig`; None leaves a setting as it is.

        Returns
        -------
        ReconstructionConfig
            The new settings.

        Raises
        ------
        StinrError
            A setting has an unknown name or a value that is out of range.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        merged = self.model_dump(mode="json")
        merged["training"] = {**merged["training"], **given}
        return _validated(merged)

    def with_quality(self, name: str) -> ReconstructionConfig:
        """Return these settings with the length of the run, and what depends on it, of a quality level.

        Parameters
        ----------
        name : {"Quick look", "Standard", "High"}
            ``Standard``: as the preset has it. ``Quick look``: a quarter of the steps, each of them larger.
            ``High``: three times as many steps, half as large for the density.

        Returns
        -------
        ReconstructionConfig
            The new settings; they follow from the preset, not from the quality that these settings had.

        Raises
        ------
        StinrError
            No quality level has this name.
        """
        if name not in _QUALITIES:
            raise StinrError(
                f"the quality is {name!r}", expected="one of " + ", ".join(QUALITIES), cure="Choose one of these."
            )
        quality, base = _QUALITIES[name], preset_config(self.preset).training
        if base.batches == "rays":
            quality = _Quality(length=quality.length)
        return self.with_training(
            steps=None if base.steps is None else round(base.steps * quality.length),
            visits=round(base.visits * quality.length),
            density_rate=base.density_rate * quality.density_rate,
            arrival_rate=base.arrival_rate * quality.arrival_rate,
        )


class _Quality(_Frozen):
    """How a quality level differs from the preset.

    Parameters
    ----------
    length : float
        Factor of the number of steps.
    density_rate, arrival_rate : float
        Factors of the learning rates; those of a network on rays stay.
    """

    length: float = 1.0
    density_rate: float = 1.0
    arrival_rate: float = 1.0


_QUALITIES = {
    "Quick look": _Quality(length=0.25, density_rate=2.5, arrival_rate=2.5),
    "Standard": _Quality(),
    # Three times as long at the same rate, small noise-free series came out worse than at the standard length.
    "High": _Quality(length=3.0, density_rate=0.5),
}
QUALITIES = tuple(_QUALITIES)


def _validated(values: dict[str, Any]) -> ReconstructionConfig:
    try:
        return ReconstructionConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StinrError(
            f"the setting {where:.60} is {first['input']!r:.200}",
            expected=first["msg"][0].lower() + first["msg"][1:],
            cure="Correct it in the configuration.",
        ) from error


_PRESETS = {
    "growth": ReconstructionConfig(),
    "static": ReconstructionConfig(preset="static", field=StaticFieldConfig(), training=TrainingConfig(early_tilts=0)),
    "paper": ReconstructionConfig(
        preset="paper",
        field=JointFieldConfig(),
        training=TrainingConfig(
            batches="rays", steps=10_000, density_rate=0.02, warm_up_steps=50, suppress_noise=False
        ),
    ),
}
PRESETS = tuple(_PRESETS)


def preset_config(name: str) -> ReconstructionConfig:
    """Return the settings of a preset.

    Parameters
    ----------
    name : {"growth", "static", "paper"}
        ``growth``: a density with an arrival time, for contamination. ``static``: nothing changes, the comparison in
        every report. ``paper``: the published method, one network of (z, y, x, t) trained on random rays, for general
        dynamics.

    Returns
    -------
    ReconstructionConfig
        The settings.

    Raises
    ------
    StinrError
        No preset has this name.
    """
    if name not in _PRESETS:
        raise StinrError(
            f"the preset is {name!r:.60}",
            expected="one of " + ", ".join(PRESETS),
            cure="Choose one of these with --preset.",
        )
    return _PRESETS[name]
