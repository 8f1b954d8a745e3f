"""What is done to projections before a field is fitted to them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_stinr.config.field_settings import Settings


class PreprocessingConfig(Settings):
    """What is taken from the projections before they are reconstructed; what is not there is not touched."""

    axis: Literal["auto", "vertical", "horizontal"] = Field(
        "auto",
        description="Direction of the tilt axis in the images; auto: turned by 90 degrees where it clearly lies along "
        "the rows.",
    )
    background: Literal["auto", "each", "off"] = Field(
        "auto",
        description="What the detector counts where there is no matter; auto: one level for all projections, found in "
        "their empty parts; each: one for every projection; off: nothing is subtracted.",
    )
    background_level: float | None = Field(
        None, description="The same as a number; none: found in the projections [unit of the file]."
    )
    blank_images: Literal["mask", "keep"] = Field(
        "mask", description="Images that show nothing, because the beam was off."
    )
    bad_pixels: Literal["mask", "keep"] = Field(
        "mask", description="Hot, dead and saturated pixels, and rows that were not written."
    )
    intensity: Literal["auto", "keep"] = Field(
        "auto",
        description="Gain of single projections, and exposures that follow the tilt; auto: from the mass in the "
        "projections over the time.",
    )


AS_RECORDED = PreprocessingConfig(
    axis="vertical", background="off", blank_images="keep", bad_pixels="keep", intensity="keep"
)
"""Nothing is done: the projections are what a field is fitted to."""
