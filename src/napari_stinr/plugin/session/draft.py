"""A tilt series while it is being put together: what the page `Series` edits, valid or not yet.

A draft refers to what was found in the files and holds what a person corrects. The pixels are read when it becomes a
`TiltSeries`, by the function that a script uses, so that a script gives the same series.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.data.checks import is_same_size
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.data.numbers import number_text
from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.io.series.found import Found
from napari_stinr.io.series.reading import load_series, read_projections
from napari_stinr.io.series.sources import positions_by_name
from napari_stinr.plugin.session.draft_checks import Fault, fault_of
from napari_stinr.plugin.session.preview import MOST_BINNING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.data.margin import EdgeMatter
    from napari_stinr.data.preprocessing.crop import Crop
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.errors import StinrError
    from napari_stinr.io.series.found import FoundSeries
    from napari_stinr.plugin.session.preview import Preview
    from napari_stinr.reconstruction import Reconstruction

EDITED = "edited"
"""How a script must give angles or times that were typed into the table."""
_ANGLES_GIVEN = Note(NoteKind.ANGLES, "Tilt angles as given.")
_TIMES_GIVEN = Note(NoteKind.TIMES, "Times as given.")


@dataclass(frozen=True, eq=False)
class SeriesDraft:
    """What was found of a series, with the corrections of a person.

    Parameters
    ----------
    found : FoundSeries
        What the files say; its pixels are read when the series is wanted.
    preview : Preview
        What the window shows of the projections, as in the file or layer [the unit of the file]. It stays the same
        object while a person corrects the series.
    tilt_angles : ndarray
        `(n_tilts,)` tilt angles, NaN where not known [degrees].
    times : ndarray
        `(n_tilts,)` when each projection was taken [time_unit].
    used : ndarray
        `(n_tilts,)` bool, False where a projection is left out.
    name : str
        Name shown to people.
    described_by : tuple of Path
        ``.mdoc`` files that were given for them; a script must give them, too.
    sample : mapping, optional
        Settings of the simulation that the stack comes from.
    time_unit : str
        Unit of `times`.
    pixel_size : float, optional
        Width of a pixel of the stack [Å].
    flip_tilt : bool
        Opposite handedness.
    axis_offset : float
        Position of the rotation axis from the centre of the image [pixel].
    binning : int
        Pixels along each edge that are averaged into one.
    invert_contrast : bool
        Background minus projections, for a specimen that is darker than its surroundings.
    crop : Crop, optional
        Part of every projection that is used, before binning; all of it by default.
    preprocessing : mapping
        What a person decided about the preprocessing of this series: names and values of `PreprocessingConfig`, which
        come before those of the preset.
    accepted : frozenset of str
        What a person was asked about this series and left as it is, by the keys of `findings`.
    angles_argument, times_argument : str
        How a script gives them: "" found with the stack, a file, ``START:STEP``, an acquisition order, or ``"edited"``.
    pixel_size_given : bool
        The pixel size was typed in, and a script must give it.
    time_assumed : bool
        Nothing says when the projections were taken; stack order was assumed.
    notes : tuple of Note
        What the reader found, assumed or changed.
    """

    found: FoundSeries
    preview: Preview
    tilt_angles: NDArray[np.float64]
    times: NDArray[np.float64]
    used: NDArray[np.bool_]
    name: str = "tilt series"
    described_by: tuple[Path, ...] = ()
    sample: Mapping[str, Any] | None = None
    time_unit: str = ""
    pixel_size: float | None = None
    flip_tilt: bool = False
    axis_offset: float = 0.0
    binning: int = 1
    invert_contrast: bool = False
    crop: Crop | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    angles_argument: str = ""
    times_argument: str = ""
    pixel_size_given: bool = False
    time_assumed: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(n_tilts, height, width)` of the projections in the file or layer."""
        return self.preview.shape

    @property
    def is_turned(self) -> bool:
        """A person has said that the tilt axis is horizontal: the images are turned, and shown as they are trained."""
        return bool(self.preprocessing.get("axis") == "horizontal")

    @property
    def shown_shape(self) -> tuple[int, int, int]:
        """`(n_tilts, height, width)` of the projections as they are shown."""
        n_tilts, height, width = self.shape
        return (n_tilts, width, height) if self.is_turned else self.shape

    @property
    def n_tilts(self) -> int:
        """Number of projections, used or not."""
        return self.shape[0]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Image files in the order of the stack: one, or one for every tilt; none for what is in the viewer only."""
        return self.found.paths

    @property
    def path(self) -> Path | None:
        """File that the stack was read from, the first of several; None for one that is in the viewer only."""
        return self.paths[0] if self.paths else None

    def listed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the `(n_tilts,)` values in the order of a list in a file: that of the names of several files."""
        return values if len(self.paths) < 2 else values[np.argsort(positions_by_name(self.paths))]

    @property
    def cropped_shape(self) -> tuple[int, int, int]:
        """`(n_tilts, height, width)` of the part of the projections that is used, before binning."""
        return self.shape if self.crop is None else (self.n_tilts, *self.crop.shape)

    @property
    def binned_shape(self) -> tuple[int, int, int]:
        """`(n_tilts, height, width)` of the series after cropping and binning."""
        n_tilts, height, width = self.cropped_shape
        return n_tilts, height // self.binning, width // self.binning

    @property
    def edges(self) -> EdgeMatter:
        """In how many projections matter reaches the edge; a StinrError says that their file is lost."""
        return self.preview.edges_of(self.crop, is_dark=self.invert_contrast)

    @property
    def problem(self) -> str:
        """What is wrong and how to mend it, in one line; "" where the draft can be reconstructed."""
        fault = self.fault
        return "" if fault is None else str(fault.error)

    @property
    def fault(self) -> Fault | None:
        """What has to be changed before the series can be reconstructed, and what it is about."""
        return fault_of(self)

    def check(self) -> None:
        """Refuse what a person can change with a StinrError: the value found, the value expected and the cure."""
        fault = self.fault
        if fault is not None:
            raise fault.error

    @property
    def summary(self) -> str:
        """What will be reconstructed, in one line; for a draft without a problem."""
        n_tilts, height, width = self.binned_shape
        if self.is_turned:
            height, width = width, height
        angles = self.tilt_angles[self.used]
        size = ""
        if self.pixel_size is not None:
            edge = self.pixel_size * self.binning
            wide, high = (number_text(n * edge / 10) for n in (width, height))
            size = f" of {number_text(edge, 4)} Å ({wide} × {high} × {wide} nm)"
        return (
            f"{int(self.used.sum())} of {n_tilts} projections, {angles.min():.4g} to {angles.max():.4g}° → "
            f"{width} × {height} × {width} voxels{size}"
        )

    @property
    def filled_angles(self) -> NDArray[np.float64]:
        """`(n_tilts,)` tilt angles, with 0 for projections that are not used and have none [degrees]."""
        return np.where(np.isfinite(self.tilt_angles) | self.used, self.tilt_angles, 0.0)

    @property
    def excluded(self) -> list[int]:
        """Positions of projections that are left out."""
        return [int(index) for index in np.flatnonzero(~self.used)]

    def series(self) -> TiltSeries:
        """Read the tilt series with the corrections, with binning, exclusion and contrast applied.

        Returns
        -------
        TiltSeries
            What is reconstructed.

        Raises
        ------
        StinrError
            Something is wrong, see :meth:`check`, or the files cannot be read any more.
        """
        self.check()
        return load_series(
            self._corrected(),
            flip_tilt=self.flip_tilt,
            axis_offset=self.axis_offset,
            exclude=self.excluded,
            binning=self.binning,
            invert_contrast=self.invert_contrast,
            crop=self.crop,
            pixels=self._pixels_as_trained(),
        )

    def projections(self) -> Preview | NDArray[np.float32]:
        """Return the `(n_tilts, height, width)` projections as they are, to be written [the unit of the file or layer].

        A StinrError says that they do not fit into memory, or cannot be read any more.
        """
        if self.preview.binning == 1:
            return self.preview
        return read_projections(self.found, Binning(*self.shape[1:], 1))[0]

    def _pixels_as_trained(self) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None] | None:
        shown = self.preview.as_trained if self.binning == 1 else None
        if shown is None or self.crop is None:
            return shown
        values, mask = shown
        return self.crop.image(values), None if mask is None else self.crop.image(mask)

    def prepared(self, **decisions: Any) -> SeriesDraft:
        """Decide about the preprocessing of this series, by names and values of `PreprocessingConfig`."""
        return replace(self, preprocessing={**self.preprocessing, **decisions})

    def accept(self, question: str) -> SeriesDraft:
        """Leave as it is what a person was asked about."""
        return replace(self, accepted=self.accepted | {question})

    def _corrected(self) -> FoundSeries:
        """Put the corrections in place of what was found."""
        found = self.found
        angles, times = Found(self.filled_angles, _ANGLES_GIVEN), Found(self.times, _TIMES_GIVEN, self.time_unit)
        return replace(
            found,
            name=self.name,
            tilt_angles=found.tilt_angles if _is_as_found(found.tilt_angles, self.tilt_angles) else angles,
            times=found.times if _is_as_found(found.times, self.times) else times,
            pixel_size=self.pixel_size,
        )

    def with_rows(
        self, angles: NDArray[np.float64], times: NDArray[np.float64], used: NDArray[np.bool_]
    ) -> SeriesDraft:
        """Take over an edited table.

        Parameters
        ----------
        angles : ndarray
            `(n_tilts,)` tilt angles, NaN where not known [degrees].
        times : ndarray
            `(n_tilts,)` times [time_unit].
        used : ndarray
            `(n_tilts,)` bool.

        Returns
        -------
        SeriesDraft
            With these values; what did not change keeps its source.
        """
        same_angles = np.array_equal(angles, self.tilt_angles, equal_nan=True)
        same_times = np.array_equal(times, self.times)
        draft = self if same_angles else self.with_angles(np.asarray(angles, dtype=np.float64), EDITED)
        if not same_times:
            times = np.asarray(times, dtype=np.float64)
            draft = replace(draft, times=times, times_argument=EDITED, time_assumed=False)
        return replace(draft, used=np.asarray(used, dtype=bool))

    def with_angles(self, angles: NDArray[np.float64], argument: str) -> SeriesDraft:
        """Take other `(n_tilts,)` tilt angles [degrees], and how a script gives them; times by angles follow."""
        draft = replace(self, tilt_angles=angles, angles_argument=argument)
        if self.times_argument in ACQUISITION_ORDERS and np.isfinite(angles).all():
            return replace(draft, times=acquisition_rank(angles, self.times_argument).astype(np.float64))
        if self.time_assumed or not np.isfinite(self.tilt_angles).any():
            return draft
        # A table of times may list the old angles, and would be refused together with the new ones.
        return replace(draft, times=self.times.copy(), times_argument=EDITED)


def matching_draft(draft: SeriesDraft | None, reconstruction: Reconstruction) -> SeriesDraft | None:
    """Return the series that a reconstruction was made from, as far as size, voxel size and times tell.

    To be sure, the whole stack would have to be hashed; for the place of a layer this is enough.

    Parameters
    ----------
    draft : SeriesDraft or None
        The series that is open.
    reconstruction : Reconstruction
        From a file.

    Returns
    -------
    SeriesDraft or None
        The series with the binning of the run; None where it is another one.
    """
    if draft is None or draft.problem:
        return None
    if (float(draft.times.min()), float(draft.times.max())) != tuple(reconstruction.time_range):
        return None
    for binning in range(1, MOST_BINNING + 1):
        binned = replace(draft, binning=binning)
        voxel = 1.0 if draft.pixel_size is None else draft.pixel_size * binning
        own = binned.binned_shape[:0:-1] if draft.is_turned else binned.binned_shape[1:]
        same_shape = own == reconstruction.grid.shape[1:]
        if same_shape and is_same_size(voxel, reconstruction.voxel_size):
            return draft if binning == draft.binning else binned
    return None


def _is_as_found(found: Found | StinrError, values: NDArray[np.float64]) -> bool:
    return isinstance(found, Found) and found.values is values
