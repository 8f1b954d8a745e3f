"""How the processes that share a run talk: all of them add up, send and receive here and nowhere else.

The first one leads. It tells the others what is done next, and all do the same; so nobody has to guess what the others
are at. Texts go through the store that brings the processes together, which outlives each of them.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import asdict
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from napari_stinr.errors import StinrError
from napari_stinr.fields.storage import some_rows
from napari_stinr.training.distributed.place import device_for
from napari_stinr.training.failures import Failure, FailureKind, LostError, failure_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_stinr.training.distributed.place import Place

logger = logging.getLogger(__name__)

_WAITING = timedelta(days=30)
"""Longest time for which the others wait to be told what is next: while a series is aligned, or a file written."""
_WORKING = timedelta(minutes=10)
"""Longest time by which one process may be started later than another, or need longer for its part of a step."""
_FAILED = "failed"
_STILL_TOLD = 2.0
"""Time in which a process that fails can say why [s]."""


class Command(IntEnum):
    """What all processes do next."""

    BEGIN = 1
    """Read what the first process has put into the folder, and build the field."""
    STEP = 2
    """Do a step; the number is the part of the stage that is over."""
    NEXT_STAGE = 3
    """Go on to the next stage."""
    ATOMS = 4
    """Take the next step towards whole atoms; the number is as for a step."""
    SAVE = 5
    """Send what is as large as the volume to the first process."""
    END = 6
    """There is nothing more to do."""


class Team:
    """The processes that share a run.

    Parameters
    ----------
    place : Place
        Which one this is.

    Attributes
    ----------
    device : torch.device
        Where it computes: see :meth:`use`.
    is_broken : bool
        Nothing can be done together any more.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.device, self.is_broken = place, torch.device("cpu"), False
        with self._talking():
            store, rank, n_ranks = next(rendezvous("env://", place.rank, place.n_ranks, timeout=_WORKING))
            self._store = store
            dist.init_process_group("gloo", store=store, rank=rank, world_size=n_ranks, timeout=_WORKING)
            self._orders: dist.ProcessGroup | None = dist.new_group(backend="gloo", timeout=_WAITING)
            self._sums: dist.ProcessGroup | None = None  # that of all, on the CPU

    def use(self, name: str) -> None:
        """Compute on a device.

        Parameters
        ----------
        name : str
            ``auto``, ``cpu``, ``cuda``: each process of a computer takes another graphics processor.

        Raises
        ------
        StinrError
            Here or in another process there is no such device.
        """
        problem: StinrError | None = None
        try:
            self.device = device_for(name, self.place)
        except StinrError as error:
            problem = error
            self.fail(failure_of(error))
        n_failed = torch.tensor(float(problem is not None), dtype=torch.float64)
        self.add([], n_failed)
        if n_failed:
            self.is_broken = True
            raise problem or self._lost()
        if self.device.type == "cuda":
            with self._talking():
                self._sums = dist.new_group(backend="nccl", timeout=_WORKING)

    def tell(self, command: Command, number: float = 0.0) -> None:
        """Tell the others what is next."""
        self._number_of_all([float(command), number])

    def heard(self) -> tuple[Command, float]:
        """Wait for what is next."""
        command, number = self._number_of_all([0.0, 0.0])
        return Command(int(command)), number

    def add(self, tensors: Sequence[torch.Tensor], numbers: torch.Tensor) -> None:
        """Add up tensors on the device, and float64 numbers on the CPU, over all processes, in place."""
        # A step touches some of the rows: to send the others, which are zero everywhere, took longer than the sum.
        # Their bytes tell five times as fast as their numbers do.
        by_row = [tensor.unsqueeze(-1).flatten(1).view(torch.uint8) for tensor in tensors]
        touched = [(each.amax(1) > 0).to("cpu", torch.float64) for each in by_row]
        told = torch.cat([numbers.reshape(-1), *touched])
        with self._talking():
            dist.all_reduce(told)
        numbers.copy_(told[: numbers.numel()].view_as(numbers))
        if not tensors:
            return
        by_tensor = torch.split(told[numbers.numel() :], [*map(len, tensors)])
        rows = [part.nonzero()[:, 0].to(self.device) for part in by_tensor]
        parts = [tensor.index_select(0, some) for tensor, some in zip(tensors, rows, strict=True)]
        flat = torch.cat([part.flatten() for part in parts])
        with self._talking():
            dist.all_reduce(flat, group=self._sums)
        sums = torch.split(flat, [part.numel() for part in parts])
        for tensor, some, part, total in zip(tensors, rows, parts, sums, strict=True):
            tensor.index_copy_(0, some, total.view_as(part))

    def number(self, value: float) -> float:
        """Return a number that the first process has."""
        return self._number_of_all([value, 0.0])[0]

    def share(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give tensors, in place, the values that they have in the first process."""
        with self._talking():
            for tensor in tensors:
                here = tensor.detach().cpu().contiguous()
                dist.broadcast(here, 0, group=self._orders)
                if not self.place.leads:
                    tensor.detach().copy_(here)

    def send(self, tensor: torch.Tensor, *, to: int = 0) -> None:
        """Send all numbers of a tensor to a process."""
        flat = tensor.detach().reshape(-1)
        with self._talking():
            for some in some_rows(flat):
                dist.send(flat[some].cpu(), to, group=self._orders)

    def received(self, n: int, dtype: torch.dtype, *, origin: int = 0) -> Iterator[torch.Tensor]:
        """Receive `n` numbers that a process sends, some at a time; all of them have to be taken."""
        for some in some_rows(torch.empty(n, dtype=dtype, device="meta")):
            part = torch.empty(some.stop - some.start, dtype=dtype)
            with self._talking():
                dist.recv(part, origin, group=self._orders)
            yield part

    def put_text(self, name: str, text: str) -> None:
        """Let the others read a text."""
        with self._talking():
            self._store.set(name, text)

    def text(self, name: str) -> str:
        """Return a text that was put there."""
        with self._talking():
            return str(self._store.get(name), "utf-8")

    def fail(self, failure: Failure) -> None:
        """Tell the first process why this one cannot go on."""
        values = asdict(failure) | {"kind": failure.kind.name, "rank": self.place.rank}
        with contextlib.suppress(RuntimeError):
            self._store.set(_FAILED, json.dumps(values))

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Do something in which all have to take part: where one fails, they do not understand each other any more."""
        try:
            yield
        except BaseException:
            self.is_broken = True
            raise

    def end(self) -> None:
        """Leave; the first process lets the others go."""
        if self.place.leads and not self.is_broken:
            with contextlib.suppress(LostError):
                self.tell(Command.END)
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()

    def _number_of_all(self, values: list[float]) -> list[float]:
        numbers = torch.tensor(values, dtype=torch.float64)
        with self._talking():
            dist.broadcast(numbers, 0, group=self._orders)
        found: list[float] = numbers.tolist()
        return found

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        if self.is_broken:
            raise self._lost()
        try:
            yield
        except RuntimeError as error:  # as all errors of torch.distributed are
            logger.debug("The processes cannot talk any more", exc_info=True)
            self.is_broken = True
            raise self._lost() from error

    def _lost(self) -> LostError:
        failure = self._failure()
        if failure is None:
            return LostError(
                f"one of the {self.place.n_ranks} processes has ended, or does not answer",
                expected="all of them to the end",
                cure="Look into the messages of the system: often there was not enough memory.",
            )
        number, told = failure
        which = f"process {number} of {self.place.n_ranks}"
        if told.kind is FailureKind.INPUT:
            return LostError(f"{told.found} (in {which})", expected=told.expected, cure=told.cure)
        if told.kind is FailureKind.MEMORY:
            cure = "Start more processes on more computers, or give --bin 2."
            return LostError(f"the memory of {which} is full", expected="enough memory for its rows", cure=cure)
        return LostError(
            f"{which} has failed ({told.name}: {told.text or 'no details'})",
            expected="all of them to the end",
            cure="Start it again; if it happens again, report it.",
        )

    def _failure(self) -> tuple[int, Failure] | None:
        """Return which process has said why it failed, and what."""
        try:
            self._store.wait([_FAILED], timedelta(seconds=_STILL_TOLD))
            values = json.loads(self._store.get(_FAILED))
            number = int(values.pop("rank"))
            return number, Failure(**values | {"kind": FailureKind[values["kind"]]})
        except (RuntimeError, AttributeError, ValueError):  # nobody has said anything
            return None
