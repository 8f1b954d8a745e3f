"""How fast this machine trains: small pieces of the real work, timed within a second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.config import GrowthFieldConfig, JointFieldConfig, StaticFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields import GrowthField, JointField, StaticField
from napari_stinr.fields.joint import network_products
from napari_stinr.fields.network_rays import NetworkRays, RaySamples
from napari_stinr.projection.backends import ROWS_TOGETHER, projector_for
from napari_stinr.projection.operator import project_field
from napari_stinr.projection.views import SliceShape, Views
from napari_stinr.reconstruction.rendering import lattice_of
from napari_stinr.training.losses import balanced_loss, frequency_weights
from napari_stinr.training.optimisers import adam

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.fields import Field

PRODUCTS_OF_A_SAMPLE = network_products(JointFieldConfig())
"""Products in the network whose speed is measured, that of the preset `paper`, at every point."""

_WIDTH, _ROWS, _TILTS = 80, ROWS_TOGETHER, 32
_PARAMETERS = (128, 1, 128, 128)
_RAYS, _SAMPLES = 160, 96
_SECONDS_EACH = 0.1
"""Time after which a piece of work is not repeated any more [s]."""
_HOPE = 0.4
"""How far towards a machine without other programs the speed is taken to be, on a scale of factors: with three times as
much time as alone, estimates are off by less than two either way."""
_MOST_CROWDED = 16.0
"""Where clocks tell more than this, they are too coarse."""


@dataclass(frozen=True)
class Speed:
    """How fast a machine trains, on its CPU.

    Parameters
    ----------
    static_voxels : float
        Voxels of a static field that are sampled, projected and back-projected, counted once for every tilt, in blocks
        of 16 rows and 32 tilts [1/s].
    growth_voxels : float
        The same for a growth field [1/s].
    parameters : float
        Parameters of a field that receive their gradient and are updated [1/s].
    samples : float
        Points on rays at which the network of the preset `paper` is evaluated and differentiated [1/s].
    """

    static_voxels: float
    growth_voxels: float
    parameters: float
    samples: float


def measure_speed(threads: int) -> Speed:
    """Time small pieces of the work of a training; about half a second once the projector is compiled.

    Parameters
    ----------
    threads : int
        CPU threads that the training will have.

    Returns
    -------
    Speed
        About half way between the speed of this machine as it is now and what it would be without other programs:
        nobody knows whether those go on.
    """
    previous = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # as in the training: see Trainer.run
        update = _update_work()
        static_seconds = _typical(_block_work(threads, grows=False))
        growth_seconds = _typical(_block_work(threads, grows=True))
        update_seconds, ray_seconds = _typical(update), _typical(_ray_work(threads))
        faster = _crowding(update) ** _HOPE
    finally:
        torch.set_num_threads(previous)
    block_voxels = _ROWS * _WIDTH * _WIDTH * _TILTS
    return Speed(
        static_voxels=faster * block_voxels / static_seconds,
        growth_voxels=faster * block_voxels / growth_seconds,
        parameters=faster * float(np.prod(_PARAMETERS)) / update_seconds,
        samples=faster * _RAYS * _SAMPLES / ray_seconds,
    )


def _block_work(threads: int, *, grows: bool) -> Callable[[], None]:
    grid = VoxelGrid(_WIDTH, _ROWS, _WIDTH)
    field: Field
    if grows:
        field = GrowthField(grid, GrowthFieldConfig(), scale=1.0, width=0.1)
    else:
        field = StaticField(grid, StaticFieldConfig(), scale=1.0)
    shape = SliceShape(_WIDTH, _WIDTH, _WIDTH)
    projector = projector_for(shape, device=torch.device("cpu"), threads=threads)
    views = Views.at(np.linspace(-1, 1, _TILTS), np.linspace(0, 1, _TILTS), n_pixels=_WIDTH)
    lattice = lattice_of(grid)
    measured, weights = torch.ones(_TILTS, _ROWS, _WIDTH), frequency_weights(_WIDTH, balance=0.3)

    def work() -> None:
        lines = project_field(projector, field, lattice, views)
        balanced_loss(lines - measured, weights).backward()  # type: ignore[no-untyped-call]

    return work


def _update_work() -> Callable[[], None]:
    values = torch.nn.Parameter(torch.zeros(_PARAMETERS))
    optimiser = adam([values])
    rows = torch.arange(_ROWS)

    def work() -> None:
        optimiser.zero_grad(set_to_none=True)
        values.index_select(0, rows).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return work


def _ray_work(threads: int) -> Callable[[], None]:
    field = JointField(VoxelGrid(_SAMPLES, _SAMPLES, _SAMPLES), JointFieldConfig(), scale=1.0)
    along, across = torch.linspace(-1, 1, _SAMPLES).repeat(_RAYS), torch.linspace(-1, 1, _RAYS)
    ray = torch.arange(_RAYS).repeat_interleave(_SAMPLES)
    samples = RaySamples(along, across[ray], ray, across, torch.linspace(0, 1, _RAYS), spacing=1.0)
    rays, measured = NetworkRays(threads=threads), torch.ones(_RAYS)

    def work() -> None:
        rays.mean_square(field, samples, measured)[0].backward()  # type: ignore[no-untyped-call]

    return work


def _crowding(work: Callable[[], None]) -> float:
    """Return how many times longer than alone work of one thread takes beside other programs."""
    start, worked = time.perf_counter(), time.thread_time()
    while time.perf_counter() - start < _SECONDS_EACH:
        work()
    seconds, worked = time.perf_counter() - start, time.thread_time() - worked
    return min(max(1.0, seconds / max(worked, 1e-9)), _MOST_CROWDED)


def _typical(work: Callable[[], None]) -> float:
    work()  # compiles, and brings everything into memory
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < _SECONDS_EACH and len(seconds) < 7):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return median(seconds)
