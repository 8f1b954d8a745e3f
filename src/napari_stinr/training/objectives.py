"""What one step of training compares with what was measured: blocks of whole detector lines, or single rays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_stinr.config import JointFieldConfig
from napari_stinr.devices import gains_from_bfloat16
from napari_stinr.errors import StinrError
from napari_stinr.training.blocks import BlockObjective
from napari_stinr.training.rays import RayObjective

if TYPE_CHECKING:
    import torch

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.training.held_out import HeldOut


class Objective(Protocol):
    """What the training loop needs: a loss to differentiate, and a state to resume from."""

    def loss(
        self, field: torch.nn.Module, generator: torch.Generator, *, width: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of the next batch [1], and its relative residual |predicted - measured| / |measured| [1]."""
        ...

    def held_out_loss(self, field: torch.nn.Module, *, width: float) -> float:
        """Return the loss of the held-out projections, on the same scale [1]; NaN where nothing is held out."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Return what must be kept so that the batches go on exactly."""
        ...

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state."""
        ...


def has_network(config: ReconstructionConfig) -> bool:
    """Return whether the field holds a network, and not only grids that are added up.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings.

    Returns
    -------
    bool
        True for a joint field, and for a density with hidden units.
    """
    return isinstance(config.field, JointFieldConfig) or config.field.hidden > 0


def build_objective(
    series: TiltSeries,
    grid: VoxelGrid,
    config: ReconstructionConfig,
    *,
    device: torch.device,
    threads: int,
    held_out: HeldOut | None = None,
) -> Objective:
    """Build the objective that suits a configuration.

    Parameters
    ----------
    series : TiltSeries
        The data to train on.
    grid : VoxelGrid
        The voxels of the reconstruction.
    config : ReconstructionConfig
        The settings.
    device : torch.device
        Where to compute.
    threads : int
        Threads of the projector on a CPU.
    held_out : HeldOut, optional
        Projections that are predicted and not trained on.

    Returns
    -------
    BlockObjective or RayObjective
        Blocks of lines for a growth or static field, rays for a joint one.

    Raises
    ------
    StinrError
        The batches do not suit the field.
    """
    training = config.training
    is_joint = isinstance(config.field, JointFieldConfig)
    if (training.batches == "rays") != is_joint:
        raise StinrError(
            f"batches of {training.batches} for a {config.field.kind} field",
            expected="rays for a joint field, blocks for the others",
            cure="Set training.batches accordingly.",
        )
    bfloat16 = training.precision == "bfloat16" or (
        training.precision == "auto" and has_network(config) and gains_from_bfloat16(device)
    )
    if is_joint:
        return RayObjective(series, grid, training, device=device, bfloat16=bfloat16, held_out=held_out)
    return BlockObjective(series, grid, training, device=device, threads=threads, bfloat16=bfloat16, held_out=held_out)
