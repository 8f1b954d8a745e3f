"""Settings of the whole test run; no fixtures, so that every test shows what it stands on."""

from __future__ import annotations

import os
import signal

import pytest

from helpers.waiting import Gate

# Before anything imports torch or numba, which read these once. One thread each: the tests are small, and libraries
# that each start a thread per core slow one another down 10-40 times on a small machine.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# Slices are fetched in the thread that asks, so that a test sees the layer it has just changed.
os.environ.setdefault("NAPARI_ASYNC", "0")

# A shell lets what it starts in the background ignore Ctrl-C, and so would all processes that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

NO_SCREEN = bool(os.environ.get("STINR_NO_SCREEN"))

# What these import brings Qt, which cannot even be loaded where its system libraries are missing.
collect_ignore = [f"plugin/{room}" for room in ("hooks", "docks", "widgets")] if NO_SCREEN else []


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say why."""
    if item.get_closest_marker("qt") and NO_SCREEN:
        pytest.skip("no screen: STINR_NO_SCREEN is set")
    if item.get_closest_marker("gpu") and not has_gpu():
        pytest.skip("no CUDA or MPS device on this machine")


def pytest_runtest_teardown() -> None:
    """Let go of the threads that a test which failed has left waiting."""
    Gate.open_all()


def has_gpu() -> bool:
    """Whether torch finds a device other than the CPU."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()
