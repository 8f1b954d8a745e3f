"""Where to compute, with how many threads, and in which number format."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import psutil
import torch
from llvmlite.binding import get_host_cpu_features

from napari_stinr.cores import available_threads
from napari_stinr.errors import StinrError

logger = logging.getLogger(__name__)

_BFLOAT16_FEATURES = ("avx512bf16", "amx-bf16")
_CUDA_WITH_BFLOAT16 = (8, 0)


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


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has instructions for products of matrices in bfloat16, where they are faster.

    Asked of the processor and not measured: which numbers a seed gives must not depend on what else is running.

    Parameters
    ----------
    device : torch.device
        Where to compute.

    Returns
    -------
    bool
        True for Intel and AMD processors with AVX512-BF16 or AMX and for CUDA from compute capability 8.0 on.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _CUDA_WITH_BFLOAT16
    try:
        features = get_host_cpu_features() if device.type == "cpu" else {}
    except RuntimeError:  # a processor that LLVM does not know
        return False
    return any(features.get(name, False) for name in _BFLOAT16_FEATURES)
