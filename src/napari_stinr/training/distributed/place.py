"""Which process this is of those that torchrun has started; known without torch."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.cores import available_threads
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    import torch

    from napari_stinr.config import ReconstructionConfig


@dataclass(frozen=True)
class Place:
    """The place of a process among several.

    Parameters
    ----------
    rank : int
        Its number, from 0: the first one leads.
    n_ranks : int
        How many there are, 2 or more.
    local_rank : int
        Its number on this computer, from 0.
    n_local : int
        How many there are on this computer.
    """

    rank: int
    n_ranks: int
    local_rank: int
    n_local: int

    @property
    def leads(self) -> bool:
        """Whether it is the first one."""
        return self.rank == 0

    @property
    def part_here(self) -> float:
        """Part of all rows that this computer holds [1]."""
        return self.n_local / self.n_ranks


def launched() -> Place | None:
    """Return the place of this process.

    Returns
    -------
    Place or None
        From the environment that torchrun sets; None where there is one process.

    Raises
    ------
    StinrError
        The environment makes no sense.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    given = {name: os.environ[name] for name in names if name in os.environ}
    if not {"RANK", "WORLD_SIZE"} <= given.keys() or "MASTER_ADDR" not in os.environ:
        return None
    try:
        rank, n_ranks = int(given["RANK"]), int(given["WORLD_SIZE"])
        local, n_local = int(given.get("LOCAL_RANK", rank)), int(given.get("LOCAL_WORLD_SIZE", n_ranks))
    except ValueError:
        rank = n_ranks = local = n_local = -1
    if not (0 <= rank < n_ranks and 0 <= local < n_local <= n_ranks):
        raise StinrError(
            f"the environment has {', '.join(f'{name}={value}' for name, value in given.items())}",
            expected="what torchrun sets",
            cure="Start several processes with torchrun, or unset these variables.",
        )
    return None if n_ranks == 1 else Place(rank, n_ranks, local, n_local)


def config_for(config: ReconstructionConfig, place: Place) -> ReconstructionConfig:
    """Return the settings of a new run that several processes share: a block of rows in every step for each.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings.
    place : Place
        How many there are.

    Returns
    -------
    ReconstructionConfig
        What the run keeps, so that its numbers are the same whoever goes on with it.

    Raises
    ------
    StinrError
        Such a run cannot be shared.
    """
    check_shareable(config, place)
    same = config.training.blocks_per_step > 1
    return config if same else config.with_training(blocks_per_step=place.n_ranks)


def check_shareable(config: ReconstructionConfig, place: Place) -> None:
    """Refuse a kind of field whose rows are not independent of each other; a StinrError says so."""
    if config.field.has_network or config.training.batches != "blocks":
        raise StinrError(
            f"{place.n_ranks} processes share a run with the preset {config.preset!r} and a network",
            expected="growth or static, without a network: every row of a network has to do with all others",
            cure="Start it without torchrun, or with --preset growth.",
        )


def check_rows(height: int, most: int, place: Place) -> None:
    """Refuse more processes than there are rows in a step; a StinrError says so."""
    if place.n_ranks > most:
        raise StinrError(
            f"{place.n_ranks} processes share {height} rows, {most} in a step",
            expected=f"at most {most} processes",
            cure=f"Start {most} or fewer.",
        )


def device_for(name: str, place: Place) -> torch.device:
    """Return the device of one of several processes.

    Parameters
    ----------
    name : str
        What was asked for: ``auto``, ``cpu`` or ``cuda``.
    place : Place
        Which process it is.

    Returns
    -------
    device
        A graphics processor for each process of a computer, or the CPU for all.

    Raises
    ------
    StinrError
        There is none, or it is one that processes cannot share or not reach together.
    """
    import torch

    from napari_stinr.devices import resolve_device

    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name not in ("auto", "cuda") and not (name == "cuda:0" and place.n_local == 1):
        raise StinrError(
            f"the device of {place.n_ranks} processes is {name!r}",
            expected="auto, cpu or cuda: with cuda, each process of a computer takes a graphics processor of its own",
            cure="Choose one of these.",
        )
    return resolve_device(f"cuda:{place.local_rank}")


def threads_for(given: int | None, place: Place) -> int:
    """Return the threads of one of several processes: by default, those of a computer share its cores."""
    return given or max(1, available_threads() // place.n_local)


def leave_stops_to_first() -> None:
    """Let Ctrl-C and SIGTERM do nothing here: all end with the first process, which decides what a stop means."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
