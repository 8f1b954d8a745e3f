"""What is done to projections before a field is fitted to them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_stinr.config.field_settings import Settings


class PreprocessingConfig(Settings):
    """What is taken from the projections before they are reconstructed; what is not there is not touched."""

    axis: Literal["auto", "vertical", "horizontal"] = Field(
        "auto",
        description="Which way the tilt axis runs in the images. auto: images whose axis clearly lies along the rows "
        "are turned by 90 degrees.",
    )
    background: Literal["auto", "each", "off"] = Field(
        "auto",
        description="What the detector counts where there is nothing; it is subtracted. auto: one level for all "
        "projections, found in their empty parts; each: one for every projection; off: nothing is "
        "subtracted.",
    )
    background_level: float | None = Field(
        None, description="The same as a number; none: found in the projections [unit of the file]."
    )
    blank_images: Literal["mask", "keep"] = Field(
        "mask",
        description="What to do with images that show nothing because the beam was off. mask: they are left out; "
        "keep: they count as empty specimen.",
    )
    bad_pixels: Literal["mask", "keep"] = Field(
        "mask",
        description="What to do with hot, dead and saturated pixels and rows that were not written. mask: they are "
        "left out; keep: they count like all others.",
    )
    intensity: Literal["auto", "keep"] = Field(
        "auto",
        description="Whether brightness that jumps between projections or follows the tilt is evened out. auto: where"
        " the mass in the projections says so; keep: as recorded.",
    )


AS_RECORDED = PreprocessingConfig(
    axis="vertical", background="off", blank_images="keep", bad_pixels="keep", intensity="keep"
)
"""Nothing is done: the projections are what a field is fitted to."""
