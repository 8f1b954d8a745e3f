"""The CUDA kernels as C++: the same text, compiled for the CPU, so that its numbers are tested where no GPU is."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from napari_stinr.projection.backends.cuda_kernels import as_c, source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stinr.projection.backends.cuda_kernels import Argument, GridSize

_BEFORE = """
#include <cmath>
#include <cstddef>
#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(N)
struct Place { int x, y, z; };
struct float4 { float x, y, z, w; };
static Place blockIdx, blockDim, threadIdx;
#define __expf(x) std::exp(x)
#define __fdividef(x, y) ((x) / (y))
"""
# A launch is a loop over all blocks and threads; what it calls takes pointers to its arguments, as the driver does.
_AFTER = """
#define LAUNCH(NAME, ...) extern "C" void launch_##NAME(const int* grid, const int* block, void** a) { \\
  blockDim = {block[0], block[1], block[2]}; \\
  for (int n = 0; n < grid[0] * grid[1] * grid[2]; ++n) { \\
    blockIdx = {n % grid[0], n / grid[0] % grid[1], n / grid[0] / grid[1]}; \\
    for (int i = 0; i < block[0] * block[1] * block[2]; ++i) { \\
      threadIdx = {i % block[0], i / block[0] % block[1], i / block[0] / block[1]}; \\
      NAME(__VA_ARGS__); \\
    } \\
  } \\
}
#define P(T, I) *(T*)a[I]
#define F4 const float4*
#define F1 const float*
#define TILTS const long long*
LAUNCH(project, P(F4, 0), P(F4, 1), P(F4, 2), P(int, 3), P(TILTS, 4), P(int, 5), P(float, 6), P(int, 7), P(int, 8),
       P(int, 9), P(int, 10), P(int, 11), P(float4*, 12))
LAUNCH(backproject, P(F1, 0), P(F1, 1), P(F1, 2), P(F1, 3), P(int, 4), P(TILTS, 5), P(int, 6), P(float, 7), P(int, 8),
       P(int, 9), P(int, 10), P(int, 11), P(float*, 12), P(float*, 13), P(float*, 14))
"""


class CppKernels:
    """Kernels that run on the CPU, thread by thread."""

    def launch(self, name: str, arguments: Sequence[Argument], *, grid: GridSize, block: GridSize) -> None:
        values = [as_c(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        sizes = ((ctypes.c_int * 3)(*size) for size in (grid, block))
        getattr(_library(), f"launch_{name}")(*sizes, pointers)


def has_compiler() -> bool:
    return shutil.which("g++") is not None


@cache
def _library() -> Any:
    folder = Path(mkdtemp(prefix="stinr-kernels-"))
    text, library = folder / "kernels.cpp", folder / "kernels.so"
    text.write_text(_BEFORE + source() + _AFTER, encoding="utf-8")
    command = ["g++", "-O2", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-shared", "-fPIC", "-o", library, text]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return ctypes.CDLL(str(library))
