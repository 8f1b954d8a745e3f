"""How a trainer is made: by this process alone, or by several together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training.trainer import Trainer


class Makers(Protocol):
    """What a training needs to get its trainer; options are those of :class:`Trainer`."""

    @property
    def part_here(self) -> float:
        """Part of all rows that this computer holds [1]."""
        ...

    def load(self, path: Path) -> Reconstruction:
        """Read a run to go on with."""
        ...

    def begin(
        self,
        series: TiltSeries,
        config: ReconstructionConfig,
        *,
        device: str,
        threads: int | None = None,
        pose: Pose | None = None,
        files: Path | None = None,
    ) -> Trainer:
        """Return a trainer for a new run."""
        ...

    def resume(
        self,
        run: Reconstruction,
        series: TiltSeries,
        *,
        device: str,
        threads: int | None = None,
        files: Path | None = None,
    ) -> Trainer:
        """Return a trainer that goes on with a run."""
        ...


class Alone:
    """One process, with all rows."""

    part_here = 1.0

    def load(self, path: Path) -> Reconstruction:
        """Read a run to go on with."""
        from napari_stinr.reconstruction import load_reconstruction

        return load_reconstruction(path)

    def begin(self, series: TiltSeries, config: ReconstructionConfig, **options: Any) -> Trainer:
        """Return a trainer for a new run."""
        from napari_stinr.training.trainer import Trainer

        return Trainer(series, config, **options)

    def resume(self, run: Reconstruction, series: TiltSeries, **options: Any) -> Trainer:
        """Return a trainer that goes on with a run."""
        from napari_stinr.training.trainer import Trainer

        return Trainer.resume(run, series, **options)


ALONE: Makers = Alone()
"""As everywhere but under torchrun."""
