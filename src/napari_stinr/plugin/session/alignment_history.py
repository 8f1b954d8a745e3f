"""What a person did to a pose, to be taken back step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_ACTS = 100
"""Acts that can be taken back; older ones are forgotten."""


@dataclass(frozen=True, eq=False)
class Act:
    """Something that was done.

    Parameters
    ----------
    title : str
        What, for people, such as ``"load needle.yaml"``.
    undo : callable
        Takes it back; a StinrError says why that is not possible.
    kind : str
        Acts of one kind right after each other, such as steps of one projection, are taken back together; "" for none.
    """

    title: str
    undo: Callable[[], None]
    kind: str = ""


class History:
    """Acts, the newest last."""

    def __init__(self) -> None:
        self._acts: list[Act] = []

    @property
    def newest(self) -> Act | None:
        """What would be taken back next."""
        return self._acts[-1] if self._acts else None

    def add(self, act: Act) -> None:
        """Remember an act; one of the same kind as the newest is a part of that."""
        if act.kind and self._acts and self._acts[-1].kind == act.kind:
            return
        self._acts = [*self._acts[1 - MOST_ACTS :], act]

    def replace_newest(self, act: Act) -> None:
        """Let another act stand for the newest."""
        self._acts = [*self._acts[:-1], act]

    def take_back(self) -> Act | None:
        """Take the newest act back; None where there is none. It is forgotten even where it cannot be taken back."""
        if not self._acts:
            return None
        act = self._acts.pop()
        act.undo()
        return act

    def clear(self) -> None:
        """Forget everything."""
        self._acts.clear()
