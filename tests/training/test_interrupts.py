"""Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import signal

import pytest

from helpers.waiting import wait_for
from napari_stinr.training.interrupts import StopRequest, terminate_as_interrupt


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with terminate_as_interrupt(), StopRequest() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.requested
    with pytest.raises(KeyboardInterrupt), terminate_as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_that_meets_a_dying_object_is_not_lost() -> None:
    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with terminate_as_interrupt():
        dying = Dying()
        del dying
        with pytest.raises(KeyboardInterrupt):
            wait_for(lambda: False)
