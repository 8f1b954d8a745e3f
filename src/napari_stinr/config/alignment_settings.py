"""How a series is aligned before a field is fitted to it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_stinr.config.field_settings import Settings


class AlignmentConfig(Settings):
    """How it is found where every projection was recorded; a series that looks aligned is not moved."""

    method: Literal["off", "coarse", "joint"] = Field(
        "coarse",
        description="How the projections are brought into register before the training. coarse: by neighbouring "
        "projections and short fits; joint: longer fits that find the tilt angles, too; off: the "
        "projections are taken as they are.",
    )
