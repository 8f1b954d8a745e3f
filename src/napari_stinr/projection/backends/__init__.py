"""Where the projector runs: one module for each back end, all with the same numbers.

A back end is a module of this folder that calls :func:`register`; those whose name ends in ``_kernels`` are parts of
one. It may need a library that is not there, or a compiler: importing the module must not, building its projector may.
"""

from __future__ import annotations

import logging
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from torch import float32  # not torch itself: a module of this folder has that name

if TYPE_CHECKING:
    import torch

    from napari_stinr.fields.base import GridSlices, Slices
    from napari_stinr.projection.views import SliceShape, TiltRays

logger = logging.getLogger(__name__)

ROWS_TOGETHER = 16
"""Detector rows that the compiled kernels handle together: blocks of rows are multiples of it."""

_CANNOT_LOAD = (ImportError, OSError, RuntimeError)


class SlicesGradient(NamedTuple):
    """Gradient of the loss by what :class:`~napari_stinr.fields.base.Slices` are made of.

    Parameters
    ----------
    density : Tensor
        `(rows, depth, width)` float32.
    arrival, share : Tensor or None
        `(rows, depth, width)` float32; None where the slices have none.
    """

    density: torch.Tensor
    arrival: torch.Tensor | None = None
    share: torch.Tensor | None = None


def check_slices(slices: Slices, shape: SliceShape) -> None:
    """Check what compiled kernels cannot: they would read other numbers, or beyond the end.

    Parameters
    ----------
    slices : Slices
        What is projected.
    shape : SliceShape
        What the projector was made for.

    Raises
    ------
    ValueError
        A tensor has another shape or another type of numbers.
    """
    expected = (len(slices.density), shape.depth, shape.width)
    for values in (slices.density, slices.arrival, slices.share):
        if values is not None and (values.dtype != float32 or tuple(values.shape) != expected):
            found = f"{values.dtype} of {tuple(values.shape)}"
            raise ValueError(f"slices to be projected are {found}, expected float32 of {expected}")


def check_lattice(part: GridSlices, shape: SliceShape) -> None:
    """Check for grids what :func:`check_slices` checks.

    Parameters
    ----------
    part : GridSlices
        What is projected.
    shape : SliceShape
        What the projector was made for.

    Raises
    ------
    ValueError
        There are other numbers of positions, or values of another type.
    """
    z, _, x = part.lattice
    if (len(z), len(x)) != (shape.depth, shape.width) or any(v.dtype != float32 for v in part.values):
        found = f"{', '.join({str(values.dtype) for values in part.values})} for {len(z)} x {len(x)} voxels"
        raise ValueError(
            f"grids to be projected are {found}, expected float32 for {shape.depth} x {shape.width} voxels"
        )


Job = Callable[[int, int], None]
"""Does the work for some indices: takes the first, and what is beyond the last."""


class Projector(Protocol):
    """The projection of slices and its adjoint.

    Attributes
    ----------
    shape : SliceShape
        What it projects.
    device : torch.device
        Where slices and lines lie.
    """

    shape: SliceShape
    device: torch.device

    def project(self, slices: Slices, rays: TiltRays) -> torch.Tensor:
        """Return detector lines.

        Parameters
        ----------
        slices : Slices
            `(rows, depth, width)` part of a field.
        rays : TiltRays
            `(m,)` of the tilts to project for.

        Returns
        -------
        Tensor
            `(m, rows, n_pixels)` float32 projected potential [V times the unit of voxel_size].
        """
        ...

    def backproject(self, lines: torch.Tensor, slices: Slices, rays: TiltRays) -> SlicesGradient:
        """Return the gradients by what the slices are made of.

        Parameters
        ----------
        lines : Tensor
            `(m, rows, n_pixels)` float32 gradient of the loss by the detector lines.
        slices, rays
            As for :meth:`project`.

        Returns
        -------
        SlicesGradient
            By density, and by arrival time and share where there are some.
        """
        ...


@runtime_checkable
class KeepingProjector(Projector, Protocol):
    """A projector with an order of its own, in which it keeps what it has projected, and samples grids itself."""

    def project_and_keep(self, part: Slices | GridSlices, rays: TiltRays) -> tuple[torch.Tensor, Any]:
        """Return detector lines.

        Parameters
        ----------
        part : Slices or GridSlices
            What to project.
        rays : TiltRays
            `(m,)` of the tilts to project for.

        Returns
        -------
        lines : Tensor
            `(m, rows, n_pixels)` float32 projected potential [V times the unit of voxel_size].
        kept : object
            What :meth:`backproject_kept` needs.
        """
        ...

    def backproject_kept(
        self, lines: torch.Tensor, part: Slices | GridSlices, kept: Any, rays: TiltRays
    ) -> list[torch.Tensor]:
        """Return the gradients by what the part is made of.

        Parameters
        ----------
        lines : Tensor
            `(m, rows, n_pixels)` float32 gradient of the loss by the detector lines.
        part, rays
            As for :meth:`project_and_keep`.
        kept : object
            What that returned.

        Returns
        -------
        list of Tensor
            For each of the values of the part, with its shape.
        """
        ...


class Build(Protocol):
    """How a back end makes a projector; an ImportError, OSError or RuntimeError says that it cannot run here."""

    def __call__(self, shape: SliceShape, *, device: torch.device, threads: int) -> Projector:
        """Return a projector."""
        ...


@dataclass(frozen=True)
class BackEnd:
    """A way to compute projections.

    Parameters
    ----------
    name : str
        Its name in messages.
    build : callable
        Makes a projector.
    devices : tuple of str
        Types of torch's devices that it serves, e.g. ``("cpu",)``; empty: all.
    needs : str
        What must be installed.
    rank : int
        Of those that serve a device the one with the highest is taken.
    """

    name: str
    build: Build
    devices: tuple[str, ...]
    needs: str
    rank: int

    def serves(self, device: torch.device) -> bool:
        """Whether slices may lie on a device."""
        return not self.devices or device.type in self.devices


_BACK_ENDS: dict[str, BackEnd] = {}


def register(back_end: BackEnd) -> None:
    """Make a back end known, or replace the one of this name.

    Parameters
    ----------
    back_end : BackEnd
        The back end.
    """
    _BACK_ENDS[back_end.name] = back_end


def projector_for(shape: SliceShape, *, device: torch.device, threads: int = 1) -> Projector:
    """Return a projector of the best back end for a device that can be loaded.

    Parameters
    ----------
    shape : SliceShape
        What to project.
    device : torch.device
        Where the slices lie.
    threads : int
        Threads for back ends on a CPU.

    Returns
    -------
    Projector
        Compiled on a CPU and for CUDA, in plain torch elsewhere.

    Raises
    ------
    RuntimeError
        Not one back end can be loaded.
    """
    _discover()
    for back_end in sorted(_BACK_ENDS.values(), key=lambda other: -other.rank):
        if back_end.serves(device):
            try:
                return back_end.build(shape, device=device, threads=threads)
            except _CANNOT_LOAD as error:
                _say_once(back_end.name, back_end.needs, str(error))
    raise RuntimeError(f"no projector can be loaded for the device {device}")


@cache
def _discover() -> None:
    """Let every module of this folder register itself."""
    for module in pkgutil.iter_modules(__path__):
        if not module.name.endswith("_kernels"):
            try:
                import_module(f"{__name__}.{module.name}")
            except _CANNOT_LOAD as error:
                _say_once(module.name, "what it imports", str(error))


@cache
def _say_once(name: str, needs: str, reason: str) -> None:
    logger.warning("The projector %r, which needs %s, cannot be loaded (%s); the next is taken", name, needs, reason)
