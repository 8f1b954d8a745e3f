"""What kind of error ended a training, decided once; whoever tells a person finds the words for it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum

from napari_stinr.errors import StinrError

_MEMORY_IS_FULL = ("out of memory", "allocate memory")


class TrainingError(Exception):
    """Training failed: the loss is not finite. Not a RuntimeError, which GUI worker threads swallow."""


class LostError(StinrError):
    """Another process is gone, or has failed: nothing can be done together any more."""


class FailureKind(Enum):
    """What a person can do about it depends on this."""

    INPUT = "a file, a setting or an option is wrong"
    DIVERGED = "the loss is not finite"
    MEMORY = "the memory is full"
    OTHER = "the device or the program does not work"


@dataclass(frozen=True)
class Failure:
    """An error as text: the error itself would keep the frames of the training, and with them its tensors.

    Parameters
    ----------
    kind : FailureKind
        What it means.
    name : str
        Its class, to be shown only.
    text : str
        Its text in one line; may be empty.
    found, expected, cure : str
        Those of a `StinrError`, "" for other errors.
    """

    kind: FailureKind
    name: str
    text: str
    found: str = ""
    expected: str = ""
    cure: str = ""


def failure_of(error: BaseException) -> Failure:
    """Return what an error means.

    Parameters
    ----------
    error : BaseException
        What ended a training, or another task.

    Returns
    -------
    Failure
        Holds nothing of the error but its text.
    """
    name, text = type(error).__name__, " ".join(str(error).split())
    if isinstance(error, StinrError):
        return Failure(FailureKind.INPUT, name, text, error.found, error.expected, error.cure)
    if isinstance(error, TrainingError):
        return Failure(FailureKind.DIVERGED, name, text)
    return Failure(FailureKind.MEMORY if _says_memory_is_full(error, text) else FailureKind.OTHER, name, text)


def _says_memory_is_full(error: BaseException, text: str) -> bool:
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    # The allocators of some devices raise a RuntimeError, and only its text tells.
    return any(words in text.lower() for words in _MEMORY_IS_FULL)
