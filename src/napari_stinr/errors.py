"""The one exception type that tells a person what to mend."""

from __future__ import annotations


class StinrError(ValueError):
    """Input, an option or a file is wrong, and the person who gave it can mend it.

    Parameters
    ----------
    found : str
        What was found, with the value, e.g. ``"stack.rawtlt lists 60 tilt angles"``.
    expected : str
        What was expected, with the value, e.g. ``"61, one for every projection of stack.mrc"``.
    cure : str
        How to mend it, as an instruction, e.g. ``"Remove the extra image, or give --angles START:STEP."``.

    Notes
    -----
    The text is always one line, ``found; expected ... cure``, so that the command line and the plugin can show it
    unchanged. Letters that a terminal would obey, which may come from the name or content of a file, are left out.
    """

    def __init__(self, found: str, *, expected: str, cure: str) -> None:
        self.found = found
        self.expected = expected
        self.cure = cure
        text = f"{found}; expected {expected}. {cure}"
        super().__init__(" ".join("".join(letter if letter.isprintable() else " " for letter in text).split()))
