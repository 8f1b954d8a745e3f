"""Compile the kernels for NVIDIA's graphics processors while the program runs, and launch them.

Nothing has to be installed: builds of torch for CUDA bring the compiler NVRTC along, the driver loads what it makes,
and both have a documented interface in C. No compiler is loaded into the process beyond that: triton brings an LLVM
that does not live in one process with that of Mesa's software OpenGL, which napari may draw with.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import logging
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import platformdirs
import torch

from napari_stinr.errors import StinrError
from napari_stinr.io.output.atomic import atomic_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

KERNELS = ("project", "backproject")
GridSize = tuple[int, int, int]
Argument = torch.Tensor | int | float | None


class Launcher(Protocol):
    """What starts kernels."""

    def launch(self, name: str, arguments: Sequence[Argument], *, grid: GridSize, block: GridSize) -> None:
        """Start a kernel: whole numbers are its int, others its float, None is an empty pointer."""
        ...


def source() -> str:
    """Return the kernels as text in CUDA C."""
    return resources.files(__package__).joinpath("cuda_kernels.cu").read_text(encoding="utf-8")


class Kernels:
    """Compiled kernels of one device.

    Parameters
    ----------
    device : torch.device
        A CUDA device.

    Raises
    ------
    OSError
        Driver or compiler cannot be loaded.
    RuntimeError
        They refuse the kernels.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._driver = device, _driver()
        with torch.cuda.device(device):
            torch.cuda.current_stream().synchronize()  # a module is loaded into the context of torch
            major, minor = torch.cuda.get_device_capability()
            module = self._loaded(f"sm_{major}{minor}")
            self._functions = {name: self._function(module, name) for name in KERNELS}

    def launch(self, name: str, arguments: Sequence[Argument], *, grid: GridSize, block: GridSize) -> None:
        """Start a kernel on torch's stream; see :meth:`Launcher.launch`."""
        values = [as_c(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        with torch.cuda.device(self._device):
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            self._check(self._driver.cuLaunchKernel(self._functions[name], *grid, *block, 0, stream, pointers, None))

    def _loaded(self, architecture: str) -> ctypes.c_void_p:
        module, text = ctypes.c_void_p(), source()
        kept = _kept(text, architecture)
        binary = _read(kept)
        if binary and self._driver.cuModuleLoadData(ctypes.byref(module), binary) == 0:
            return module
        binary = _compiled(text, architecture)
        self._check(self._driver.cuModuleLoadData(ctypes.byref(module), binary))
        _keep(kept, binary)
        return module

    def _function(self, module: ctypes.c_void_p, name: str) -> ctypes.c_void_p:
        function = ctypes.c_void_p()
        self._check(self._driver.cuModuleGetFunction(ctypes.byref(function), module, name.encode()))
        return function

    def _check(self, result: int) -> None:
        if result:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(result, ctypes.byref(text))
            raise RuntimeError(f"the CUDA driver says: {(text.value or b'unknown error').decode()} ({result})")


@cache
def kernels_for(device: torch.device) -> Kernels:
    """Return the kernels of a device, compiled once."""
    return Kernels(device)


def as_c(argument: Argument) -> Any:
    """Return an argument in the form of ctypes."""
    if argument is None:
        return ctypes.c_void_p()
    if isinstance(argument, torch.Tensor):
        assert argument.is_contiguous()
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_int(argument) if isinstance(argument, int) else ctypes.c_float(argument)


def _driver() -> Any:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _compiled(text: str, architecture: str) -> bytes:
    """Return machine code for an architecture, such as ``sm_90``."""
    nvrtc, program = _nvrtc(), ctypes.c_void_p()
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17"]
    created = nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"cuda_kernels.cu", 0, None, None)
    try:
        if created == 0:
            created = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        if created:
            raise RuntimeError(f"NVRTC refuses the kernels ({created}): {_text(nvrtc, program, 'ProgramLog')[:500]!r}")
        return _text(nvrtc, program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(nvrtc: Any, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, text)
    return text.raw


def _nvrtc() -> Any:
    """Return the compiler that torch brings along."""
    reasons = []
    for name in _nvrtc_names():
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
    raise OSError(f"NVRTC is not found: {reasons[0] if reasons else 'this torch is not built for CUDA'}")


def _nvrtc_names() -> Iterator[str]:
    if torch.version.cuda is None:
        return
    major = torch.version.cuda.partition(".")[0]
    name, pattern = f"libnvrtc.so.{major}", f"libnvrtc.so.{major}*"
    if sys.platform == "win32":
        name, pattern = f"nvrtc64_{major}0_0.dll", f"nvrtc64_{major}*.dll"
    yield name
    # Wheels of torch have it beside their own libraries, or in a wheel of NVIDIA.
    spec = importlib.util.find_spec("nvidia")
    for folder in (Path(torch.__file__).parent / "lib", *map(Path, (spec and spec.submodule_search_locations) or ())):
        yield from (str(path) for path in sorted(folder.rglob(pattern)))


def _kept(text: str, architecture: str) -> Path:
    """Where machine code is kept from one start of the program to the next."""
    key = hashlib.sha256(f"{text}{architecture}{torch.version.cuda}".encode()).hexdigest()[:20]
    return Path(platformdirs.user_cache_dir("napari-stinr")) / "kernels" / f"{architecture}-{key}.cubin"


def _read(path: Path) -> bytes:
    """Machine code that was kept as a whole, else nothing."""
    try:
        digest, binary = path.read_bytes().split(b"\n", 1)
    except (OSError, ValueError):
        return b""
    return binary if hashlib.sha256(binary).hexdigest().encode() == digest else b""


def _keep(path: Path, binary: bytes) -> None:
    """Keep machine code; where it cannot be kept, the next start compiles again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path) as temporary:
            temporary.write_bytes(hashlib.sha256(binary).hexdigest().encode() + b"\n" + binary)
    except (OSError, StinrError) as error:
        logger.info("Compiled kernels cannot be kept in %s: %s", path, error)
