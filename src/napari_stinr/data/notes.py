"""Notes on a tilt series: sentences for people, each with the kind by which the program knows it."""

from __future__ import annotations

from enum import StrEnum


class NoteKind(StrEnum):
    """What a note is about.

    ``FILE`` is what the reader of a format changed, assumed or left out, ``ANGLES_MISFIT`` why tilt angles that were
    found are not taken, ``ORDER_ASSUMED`` that nothing tells the times and stack order stands in for them, ``OTHER``
    what a script says in words of its own.
    """

    FILE = "file"
    ANGLES = "angles"
    ANGLES_MISSING = "angles missing"
    ANGLES_MISFIT = "angles misfit"
    RADIANS = "radians"
    TIMES = "times"
    ORDER_ASSUMED = "order assumed"
    PIXEL_SIZE = "pixel size"
    PIXEL_SIZE_MISSING = "pixel size missing"
    CROPPED = "cropped"
    BINNED = "binned"
    CONTRAST = "contrast"
    AXIS = "axis"
    DEFECTS = "defects"
    BACKGROUND = "background"
    INTENSITY = "intensity"
    ALIGNED = "aligned"
    MARGIN = "margin"
    COVERAGE = "coverage"
    GROWTH = "growth"
    NOISE = "noise"
    OTHER = "other"


class Note(str):
    """A sentence of a kind. It is its text wherever text is wanted, so that scripts print and search it as before.

    Parameters
    ----------
    kind : NoteKind
        What it is about: the program asks for this and never for words of the text.
    text : str
        The sentence.
    """

    __slots__ = ("_kind",)
    _kind: NoteKind

    def __new__(cls, kind: NoteKind, text: str) -> Note:
        """Return the text with its kind; neither can be changed."""
        note = super().__new__(cls, text)
        note._kind = kind
        return note

    def __reduce__(self) -> tuple[type[Note], tuple[NoteKind, str]]:
        # Of a copy: what `__new__` takes, in every protocol.
        return type(self), (self._kind, str(self))

    @property
    def kind(self) -> NoteKind:
        """What it is about."""
        return self._kind

    @property
    def text(self) -> str:
        """The sentence alone."""
        return str(self)


def as_note(text: str, kind: NoteKind = NoteKind.OTHER) -> Note:
    """Return a sentence as a note.

    Parameters
    ----------
    text : str
        One sentence; a note keeps its own kind.
    kind : NoteKind
        What it is about, where `text` is not a note yet.

    Returns
    -------
    Note
        The same text.
    """
    return text if isinstance(text, Note) else Note(kind, text)
