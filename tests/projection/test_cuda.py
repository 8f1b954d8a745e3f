"""Kernels for NVIDIA's graphics processors: compiled at run time, kept on disk, passed over where they cannot be."""

from __future__ import annotations

import logging
import shutil
import subprocess
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from helpers.cuda_as_cpp import CppKernels, has_compiler
from napari_stinr.fields.base import Slices
from napari_stinr.projection import backends
from napari_stinr.projection.backends import BackEnd, cuda_kernels, projector_for
from napari_stinr.projection.backends.cuda import CudaProjector
from napari_stinr.projection.backends.numba import CompiledProjector
from napari_stinr.projection.backends.torch import BatchedProjector
from napari_stinr.projection.views import SliceShape, Views

if TYPE_CHECKING:
    from pathlib import Path

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
NEEDS_CUDA = pytest.mark.skipif(torch.version.cuda is None, reason="this torch is not built for CUDA")
NEEDS_COMPILER = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler g++ on this machine")


def views(n_tilts: int, *, width: int, axis_offset: float = 0.0) -> Views:
    angles = torch.linspace(-1.6, 3.3, n_tilts, dtype=torch.float64).numpy()  # all directions, 45 degrees among them
    angles[: min(2, n_tilts)] = [0.7853981633974483, -0.7853981633974483][:n_tilts]
    times = torch.linspace(0, 1, n_tilts).numpy()
    return Views.at(angles, times, n_pixels=width, axis_offset=axis_offset)


def slices_of(rows: int, depth: int, width: int, kind: str, *, device: torch.device = CPU) -> Slices:
    generator = torch.Generator().manual_seed(1)
    density, arrival, share = (torch.rand(rows, depth, width, generator=generator).to(device) for _ in range(3))
    if kind == "static":
        return Slices(density)
    return Slices(density, arrival, 0.05, share if kind == "shares" else None)


def greatest_error(ours: CudaProjector, shape: SliceShape, kind: str, *, rows: int, tilts: int, offset: float) -> float:
    """Largest difference from the compiled kernels of the CPU, by the largest number."""
    rays, reference = views(tilts, width=shape.n_pixels, axis_offset=offset).rays, CompiledProjector(shape)
    here, there = (slices_of(rows, shape.depth, shape.width, kind, device=d) for d in (CPU, ours.device))
    residual = torch.randn(tilts, rows, shape.n_pixels, generator=torch.Generator().manual_seed(2))
    expected = (reference.project(here, rays), *reference.backproject(residual, here, rays))
    found = (ours.project(there, rays), *ours.backproject(residual.to(ours.device), there, rays))
    assert [value is None for value in expected] == [value is None for value in found]
    pairs = zip(expected, found, strict=True)
    errors = [float((a - b.cpu()).abs().max() / a.abs().max()) for a, b in pairs if a is not None]
    assert all(np.isfinite(errors))
    return max(errors)


CASES = pytest.mark.parametrize(
    ("rows", "depth", "width", "n_pixels", "tilts", "offset"),
    [
        (1, 1, 1, 1, 1, 0.0),
        (5, 7, 9, 9, 4, 0.0),
        (17, 24, 24, 20, 7, 1.3),
        (3, 41, 60, 50, 9, -2.0),
        (8, 61, 13, 88, 32, 0.5),
    ],
)
KINDS = pytest.mark.parametrize("kind", ["static", "growth", "shares"])


@NEEDS_COMPILER
@KINDS
@CASES
def test_kernels_give_the_numbers_of_the_cpu(
    kind: str, rows: int, depth: int, width: int, n_pixels: int, tilts: int, offset: float
) -> None:
    shape = SliceShape(depth, width, n_pixels, 0.5)
    ours = CudaProjector(shape, device=CPU, kernels=CppKernels())
    assert greatest_error(ours, shape, kind, rows=rows, tilts=tilts, offset=offset) < 1e-5


