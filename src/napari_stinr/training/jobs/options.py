"""What is asked of one job, in the words of `stinr train`, and the volumes that are written of its result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from napari_stinr.config.field_settings import Settings
from napari_stinr.errors import StinrError
from napari_stinr.training.jobs.asked import asked_config, pose_file, preprocessing_options

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.io.series.given import GivenSeries

EXCLUDING = (("steps", "seconds"), ("preset", "config"))
"""Options of which one job has one at most; one that is given for a job takes the other of the defaults away."""
CHECKPOINT_EVERY = 60.0
"""As for `stinr train` [s]."""
_MANY = 11


def _listed(value: Any) -> Any:
    """Let one value stand for a list of it, and nothing for an empty one."""
    return () if value is None else (value,) if isinstance(value, str | Path) else value


def _joined(value: Any) -> Any:
    """Join positions that are given as a list."""
    return "" if value is None else ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _times(value: Any) -> Any:
    """Let a whole number above 1 be so many times from 0 to 1, evenly."""
    if isinstance(value, str | int) and str(value).isdigit() and int(value) > 1:
        return tuple(f"{time:.10g}" for time in np.linspace(0.0, 1.0, int(value)))
    return _listed(value)


Files = Annotated[tuple[Path, ...], BeforeValidator(_listed)]
Positive = Annotated[float, Field(gt=0)]
Whole = Annotated[int, Field(ge=1)]


class Volume(NamedTuple):
    """A file to write of a reconstruction, as for :func:`napari_stinr.reconstruction.export.export_volumes`."""

    path: Path
    times: tuple[str, ...]
    contamination: bool


class ExportOptions(Settings):
    """Which volumes are written of a result, in which files."""

    clean: Files = ()
    contamination: Files = ()
    series: Files = ()
    times: Annotated[tuple[str, ...], BeforeValidator(_times), Field(min_length=1)] = Field(default=_times(_MANY))
    voxel_size: Positive | None = None

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """Every file that is written."""
        return (
            *(Volume(path, ("0",), False) for path in self.clean),
            *(Volume(path, ("1",), True) for path in self.contamination),
            *(Volume(path, self.times, False) for path in self.series),
        )


class JobOptions(Settings):
    """One job: the options of `stinr train`, a name, and what is exported. Paths are absolute."""

    name: str = Field(min_length=1)
    stack: Annotated[tuple[Path, ...], BeforeValidator(_listed), Field(min_length=1)]
    out: Path
    angles: str | None = None
    times: str | None = None
    pixel_size: Positive | None = None
    flip_tilt: bool = False
    axis_offset: float = 0.0
    exclude: Annotated[str, BeforeValidator(_joined)] = ""
    bin: Whole = 1
    invert_contrast: bool = False
    crop: str | None = None
    axis: Literal["auto", "vertical", "horizontal"] | None = None
    background: str | None = None
    keep_blank: bool = False
    keep_bad_pixels: bool = False
    keep_intensity: bool = False
    align: str | None = None
    preset: str | None = None
    config: str | None = None
    """Settings as YAML."""
    steps: Whole | None = None
    seconds: Annotated[float, Field(ge=0.1)] | None = None
    device: str = "auto"
    threads: Whole | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    checkpoint_every: Annotated[float, Field(ge=0)] = CHECKPOINT_EVERY
    export: ExportOptions = ExportOptions()

    @model_validator(mode="after")
    def _check_pairs(self) -> JobOptions:
        for first, second in EXCLUDING:
            if getattr(self, first) is not None and getattr(self, second) is not None:
                raise StinrError(
                    f"both {first} and {second} are given", expected="one of them at most", cure="Leave one out."
                )
        return self

    @property
    def preprocessing(self) -> dict[str, object]:
        """Settings of the preprocessing that are given."""
        return preprocessing_options(
            axis=self.axis,
            background=self.background,
            keep_blank=self.keep_blank,
            keep_bad_pixels=self.keep_bad_pixels,
            keep_intensity=self.keep_intensity,
        )

    @property
    def settings(self) -> ReconstructionConfig:
        """The settings of the run; a StinrError says which one is wrong."""
        return asked_config(
            preset=self.preset,
            settings=self.config,
            steps=self.steps,
            seed=self.seed,
            preprocessing=self.preprocessing,
            align=self.align,
        )

    @property
    def pose(self) -> Path | None:
        """File of the pose, where that is given."""
        return pose_file(self.align)

    def found(self) -> GivenSeries:
        """Find the series; a StinrError says what is wrong with it as far as its headers tell."""
        from napari_stinr.io.series.given import found_series

        return found_series(
            self.stack,
            angles=self.angles,
            times=self.times,
            pixel_size=self.pixel_size,
            flip_tilt=self.flip_tilt,
            axis_offset=self.axis_offset,
            exclude=self.exclude,
            binning=self.bin,
            invert_contrast=self.invert_contrast,
            crop=self.crop,
        )
