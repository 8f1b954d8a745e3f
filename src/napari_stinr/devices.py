"""Where to compute, with how many threads, and in which number format."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import psutil
import torch

from napari_stinr.cores import available_threads
from napari_stinr.errors import StinrError

logger = logging.getLogger(__name__)

_TRIALS = 4


@dataclass(frozen=True)
class DeviceInfo:
    """A device of this machine that can compute.

    Parameters
    ----------
    name : str
        What :func:`resolve_device` takes: ``cpu``, ``cuda:0``, ``mps``.
    label : str
        Name for people.
    free_bytes : int or None
        Memory that is free at the moment; None where it cannot be found out [bytes].
    """

    name: str
    label: str
    free_bytes: int | None


def list_devices() -> tuple[DeviceInfo, ...]:
    """Return the devices of this machine: the CPU first, then all that CUDA and MPS know. Never raises."""
    cores = available_threads()
    memory = int(psutil.virtual_memory().available)
    devices = [DeviceInfo("cpu", f"CPU, {cores} core{'s' if cores > 1 else ''}", memory)]
    try:
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            devices.append(_cuda_device(index))
        if torch.backends.mps.is_available():
            devices.append(DeviceInfo("mps", "Apple MPS", memory))  # the memory is that of the CPU
    except (RuntimeError, AssertionError, OSError) as error:
        logger.warning("The graphics processors could not be listed: %s", error)
    return tuple(devices)


def _cuda_device(index: int) -> DeviceInfo:
    name, label = f"cuda:{index}", torch.cuda.get_device_name(index)
    try:
        return DeviceInfo(name, label, int(torch.cuda.mem_get_info(index)[0]))
    except RuntimeError:  # another program has taken all of it
        return DeviceInfo(name, label, None)


def resolve_device(name: str) -> torch.device:
    """Return the device with a name.

    Parameters
    ----------
    name : str
        ``auto`` (the first CUDA device, else Apple's MPS, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns
    -------
    device
        The device.

    Raises
    ------
    StinrError
        This machine has no such device.
    """
    available = ["cpu"]
    if torch.cuda.is_available():
        available += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        available.append("mps")
    if name == "auto":
        return torch.device(available[1] if len(available) > 1 else "cpu")
    full_name = "cuda:0" if name == "cuda" else name
    if full_name not in available:
        raise StinrError(
            f"the device is {name!r}", expected="auto or one of " + ", ".join(available), cure="Choose one of these."
        )
    return torch.device(full_name)


def gains_from_bfloat16(device: torch.device) -> bool:
    """Measure whether matrix products are faster in bfloat16 than in float32.

    It pays on processors that have it in hardware and costs on those that do not, which no name tells.

    Parameters
    ----------
    device : torch.device
        Where to measure.

    Returns
    -------
    bool
        True where a layer of a network took less than 80 % of the time.
    """
    if device.type == "mps":
        return False
    return _layer_seconds(device, torch.bfloat16) < 0.8 * _layer_seconds(device, torch.float32)


def _layer_seconds(device: torch.device, dtype: torch.dtype) -> float:
    inputs = torch.ones(8192, 128, device=device, dtype=dtype)
    weights = torch.ones(128, 128, device=device, dtype=dtype)
    seconds = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        float((inputs @ weights)[0, 0])  # waits for the device
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
