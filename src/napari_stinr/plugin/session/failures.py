"""What an error in a thread means to the person who sees it."""

from __future__ import annotations

from napari_stinr.errors import StinrError

_MEMORY_CURE = "Choose a larger binning in Tilt series, the CPU as device, or fewer voxels per step under Advanced."


def failure_text(error: BaseException, *, memory_cure: str = _MEMORY_CURE) -> str:
    """Return what an error means to the person who sees it, with the cure.

    Parameters
    ----------
    error : BaseException
        What ended the training, or another task.
    memory_cure : str
        What to do where the memory is full.

    Returns
    -------
    str
        One line.
    """
    kind, text = type(error).__name__, " ".join(str(error).split())
    if isinstance(error, StinrError):
        return text
    if isinstance(error, MemoryError) or "OutOfMemory" in kind or "out of memory" in text.lower():
        return f"The memory is full ({text or kind}). {memory_cure}"
    if kind == "TrainingError":
        return f"{text[:1].upper()}{text[1:]}. Lower the density rate under Advanced, or leave out bad projections."
    return f"{kind}: {text or 'no details'}. Try again; if it happens again, report it with what the terminal says."
