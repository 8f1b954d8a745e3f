"""What a project file holds of values and of other files: JSON for the first, place and fingerprint for the second."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.io.series.content import fingerprint

_KINDS = {"Crop": Crop}
"""Dataclasses that a value may be; nothing else is ever made from a name in a file."""


def encoded(value: Any) -> Any:
    """Return a value as JSON has it.

    Parameters
    ----------
    value : object
        Number, text, array, path, note, or a tuple, set, mapping or known dataclass of such.

    Returns
    -------
    object
        From which :func:`decoded` makes the same value.

    Raises
    ------
    TypeError
        It is of another kind.
    """
    match value:
        case np.ndarray():
            return {
                "array": [_number(one) for one in value.ravel().tolist()],
                "shape": value.shape,
                "of": str(value.dtype),
            }
        case np.generic():
            return encoded(value.item())
        case Note():
            return {"note": str(value), "about": str(value.kind)}
        case None | bool() | int() | str():
            return value
        case float():
            return {"number": str(value)} if not math.isfinite(value) else value
        case Path():
            return {"path": str(value)}
        case tuple() | list():
            return {"list": [encoded(one) for one in value]}
        case frozenset():
            return {"set": sorted(map(encoded, value))}
        case Mapping():
            return {"mapping": {str(name): encoded(one) for name, one in value.items()}}
    if is_dataclass(value) and type(value).__name__ in _KINDS:
        return {"kind": type(value).__name__, "values": {name: encoded(one) for name, one in asdict(value).items()}}  # type: ignore[arg-type]
    raise TypeError(f"{type(value).__name__} has no place in a project")


def decoded(value: Any) -> Any:
    """Return the value that :func:`encoded` gave as this.

    Parameters
    ----------
    value : object
        From JSON.

    Returns
    -------
    object
        The value; lists come as tuples.

    Raises
    ------
    LookupError, TypeError, ValueError
        It is malformed.
    """
    if not isinstance(value, dict):
        return value
    match value:
        case {"array": list(numbers), "shape": shape, "of": kind}:
            dtype = np.dtype(str(kind))
            if dtype.kind not in "biuf":
                raise ValueError(f"an array of {dtype}")
            return np.array([float("nan") if one is None else one for one in numbers], dtype=dtype).reshape(shape)
        case {"note": str(text), "about": about}:
            return Note(NoteKind(about), text)
        case {"number": text}:
            return float(text)
        case {"path": text}:
            return Path(text)
        case {"list": list(values)}:
            return tuple(map(decoded, values))
        case {"set": list(values)}:
            return frozenset(map(decoded, values))
        case {"mapping": dict(values)}:
            return {name: decoded(one) for name, one in values.items()}
        case {"kind": kind, "values": dict(values)}:
            return _KINDS[kind](**{name: decoded(one) for name, one in values.items()})
    raise ValueError(f"no value is {value!s:.60}")


@dataclass(frozen=True)
class FileReference:
    """Another file that a project needs: where it was, and what it was.

    Parameters
    ----------
    absolute, relative : str
        Its place on this computer, and from the folder of the project; that is "" where there is no way from there.
    size : int
        Its length [byte].
    fingerprint : str
        Of its content.
    """

    absolute: str
    relative: str
    size: int
    fingerprint: str

    @classmethod
    def of(cls, path: Path, folder: Path) -> FileReference:
        """Look at a file; an OSError says that it cannot be read.

        Parameters
        ----------
        path : Path
            The file.
        folder : Path
            Where the project will be.

        Returns
        -------
        FileReference
            As it is now.
        """
        absolute = path.expanduser().absolute()
        try:
            relative = Path(os.path.relpath(absolute, folder)).as_posix()
        except ValueError:  # another drive of Windows
            relative = ""
        return cls(str(absolute), relative, absolute.stat().st_size, fingerprint(absolute))

    @property
    def name(self) -> str:
        """Its name without a folder, wherever it was written."""
        return self.absolute.replace("\\", "/").rpartition("/")[2]

    def found(self, folder: Path, look_in: Path | None = None) -> Path | None:
        """Return where the file is now.

        Parameters
        ----------
        folder : Path
            Where the project is now.
        look_in : Path, optional
            A folder that a person named, which comes first.

        Returns
        -------
        Path or None
            With the same content where there are several; None where there is none.
        """
        places = [] if look_in is None else [look_in / self.name]
        # A project that was moved together with its files finds these, and not those that stayed.
        places += [folder / self.relative] if self.relative else []
        places += [Path(self.absolute), folder / self.name]
        there = [place for place in places if _is_file(place)]
        return next((place for place in there if self.is_same(place)), there[0] if there else None)

    def is_same(self, path: Path) -> bool:
        """Return whether a file has the content that this one had."""
        try:
            return path.stat().st_size == self.size and fingerprint(path) == self.fingerprint
        except OSError:
            return False


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
