"""What pydantic finds wrong with settings, as the sentences of an error are made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pydantic import ValidationError


class Fault(NamedTuple):
    """The first thing that is wrong: the setting by where it stands, its value, and what it should be."""

    where: tuple[str | int, ...]
    value: Any
    expected: str


def settings_fault(error: ValidationError) -> StinrError | None:
    """Return what the settings themselves say about values that do not go together.

    Parameters
    ----------
    error : ValidationError
        From a validation of settings.

    Returns
    -------
    StinrError or None
        None where it is about a single value.
    """
    fault = error.errors()[0].get("ctx", {}).get("error")
    return fault if isinstance(fault, StinrError) else None


def first_fault(error: ValidationError) -> Fault:
    """Return what is wrong with a single value.

    Parameters
    ----------
    error : ValidationError
        From a validation of settings.

    Returns
    -------
    Fault
        What was expected begins with a small letter.
    """
    first = error.errors()[0]
    return Fault(first["loc"], first["input"], first["msg"][:1].lower() + first["msg"][1:])
