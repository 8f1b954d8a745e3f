"""The runs of a session: what was trained or opened, in order, to come back to and to compare. No Qt in here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_stinr.plugin.session.run_log import RunLog

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

_RESIDUAL = "relative_residual"
_SERIES = "series"


@dataclass(frozen=True, eq=False)
class Run:
    """A training, or a reconstruction that was opened.

    Parameters
    ----------
    number : int
        From 1, in the order of the session; never given twice.
    preset : str
        Preset of its settings.
    series : str
        Name of the series.
    when : datetime
        When it began, or was opened.
    draft : SeriesDraft or None
        The series it was made from; None where only the reconstruction is known.
    found : SeriesDraft or None
        That series as its files told it.
    reconstruction : Reconstruction or None
        The newest one; None before the first.
    log : RunLog
        Its losses.
    name : str
        How a person calls it, "" for its number.
    is_opened : bool
        Whether it was not trained here.
    checkpoint : Path or None
        Where it is saved.
    contamination : float or None
        What had grown at the end, of the specimen; None where that was not measured, or means nothing [%].
    """

    number: int
    preset: str
    series: str
    when: datetime
    draft: SeriesDraft | None
    found: SeriesDraft | None
    reconstruction: Reconstruction | None
    log: RunLog
    name: str = ""
    is_opened: bool = False
    checkpoint: Path | None = None
    contamination: float | None = None

    @property
    def label(self) -> str:
        """Its name, or its number, such as ``"#2"``."""
        return self.name or f"#{self.number}"

    @property
    def title(self) -> str:
        """What its layers are named after, such as ``"growth · #2"``."""
        return f"{self.preset} · {self.label}"

    @property
    def residual(self) -> float | None:
        """How far its projections are from the measured ones, of these; None where that is not known [1]."""
        told = "" if self.reconstruction is None else self.reconstruction.provenance.get(_RESIDUAL, "")
        try:
            value = float(told)
        except ValueError:
            return None
        return value if math.isfinite(value) else None


class RunHistory:
    """The runs of one session, the oldest first."""

    changed = Signal()

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._number_of: WeakKeyDictionary[Reconstruction, int] = WeakKeyDictionary()
        self._last_number = 0
        self._going_on: int | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Those that have something to show."""
        return tuple(run for run in self._runs.values() if run.reconstruction is not None)

    def of(self, reconstruction: Reconstruction | None) -> Run | None:
        """Return the run that a reconstruction, or an earlier snapshot of it, belongs to.

        Parameters
        ----------
        reconstruction : Reconstruction or None
            Any.

        Returns
        -------
        Run or None
            None where it is of no run, or of one that was forgotten.
        """
        return None if reconstruction is None else self._runs.get(self._number_of.get(reconstruction, 0))

    def begin(self, draft: SeriesDraft | None, found: SeriesDraft | None, *, preset: str, log: RunLog) -> None:
        """Note that a training has begun; what comes until :meth:`end` is of this run.

        Parameters
        ----------
        draft : SeriesDraft or None
            Its series.
        found : SeriesDraft or None
            The series as its files told it.
        preset : str
            Preset of its settings.
        log : RunLog
            What will be reported.
        """
        self.end()
        name = "series" if draft is None else draft.name
        self._going_on = self._add(preset=preset, series=name, draft=draft, found=found, reconstruction=None, log=log)

    def take(self, reconstruction: Reconstruction) -> None:
        """Note the newest reconstruction of the training that has begun.

        Parameters
        ----------
        reconstruction : Reconstruction
            A snapshot, or the result.
        """
        number = self._going_on
        if number is None:
            return
        is_first = self._runs[number].reconstruction is None
        self._number_of[reconstruction] = number
        self._runs[number] = replace(self._runs[number], reconstruction=reconstruction, contamination=None)
        if is_first:
            self.changed.emit()

    def end(self, *, checkpoint: Path | None = None) -> None:
        """Note that the training has ended; without a result it is forgotten, and its number is free again.

        Parameters
        ----------
        checkpoint : Path, optional
            Where it was saved.
        """
        number, self._going_on = self._going_on, None
        if number is None:
            return
        if self._runs[number].reconstruction is None:
            del self._runs[number]
            self._last_number = number - 1
        else:
            self._runs[number] = replace(self._runs[number], checkpoint=checkpoint)
        self.changed.emit()

    def open(
        self, reconstruction: Reconstruction, draft: SeriesDraft | None = None, found: SeriesDraft | None = None
    ) -> Run:
        """Return the run of a reconstruction that came from elsewhere, made where there is none.

        Parameters
        ----------
        reconstruction : Reconstruction
            From a file, or from a script.
        draft : SeriesDraft, optional
            Its series, where that is known.
        found : SeriesDraft, optional
            That series as its files told it.

        Returns
        -------
        Run
            With the series, also where that was not known before.
        """
        known = self.of(reconstruction)
        if known is None:
            number = self._add(
                preset=reconstruction.config.preset,
                series=reconstruction.provenance.get(_SERIES, "series"),
                draft=draft,
                found=found,
                reconstruction=reconstruction,
                log=RunLog(),
                is_opened=True,
            )
            self._number_of[reconstruction] = number
        elif draft is not None and known.draft is not draft:
            number = known.number
            self._runs[number] = replace(known, draft=draft, found=found)
        else:
            return known
        self.changed.emit()
        return self._runs[number]

    def rename(self, run: Run, name: str) -> None:
        """Call a run by a name.

        Parameters
        ----------
        run : Run
            Which.
        name : str
            One line; "" for its number again.
        """
        self._change(run, name=" ".join(name.split()))

    def measure(self, run: Run, contamination: float | None) -> None:
        """Note how much contamination a run shows.

        Parameters
        ----------
        run : Run
            Which.
        contamination : float or None
            What had grown at the end, of the specimen [%].
        """
        self._change(run, contamination=contamination)

    def remember(self, run: Run, *, when: datetime, log: RunLog) -> None:
        """Note what is known of a run that was trained in another window.

        Parameters
        ----------
        run : Run
            Which.
        when : datetime
            When it began.
        log : RunLog
            Its losses.
        """
        self._change(run, when=when, log=log)

    def forget(self, run: Run) -> None:
        """Let a run go, with its memory; what was saved of it stays on the disk.

        Parameters
        ----------
        run : Run
            Not the one that is being trained.
        """
        if run.number != self._going_on and self._runs.pop(run.number, None) is not None:
            self.changed.emit()

    def clear(self) -> None:
        """Let all runs go."""
        self._runs.clear()
        self._going_on = None

    def _add(self, **facts: Any) -> int:
        self._last_number += 1
        self._runs[self._last_number] = Run(number=self._last_number, when=datetime.now().astimezone(), **facts)
        return self._last_number

    def _change(self, run: Run, **values: Any) -> None:
        if run.number in self._runs:
            self._runs[run.number] = replace(self._runs[run.number], **values)
            self.changed.emit()
