"""What can be exported in which format; the writing itself runs in the background and can be cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.analysis.contamination import is_static
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.pace import Update
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction


class Content(StrEnum):
    """What is written."""

    CLEAN = "Clean (t = 0)"
    AT_T = "Volume at t"
    CONTAMINATION = "Contamination at t"
    SERIES = "4D series"
    STATIC = "Static volume"


@dataclass(frozen=True)
class FileFormat:
    """A kind of file; where it `holds_series`, it can hold several times."""

    name: str
    ending: str
    holds_series: bool = True

    @property
    def label(self) -> str:
        """The name, with the ending where that says more."""
        says_more = self.ending.strip(".").replace(".", "-") != self.name.lower()
        return f"{self.name} ({self.ending})" if says_more else self.name


FORMATS = (
    FileFormat("ImageJ TIFF", ".tif"),
    FileFormat("OME-TIFF", ".ome.tif"),
    FileFormat("MRC", ".mrc", holds_series=False),
    FileFormat("OME-Zarr", ".ome.zarr"),
)


@dataclass(frozen=True, eq=False)
class Export:
    """One file to write.

    Parameters
    ----------
    reconstruction : Reconstruction
        Where the volumes come from.
    path : Path
        File to write, or folder where it is an OME-Zarr.
    content : Content
        What.
    t : float
        Time of the volume or the contamination [t].
    n_times : int
        Volumes of a 4D series, evenly from t = 0 to 1.
    may_replace : bool
        The person has agreed that a file of this name is replaced.
    """

    reconstruction: Reconstruction
    path: Path
    content: Content = Content.CLEAN
    t: float = 0.0
    n_times: int = 21
    may_replace: bool = False

    @property
    def times(self) -> list[float]:
        """Times of the volumes [t]."""
        if self.content is Content.SERIES:
            return [float(t) for t in np.linspace(0.0, 1.0, self.n_times)]
        return [0.0 if self.content in (Content.CLEAN, Content.STATIC) else self.t]

    def write(self, progress: Update) -> Path:
        """Write the file, whole or not at all.

        Parameters
        ----------
        progress : callable
            Told how far it is; ends the writing by raising.

        Returns
        -------
        Path
            What was written.

        Raises
        ------
        StinrError
            The file exists and must not be replaced, or cannot be written.
        """
        from napari_stinr.reconstruction.export import export_volumes

        export_volumes(
            self.reconstruction,
            self.path,
            times=self.times,
            contamination=self.content is Content.CONTAMINATION,
            overwrite=self.may_replace,
            progress=progress,
        )
        return self.path


def contents_of(reconstruction: Reconstruction | None) -> tuple[Content, ...]:
    """Return what can be written of a reconstruction: one that is static has no time, and nothing in it is clean."""
    if reconstruction is not None and is_static(reconstruction):
        return (Content.STATIC,)
    return tuple(content for content in Content if content is not Content.STATIC)


def first_folder(draft: SeriesDraft | None, last: Path | None) -> Path | None:
    """Return where a person looks for a file first: beside the stack, else where the last one went.

    Parameters
    ----------
    draft : SeriesDraft or None
        The series of the reconstruction.
    last : Path or None
        The file that was written last.

    Returns
    -------
    Path or None
        A folder that exists; None where nothing is known of one.
    """
    files = ([] if draft is None else list(draft.paths[:1])) + ([] if last is None else [last])
    return next((file.parent for file in files if file.parent.is_dir()), None)


def suggested_name(reconstruction: Reconstruction, content: Content, t: float, file_format: FileFormat) -> str:
    """Return a file name that says what is in the file.

    Parameters
    ----------
    reconstruction : Reconstruction
        What is exported.
    content : Content
        What of it.
    t : float
        Time [t].
    file_format : FileFormat
        In which format.

    Returns
    -------
    str
        Such as ``"needle_clean.tif"``.
    """
    stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in reconstruction.provenance.get("series", "series"))
    what = {
        Content.CLEAN: "clean",
        Content.AT_T: f"t{t:.3f}",
        Content.CONTAMINATION: f"contamination_t{t:.3f}",
        Content.SERIES: "4D",
        Content.STATIC: "static",
    }[content]
    return f"{stem}_{what}{file_format.ending}"


def check_format(content: Content, file_format: FileFormat) -> None:
    """Check that a format can hold what is asked for.

    Parameters
    ----------
    content : Content
        What is exported.
    file_format : FileFormat
        In which format.

    Raises
    ------
    StinrError
        It holds one volume only.
    """
    if content is Content.SERIES and not file_format.holds_series:
        raise StinrError(
            f"a 4D series as {file_format.name}",
            expected="a format for several times: " + ", ".join(kind.name for kind in FORMATS if kind.holds_series),
            cure="Choose one of these, or export one volume.",
        )
