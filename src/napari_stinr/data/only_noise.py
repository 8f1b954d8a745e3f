"""Whether the projections show anything beside noise, and matter that is there rather than missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.measurements import signal_fraction
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.data.measurements import Measurements

_STANDS_OUT = 4.0
"""Part of the power of a frequency that is no noise, in errors of that power: stacks of nothing but noise reach up to
3.7 by chance, and a specimen under four times as much noise 7."""
_ENOUGH = 2**23
"""Pixels that tell it; more take longer than it is worth."""
_MISSING = 0.1
"""How far below zero the mean is, as a part of the mean absolute value, before more is missing than there."""


def matter_notes(data: Measurements) -> tuple[Note, ...]:
    """Return what there is to say about projections that are below zero, where no matter can be.

    Parameters
    ----------
    data : Measurements
        What a field is fitted to.

    Returns
    -------
    tuple of Note
        Empty for projections of a specimen.
    """
    # In double precision without a copy: the sum of large numbers may be none in single precision.
    if data.measured.cpu().numpy().mean(dtype=np.float64) >= -_MISSING * data.mean_absolute:
        return ()
    text = (
        "More of the projections is below zero than above, where no matter can be: the volume may stay empty. Let the "
        "background be subtracted, or invert the contrast if matter is dark."
    )
    return (Note(NoteKind.NOISE, text),)


def noise_notes(data: Measurements, name: str) -> tuple[Note, ...]:
    """Return what there is to say about projections in which little stands out, for a loss in which noise counts less.

    Parameters
    ----------
    data : Measurements
        What a field is fitted to.
    name : str
        Name of the series, for messages.

    Returns
    -------
    tuple of Note
        Empty where something stands out.

    Raises
    ------
    StinrError
        No frequency holds more than white noise: all of them would count for nothing.
    """
    if data.mean_absolute > 0 and not data.signal_fraction.any():
        raise StinrError(
            f"{name or 'the series'} shows nothing but noise",
            expected="projections in which a specimen stands out",
            cure="Check that this is the right stack; where it is, bin it, or switch suppress_noise off.",
        )
    some = data.measured[:: math.ceil(data.measured.numel() / _ENOUGH)].cpu() / data.unit
    # A level is not noise, and no specimen either.
    some -= some.mean()
    if float(signal_fraction(some).max()) >= _STANDS_OUT / math.sqrt(some.shape[0] * some.shape[1]):
        return ()
    text = "Nothing in the projections stands out of their noise: what is reconstructed may be noise, too."
    return (Note(NoteKind.NOISE, text),)
