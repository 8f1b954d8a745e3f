"""The footprint of a voxel on the detector line: which pixels it touches, and with what weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from napari_stinr.projection.views import SliceShape, TiltRays

FOOTPRINT_TAPS = 4
"""Detector pixels that one voxel touches: the support of the Catmull-Rom cubic."""

FLATTENING = (1.1232, -0.0877, 0.0261)
"""Filter of a projected line, see :func:`~napari_stinr.fields.filters.filtered`: it gives back what the cubic takes
from high frequencies. Together they are within 5 % of 1 up to two thirds of the Nyquist frequency (least squares), so
that the volume does not make up for a footprint that is too soft."""


def catmull_rom_weights(fraction: torch.Tensor) -> torch.Tensor:
    """`(4, ...)` weights of the pixels from -1 to 2 for `(...)` distances from pixel 0 (Keys 1981, a = -1/2)."""
    # A linear footprint is a low-pass that the volume then over-corrects; the cubic one lowers the error of the
    # reconstruction by a third.
    f = fraction
    return torch.stack(
        [
            ((-0.5 * f + 1.0) * f - 0.5) * f,
            (1.5 * f - 2.5) * f * f + 1.0,
            ((-1.5 * f + 2.0) * f + 0.5) * f,
            (0.5 * f - 0.5) * f * f,
        ]
    )


FRACTION_BITS = 32
"""Bits behind the point of the numbers of :func:`fixed_point`."""


def fixed_point(rays: TiltRays) -> torch.Tensor:
    """Return what the kernels of a graphics processor need of every tilt, as integers in units of 2^-32.

    Sums of them are exact: a position on a detector line of a thousand pixels has an error of 3e-7 pixel, where single
    precision has one of 6e-5 and many graphics processors are slow in double precision, or have none.

    Parameters
    ----------
    rays : TiltRays
        `(m,)` of the tilts.

    Returns
    -------
    Tensor
        `(m, 4)` int64 cosine, sine, origin [2^-32 pixel] and time [2^-32 t], on the CPU.
    """
    return torch.stack([(values.double() * 2.0**FRACTION_BITS).round().long() for values in rays], dim=1)


def slice_footprint(
    shape: SliceShape, *, cosine: float, sine: float, origin: float, device: torch.device | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the projection matrix of one slice for one tilt, in the form of taps.

    Parameters
    ----------
    shape : SliceShape
        The slice and the detector line.
    cosine, sine : float
        Of the tilt angle.
    origin : float
        Where the rotation axis lies on the line [pixel].
    device : torch.device, optional
        Where the result lies; the CPU by default.

    Returns
    -------
    tuple of Tensor
        `(4, depth * width)` int64 detector pixels that each voxel touches, clamped to the line, and float32 weights,
        0 for pixels off the line.
    """
    z = torch.arange(shape.depth, dtype=torch.float64, device="cpu") - (shape.depth - 1) / 2
    x = torch.arange(shape.width, dtype=torch.float64, device="cpu") - (shape.width - 1) / 2
    u = (z[:, None] * sine + x[None, :] * cosine + origin).reshape(-1)
    below = torch.floor(u)
    weights = catmull_rom_weights((u - below).float())
    pixels = below.long()[None] + torch.arange(-1, 3)[:, None]
    inside = (pixels >= 0) & (pixels < shape.n_pixels)
    return pixels.clamp(0, shape.n_pixels - 1).to(device), (weights * inside).to(device)
