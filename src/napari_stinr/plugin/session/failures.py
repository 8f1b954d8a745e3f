"""What the errors and savings of a thread mean to the person in front of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.run_words import HEADLINE
from napari_stinr.plugin.session.states import NotNow
from napari_stinr.training.checkpoints import checkpoint_text, rescue_text
from napari_stinr.training.failures import Failure, FailureKind

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.training.events import Failed, Saved

_MEMORY_CURE = "Choose a larger binning on the page Series, the CPU as device, or fewer voxels per step under Advanced."


def failure_text(failure: Failure, *, memory_cure: str = _MEMORY_CURE) -> str:
    """Return in one line what an error means, with the cure."""
    text = failure.text
    match failure.kind:
        case FailureKind.INPUT:
            return text
        case FailureKind.MEMORY:
            return f"The memory is full ({text or failure.name}). {memory_cure}"
        case FailureKind.DIVERGED:
            cure = "Lower the density rate under Advanced, or leave out bad projections."
            return f"{text[:1].upper()}{text[1:]}. {cure}"
    details = text or "no details"
    return f"{failure.name}: {details}. Try again; if it happens again, report it with what the terminal says."


def notice_text(error: Exception) -> str:
    """Return an error for a notification of napari, which shows its first line before a click: what was found."""
    if not isinstance(error, StinrError) or isinstance(error, NotNow):
        return str(error)
    # Not capitalised: it often begins with the name of a file.
    return f"{error.found}.\nExpected {error.expected}. {error.cure}"


def split_text(text: str) -> str:
    """Return a text for a notification of napari: what it begins with, in a line that is seen, and all below.

    Parameters
    ----------
    text : str
        Sentences, of any length.

    Returns
    -------
    str
        The same text where its first line is short enough.
    """
    first, _, rest = text.partition("\n")
    if len(first) <= HEADLINE:
        return text
    # A sentence, else what comes before a colon or comma, else whole words.
    for mark in (". ", "; ", ": ", ", "):
        head, found, tail = first.partition(mark)
        if found and len(head) < HEADLINE:
            return "\n".join(filter(None, [head + found.rstrip(), tail, rest]))
    head = first[: HEADLINE - 1].rpartition(" ")[0] or first[: HEADLINE - 1]
    return f"{head}…\n{text}"


def written_text(path: Path, *, verb: str = "Wrote") -> str:
    """Return what to say of a file that was written: its name, and where it is below."""
    return f"{verb} {path.name}\nin {path.parent}"


def failed_text(failed: Failed) -> str:
    """Return in one line what ended a training, what is left of it and how to go on."""
    left = rescue_text(failed.kept, resume="go on with it by Resume from file….", last=failed.checkpoint)
    return f"{failure_text(failed.failure)} {left}".rstrip()


def saved_texts(saved: Saved) -> list[tuple[str, bool]]:
    """Return what there is to say about a file that was saved, or was not; with whether something went wrong."""
    kept, texts = saved.kept, []
    if kept.problem is not None:
        advice = " It is still here: save it with Save run…" if kept.path is None else ""
        result = f"The result is not saved as asked: {kept.problem}{advice}"
        texts.append((checkpoint_text(kept) if saved.is_checkpoint else result, True))
    if kept.path is not None:
        texts.append((f"Saved as {kept.path}", False))
    return texts
