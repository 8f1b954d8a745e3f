"""The frequency-balanced loss of whole detector lines.

The least-squares Hessian of tomography falls off as 1/|q|, so plain least squares learns fine detail last. Weighting
the spectrum of the residual along the detector line by (|q|/q_nyquist + balance) makes all frequencies converge
together; it has the same minimum where there is no noise. Where the data sink into the noise the weight rolls off
again.
"""

from __future__ import annotations

import numpy as np
import torch

_MEDIAN_TO_SIGMA = 0.6745
"""Median absolute value of a normal deviate, in standard deviations."""


def frequency_weights(width: int, *, balance: float) -> torch.Tensor:
    """Return the weight of every frequency of a detector line that is zero-padded to twice its width.

    Parameters
    ----------
    width : int
        Pixels of the line.
    balance : float
        Floor of the weight; large values give plain least squares [1].

    Returns
    -------
    Tensor
        `(width + 1,)` weights, 1 at the Nyquist frequency.
    """
    return (torch.linspace(0, 1, width + 1) + balance) / (1 + balance)


def noise_level(projections: torch.Tensor) -> float:
    """Estimate the standard deviation of white noise in projections that show some empty space.

    Parameters
    ----------
    projections : Tensor
        `(n_tilts, height, width)` projections [any unit].

    Returns
    -------
    float
        Median absolute diagonal detail at the finest scale over 0.6745 (Donoho and Johnstone 1994) [the same unit].
    """
    even = projections[:, : projections.shape[1] // 2 * 2, : projections.shape[2] // 2 * 2]
    if not even.numel():
        return 0.0
    detail = even[:, ::2, ::2] - even[:, 1::2, ::2] - even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return float(detail.abs().median()) / 2 / _MEDIAN_TO_SIGMA


def signal_fraction(projections: torch.Tensor) -> torch.Tensor:
    """Return how much of every frequency of the detector lines is signal (Wiener's filter).

    Parameters
    ----------
    projections : Tensor
        `(n_tilts, height, width)` projections [any unit].

    Returns
    -------
    Tensor
        `(width + 1,)` fraction of the power that is not white noise, smoothed over neighbouring frequencies, 0 to 1.
    """
    width = projections.shape[-1]
    power = torch.zeros(width + 1)
    for stack in torch.split(projections, max(1, 2**22 // projections[0].numel())):
        power += torch.fft.rfft(stack, n=2 * width).abs().square().sum(dim=(0, 1)).cpu()
    power /= projections.shape[0] * projections.shape[1]
    radius = max(1, width // 32)
    window = np.ones(2 * radius + 1) / (2 * radius + 1)
    smooth = np.convolve(np.pad(power.numpy(), radius, mode="edge"), window, mode="valid")
    noise = noise_level(projections) ** 2 * width
    return torch.from_numpy(np.clip(1 - noise / np.maximum(smooth, 1e-30), 0.0, 1.0)).float()


def balanced_loss(residual: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean square of the spectra of detector lines.

    Parameters
    ----------
    residual : Tensor
        `(..., width)` predicted minus measured lines [any unit].
    weights : Tensor
        `(width + 1,)` weight of every frequency.

    Returns
    -------
    Tensor
        Scalar [the unit squared]; the mean square of the residual where all weights are 1.
    """
    width = residual.shape[-1]
    spectrum = torch.fft.rfft(residual, n=2 * width)
    # Every frequency but the first and the last stands for two, and Parseval's theorem brings 1 / (2 width).
    twice = torch.full((width + 1,), 2.0, device=residual.device)
    twice[0] = twice[-1] = 1.0
    power = torch.view_as_real(spectrum).square().sum(-1)
    return (power * (weights * twice)).sum() / (2 * width * residual.numel())
