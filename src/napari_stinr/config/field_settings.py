"""The settings of each kind of field, and which kinds there are."""

from __future__ import annotations

from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, SerializeAsAny, TypeAdapter, model_validator

from napari_stinr.errors import StinrError


class Settings(BaseModel):
    """Settings that cannot be changed, take no unknown name, and no infinite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FieldSettings(Settings):
    """What the settings of every kind of field have; a kind sets `kind` to a text of its own.

    Attributes
    ----------
    kind : str
        Name of the kind, by which a file of settings and a saved run refer to it.
    batches : tuple of str
        What it can be trained on: ``"blocks"`` of whole detector lines, which need slices that can be differentiated,
        or ``"rays"``, which need the value at points.
    has_network : bool
        Whether there is a network, and not only grids that are added up: it decides learning rate, number format and
        threads.
    seeks_surface : bool
        Whether the surface of the specimen is found first, and the field told of it.
    """

    kind: str
    batches: ClassVar[tuple[str, ...]] = ("blocks",)

    @property
    def has_network(self) -> bool:
        """Whether there is a network, and not only grids that are added up."""
        return False

    @property
    def seeks_surface(self) -> bool:
        """Whether the surface of the specimen is found first, and the field told of it."""
        return False


class StaticFieldConfig(FieldSettings):
    """A density on dyadic grids that does not change: what existing software assumes."""

    kind: Literal["static"] = "static"
    coarsest_nodes: int = Field(
        22,
        ge=2,
        le=256,
        description="The volume is built from coarse and fine grids: points across the coarsest one. More of them "
        "make large smooth shapes slower to find.",
    )
    features: int = Field(
        1,
        ge=1,
        le=64,
        description="Numbers kept at every grid point. 1 is the volume itself; more only make sense with a network "
        "(Hidden above 0).",
    )
    hidden: int = Field(
        0,
        ge=0,
        le=512,
        description="Size of a small network behind the grids. 0: none, the grids are simply added up, which is "
        "fastest.",
    )
    blur: float = Field(
        0.6,
        ge=0,
        le=2,
        description="How wide the narrowest peak may be, as the standard deviation of a Gaussian. Larger gives "
        "smoother volumes with less noise; smaller, sharper ones [pixels].",
    )
    least_blur: float = Field(
        0.3,
        ge=0,
        le=10,
        description="The width of the narrowest peak is never set below this where the pixel size is known: images of"
        " atoms are wider than that [Å].",
    )
    band_limit: bool = Field(
        False,
        description="The older way of smoothing, before the blur was there. Only for repeating runs of that time.",
    )

    @property
    def has_network(self) -> bool:
        """Whether the values at the nodes are decoded, and not only added up."""
        return self.hidden > 0

    @model_validator(mode="after")
    def _check_decoder(self) -> StaticFieldConfig:
        if self.features > 1 and not self.hidden:
            raise StinrError(
                f"{self.features} features and no hidden units",
                expected="1 feature, or hidden units that decode them",
                cure="Set field.hidden, e.g. to 32, or field.features to 1.",
            )
        return self


class GrowthFieldConfig(StaticFieldConfig):
    """A density with an arrival time: specimen where it arrives before 0, contamination after."""

    kind: Literal["growth"] = "growth"  # type: ignore[assignment]
    # A stranger's file may list thousands, each of them a grid; more than a few are of no use.
    arrival_spacings: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (8.0, 4.0),
        min_length=1,
        max_length=32,
        description="How finely it is told when matter arrived: distance of the points of each grid of arrival times."
        " Smaller follows finer structure, and noise [voxels].",
    )
    arrival_start: float = Field(
        0.3,
        ge=-1,
        le=1,
        description="When matter is first guessed to arrive: 0 is the first projection, 1 the last one [t].",
    )
    # A run of an earlier version has none, and its file does not say so.
    has_surface: bool = Field(
        False,
        description="Find the surface of the specimen first: what is inside is specimen and does not change, and what"
        " is outside grew later. Without it every place decides on its own.",
    )

    @property
    def seeks_surface(self) -> bool:
        """As the settings say."""
        return self.has_surface


class JointFieldConfig(FieldSettings):
    """One network of (z, y, x, t), as published by Chien, Ophus and Waller (2023)."""

    batches: ClassVar[tuple[str, ...]] = ("rays",)
    kind: Literal["joint"] = "joint"
    hidden: int = Field(
        128, ge=8, le=2048, description="Size of each layer of the network. Larger shows more detail and takes longer."
    )
    layers: int = Field(
        2, ge=1, le=16, description="Number of layers of the network. More show more detail and take longer."
    )
    spatial_frequencies: int = Field(
        6, ge=1, le=12, description="How fine a detail the network can draw in space: each one more halves it."
    )
    time_frequencies: int = Field(
        1,
        ge=1,
        le=12,
        description="How fast the specimen may change in time. Keep it low: with more, every projection is explained "
        "by a specimen of its own.",
    )

    @property
    def has_network(self) -> bool:
        """Always."""
        return True


FIELD_KINDS: dict[str, type[FieldSettings]] = {
    "growth": GrowthFieldConfig,
    "static": StaticFieldConfig,
    "joint": JointFieldConfig,
}
"""Settings of every kind of field by its name; :func:`napari_stinr.fields.register` adds others."""


def _of_its_kind(value: Any) -> FieldSettings:
    """Validate the settings of a field by the class that its kind names."""
    if isinstance(value, FieldSettings) and type(value) in FIELD_KINDS.values():
        return value
    return _union(tuple(FIELD_KINDS.values())).validate_python(value)


@lru_cache(maxsize=4)
def _union(kinds: tuple[type[FieldSettings], ...]) -> TypeAdapter[FieldSettings]:
    union: Any = Annotated[reduce(or_, kinds), Field(discriminator="kind")]
    return TypeAdapter(union)


FieldConfig = Annotated[SerializeAsAny[FieldSettings], PlainValidator(_of_its_kind)]
