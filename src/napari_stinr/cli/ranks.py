"""Several processes that torchrun has started: the first one is the command line, the others are silent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import typer

from napari_stinr.training.distributed.place import launched, leave_stops_to_first

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_stinr.training.distributed.ranks import Ranks

_FAILED = 2


@contextlib.contextmanager
def several_processes(out: Path, *, device: str, threads: int | None) -> Iterator[Ranks | None]:
    """Come together with other processes as long as the block runs.

    Parameters
    ----------
    out : Path
        File of the run.
    device : str
        Where to compute.
    threads : int, optional
        CPU threads of each process.

    Yields
    ------
    Ranks or None
        What the first of them does; None: there is one.

    Raises
    ------
    typer.Exit
        In all but the first, once the run has ended.
    StinrError
        They do not come together.
    """
    place = launched()
    if place is None:
        yield None
        return
    if not place.leads:
        leave_stops_to_first()  # the next lines take seconds
    from napari_stinr.training.distributed.ranks import follow, leading

    if not place.leads:
        raise typer.Exit(0 if follow(place, device=device, threads=threads) else _FAILED)
    with leading(place, out, device=device) as ranks:
        yield ranks
