"""The frequency-balanced loss of whole detector lines.

The least-squares Hessian of tomography falls off as 1/|q|, so plain least squares learns fine detail last. Weighting
the spectrum of the residual along the detector line by (|q|/q_nyquist + balance) makes all frequencies converge
together; it has the same minimum where there is no noise. Where the data sink into the noise the weight rolls off
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_stinr.fields.filters import gain

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST_GAIN = 0.05
"""Of a blur, where its loss is made up for: more would weigh what is not there."""


def frequency_weights(width: int, *, balance: float, blur: Sequence[float] | None = None) -> torch.Tensor:
    """`(width + 1,)` weight of every frequency of a line that is zero-padded to twice its width [1].

    A blur, given by its taps, makes the Hessian fall off by the square of its gain, too.
    """
    frequencies = torch.linspace(0, 1, width + 1)
    gains = torch.ones(width + 1) if blur is None else gain(blur, frequencies).clamp(min=_LEAST_GAIN)
    return (frequencies + balance) / (1 + balance) / gains.square()


def balanced_loss(residual: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the mean square of the spectra of `(..., width)` residuals, with `(width + 1,)` weights."""
    # It is the mean square of the residual where all weights are 1.
    width = residual.shape[-1]
    spectrum = torch.fft.rfft(residual, n=2 * width)
    # Every frequency but the first and the last stands for two, and Parseval's theorem brings 1 / (2 width).
    twice = torch.full((width + 1,), 2.0, device=residual.device)
    twice[0] = twice[-1] = 1.0
    power = torch.view_as_real(spectrum).square().sum(-1)
    return (power * (weights * twice)).sum() / (2 * width * residual.numel())