@NEEDS_COMPILER
@pytest.mark.parametrize(("at_once", "most_bytes"), [(1, 2**29), (2**30, 2**29), (2**30, 1)])
def test_however_a_slice_is_shared_out_over_threads(
    monkeypatch: pytest.MonkeyPatch, at_once: int, most_bytes: int
) -> None:
    monkeypatch.setattr("napari_stinr.projection.backends.cuda._AT_ONCE", at_once)
    monkeypatch.setattr("napari_stinr.projection.backends.cuda._BYTES_OF_LINES", most_bytes)
    shape = SliceShape(50, 37, 44, 0.5)
    ours = CudaProjector(shape, device=CPU, kernels=CppKernels())
    assert greatest_error(ours, shape, "shares", rows=6, tilts=11, offset=0.3) < 1e-5


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler nvcc on this machine")
def test_kernels_compile_and_keep_their_numbers_in_registers(tmp_path: Path) -> None:
    with resources.as_file(resources.files(backends).joinpath("cuda_kernels.cu")) as text:
        command = ["nvcc", "-arch=sm_90", "-Xptxas", "-v", "-cubin", "-o", str(tmp_path / "kernels.cubin"), str(text)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("0 bytes spill stores, 0 bytes spill loads") == len(cuda_kernels.KERNELS)


def test_without_a_driver_the_next_back_end_is_taken_and_the_reason_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_driver() -> object:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(cuda_kernels, "_driver", no_driver)
    cuda_kernels.kernels_for.cache_clear()
    backends._say_once.cache_clear()
    other = BatchedProjector(SliceShape(5, 5, 5), device=CPU)
    monkeypatch.setitem(
        backends._BACK_ENDS, "other", BackEnd("other", lambda *_, **__: other, devices=("cuda",), needs="", rank=5)
    )
    with caplog.at_level(logging.WARNING):
        assert projector_for(SliceShape(5, 5, 5), device=GPU) is other
    (record,) = caplog.records
    assert "'cuda', which needs a driver of NVIDIA" in record.getMessage()
    assert "libcuda.so.1: cannot open shared object file" in record.getMessage()


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch is built for CUDA")
def test_a_torch_without_cuda_has_no_compiler_for_kernels() -> None:
    with pytest.raises(OSError, match="this torch is not built for CUDA"):
        cuda_kernels._compiled(cuda_kernels.source(), "sm_90")


@pytest.mark.gpu
@NEEDS_CUDA
@KINDS
@CASES
def test_a_gpu_gives_the_numbers_of_the_cpu_and_the_same_bits_again(
    kind: str, rows: int, depth: int, width: int, n_pixels: int, tilts: int, offset: float
) -> None:
    shape = SliceShape(depth, width, n_pixels, 0.5)
    ours = CudaProjector(shape, device=GPU)
    assert greatest_error(ours, shape, kind, rows=rows, tilts=tilts, offset=offset) < 1e-5
    rays, slices = views(tilts, width=n_pixels).rays, slices_of(rows, depth, width, kind, device=GPU)
    assert torch.equal(ours.project(slices, rays), ours.project(slices, rays))


@pytest.mark.gpu
@NEEDS_CUDA
def test_compiled_kernels_are_kept_and_what_is_damaged_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_kernels.platformdirs, "user_cache_dir", lambda *_: str(tmp_path))
    cuda_kernels.Kernels(GPU)
    (kept,) = (tmp_path / "kernels").iterdir()
    monkeypatch.setattr(cuda_kernels, "_nvrtc", lambda: pytest.fail("compiled again"))
    cuda_kernels.Kernels(GPU)
    monkeypatch.undo()
    monkeypatch.setattr(cuda_kernels.platformdirs, "user_cache_dir", lambda *_: str(tmp_path))
    whole = kept.read_bytes()
    kept.write_bytes(b"damaged")
    cuda_kernels.Kernels(GPU)
    assert kept.read_bytes() == whole


@pytest.mark.parametrize("changed", ["double", "narrow"])
def test_slices_that_kernels_would_misread_are_refused(changed: str) -> None:
    shape, rays = SliceShape(6, 7, 7), views(3, width=7).rays
    slices = slices_of(2, 6, 7, "growth")
    density = slices.density.double() if changed == "double" else slices.density[..., :5]
    for projector in (CompiledProjector(shape), CudaProjector(shape, device=CPU, kernels=CppKernels())):
        with pytest.raises(ValueError, match=r"expected float32 of \(2, 6, 7\)"):
            projector.project(Slices(density), rays)
        with pytest.raises(ValueError, match=r"expected float32 of \(2, 6, 7\)"):
            projector.backproject(torch.zeros(3, 2, 7), Slices(slices.density, density), rays)
