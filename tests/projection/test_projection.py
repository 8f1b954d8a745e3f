"""The projector by physics: analytic projections, sines, the adjoint identity, gradients, and a slow oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pytest
import torch

from helpers.cuda_as_cpp import CppKernels, has_compiler
from helpers.oracles import flattened, project_slice
from napari_stinr.fields.base import Slices, grown
from napari_stinr.projection.backends.cuda import CudaProjector
from napari_stinr.projection.backends.numba import CompiledProjector
from napari_stinr.projection.backends.torch import BatchedProjector
from napari_stinr.projection.operator import project_slices
from napari_stinr.projection.views import SliceShape, Views

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.projection.backends import Projector

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """A slice, and angles with times from 0 to 1 at which it is seen."""

    shape: SliceShape
    angles_rad: np.ndarray
    axis_offset: float

    @property
    def views(self) -> Views:
        times = torch.linspace(0, 1, len(self.angles_rad)).numpy()
        return Views.at(self.angles_rad, times, n_pixels=self.n_pixels, axis_offset=self.axis_offset)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.shape, name)


def geometry(
    angles_deg: np.ndarray,
    *,
    depth: int = 24,
    width: int = 20,
    n_pixels: int = 22,
    voxel_size: float = 1.0,
    axis_offset: float = 0.0,
) -> Case:
    return Case(SliceShape(depth, width, n_pixels, voxel_size), np.deg2rad(angles_deg), axis_offset)


PROJECTORS: dict[str, Callable[[Case], Projector]] = {
    "compiled": lambda case: CompiledProjector(case.shape, device=CPU, threads=1),
    "compiled-2-threads": lambda case: CompiledProjector(case.shape, device=CPU, threads=2),
    "torch": lambda case: BatchedProjector(case.shape, device=CPU),
    "cuda-as-cpp": lambda case: CudaProjector(case.shape, device=CPU, kernels=CppKernels()),
    "cuda": lambda case: CudaProjector(case.shape, device=torch.device("cuda:0")),
}
MARKS = {
    "cuda-as-cpp": pytest.mark.skipif(not has_compiler(), reason="no C++ compiler g++ on this machine"),
    "cuda": pytest.mark.gpu,
}
BACK_ENDS = pytest.mark.parametrize("which", [pytest.param(name, marks=MARKS.get(name, ())) for name in PROJECTORS])


HAS_SHARE = pytest.mark.parametrize("has_share", [False, True])


def project_all(
    case: Case,
    which: str,
    density: torch.Tensor,
    arrival: torch.Tensor | None = None,
    width: float = 1.0,
    share: torch.Tensor | None = None,
) -> torch.Tensor:
    projector = PROJECTORS[which](case)
    density, arrival, share = (None if v is None else v.to(projector.device) for v in (density, arrival, share))
    return project_slices(projector, [Slices(density, arrival, width, share)], case.views).cpu()


@BACK_ENDS
def test_projection_equals_the_slow_oracle(which: str) -> None:
    rng = np.random.default_rng(1)
    shape = geometry(np.array([-71.0, -20.0, 0.0, 33.0, 90.0]), voxel_size=0.7, axis_offset=1.3)
    slices = rng.random((3, shape.depth, shape.width))
    lines = project_all(shape, which, torch.from_numpy(slices).float())
    for k, angle in enumerate(shape.angles_rad):
        for row in range(3):
            expected = project_slice(slices[row], angle, shape.n_pixels, shape.axis_offset, shape.voxel_size)
            np.testing.assert_allclose(lines[k, row].numpy(), expected, rtol=2e-5, atol=2e-5)


@HAS_SHARE
@BACK_ENDS
def test_growing_slice_is_the_projection_of_the_slice_at_each_time(which: str, has_share: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    shape = geometry(np.linspace(-60, 60, 7))
    density = torch.rand(17, shape.depth, shape.width, generator=generator)
    arrival = torch.rand(17, shape.depth, shape.width, generator=generator) * 1.5 - 0.25
    share = torch.rand(17, shape.depth, shape.width, generator=generator) if has_share else None
    always = torch.zeros(()) if share is None else share
    lines = project_all(shape, which, density, arrival=arrival, width=0.05, share=share)
    for k, t in enumerate(torch.linspace(0, 1, 7)):
        there = always + (1 - always) * torch.sigmoid((t - arrival) / 0.05)
        frozen = project_all(shape, which, density * there)
        torch.testing.assert_close(lines[k], frozen[k], rtol=3e-4, atol=3e-4)


@BACK_ENDS
def test_backprojection_is_the_adjoint_of_projection(which: str) -> None:
    generator = torch.Generator().manual_seed(3)
    shape = geometry(np.arange(0, 180, 13.0), voxel_size=0.5, axis_offset=-2.0)
    projector = PROJECTORS[which](shape)
    x = torch.rand(5, shape.depth, shape.width, generator=generator).to(projector.device)
    y = torch.rand(len(shape.angles_rad), 5, shape.n_pixels, generator=generator).to(projector.device)
    forward = projector.project(Slices(x), shape.views.rays)
    adjoint = projector.backproject(y, Slices(x), shape.views.rays).density
    assert float((forward.double() * y).sum()) == pytest.approx(float((x.double() * adjoint).sum()), rel=1e-5)


@HAS_SHARE
@BACK_ENDS
def test_hand_written_backward_equals_autograd(which: str, has_share: bool) -> None:
    generator = torch.Generator().manual_seed(4)
    shape = geometry(np.linspace(-80, 80, 6), voxel_size=0.5)
    density = torch.rand(18, shape.depth, shape.width, generator=generator).requires_grad_()
    arrival = (torch.rand(18, shape.depth, shape.width, generator=generator)).requires_grad_()
    target = torch.rand(6, 18, shape.n_pixels, generator=generator)
    share = torch.rand(18, shape.depth, shape.width, generator=generator).requires_grad_() if has_share else None
    learnt = (density, arrival) if share is None else (density, arrival, share)
    lines = project_all(shape, which, density, arrival=arrival, width=0.1, share=share)
    ((lines - target) ** 2).sum().backward()

    from napari_stinr.projection.footprint import slice_footprint

    after = torch.from_numpy(np.stack([flattened(line) for line in np.eye(shape.n_pixels)]))
    reference = [value.detach().double().requires_grad_() for value in learnt]
    loss = torch.zeros((), dtype=torch.float64)
    for k, (angle, t) in enumerate(zip(shape.angles_rad, torch.linspace(0, 1, 6), strict=True)):
        centre = (shape.n_pixels - 1) / 2
        pixels, weights = slice_footprint(shape.shape, cosine=np.cos(angle), sine=np.sin(angle), origin=centre)
        matrix = torch.zeros(shape.n_pixels, shape.depth * shape.width, dtype=torch.float64)
        for tap in range(4):
            matrix[pixels[tap], torch.arange(matrix.shape[1])] += weights[tap]
        there = torch.sigmoid((t - reference[1]) / 0.1)
        values = reference[0] * (there if share is None else reference[2] + (1 - reference[2]) * there)
        loss = loss + ((values.flatten(1) @ matrix.T @ after * shape.voxel_size - target[k]) ** 2).sum()
    loss.backward()
    for ours, expected in zip(learnt, reference, strict=True):
        scale = float(expected.grad.abs().max())
        torch.testing.assert_close(ours.grad.double(), expected.grad, rtol=1e-3, atol=3e-4 * scale)


@BACK_ENDS
def test_gaussian_projects_to_the_analytic_gaussian(which: str) -> None:
    sigma, voxel, (z0, x0) = 2.0, 0.5, (3.0, -4.0)
    shape = geometry(np.array([-55.0, 0.0, 40.0, 90.0]), depth=64, width=64, n_pixels=64, voxel_size=voxel)
    axis = (torch.arange(64) - 31.5) * voxel
    z, x = torch.meshgrid(axis, axis, indexing="ij")
    blob = torch.exp(-((z - z0) ** 2 + (x - x0) ** 2) / (2 * sigma**2))[None]
    lines = project_all(shape, which, blob)
    for k, angle in enumerate(shape.angles_rad):
        u0 = x0 * np.cos(angle) + z0 * np.sin(angle)
        expected = sigma * np.sqrt(2 * np.pi) * torch.exp(-((axis - u0) ** 2) / (2 * sigma**2))
        torch.testing.assert_close(lines[k, 0], expected, rtol=0, atol=0.01 * float(expected.max()))


@BACK_ENDS
def test_a_fine_wave_keeps_its_amplitude_at_every_angle(which: str) -> None:
    """At 0.6 of the Nyquist frequency the cubic alone leaves 0.89, and the volume would make up for the rest."""
    shape = geometry(np.array([-50.0, 33.0, 45.0, 57.0]), depth=60, width=60, n_pixels=60)
    axis = torch.arange(60) - 29.5
    for k, angle in enumerate(shape.angles_rad):
        u = axis[:, None] * np.sin(angle) + axis * np.cos(angle)
        v = axis[:, None] * np.cos(angle) - axis * np.sin(angle)
        spot = torch.exp(-(u**2 + v**2) / (2 * 5.0**2))
        line = project_all(shape, which, (spot * torch.cos(0.6 * np.pi * u))[None])[k, 0]
        expected = 5.0 * np.sqrt(2 * np.pi) * torch.exp(-(axis**2) / (2 * 5.0**2)) * torch.cos(0.6 * np.pi * axis)
        assert float((line - expected).norm() / expected.norm()) < 0.05


@BACK_ENDS
def test_ball_projects_to_its_chord_length(which: str) -> None:
    radius, voxel = 12.0, 0.5
    shape = geometry(np.array([-40.0, 0.0, 25.0]), depth=80, width=80, n_pixels=80, voxel_size=voxel)
    fine = (torch.arange(320) - 159.5) * voxel / 4
    disc = ((fine[:, None] ** 2 + fine[None, :] ** 2) < radius**2).float()
    coarse = disc.reshape(80, 4, 80, 4).mean(dim=(1, 3))[None]
    u = (torch.arange(80) - 39.5) * voxel
    chord = 2 * torch.sqrt((radius**2 - u**2).clamp(min=0))
    inside = u.abs() < radius - 2
    for line in project_all(shape, which, coarse)[:, 0]:
        torch.testing.assert_close(line[inside], chord[inside], rtol=0.02, atol=0.0)


@BACK_ENDS
def test_point_stays_on_its_sine_and_flip_tilt_mirrors_it(which: str) -> None:
    angles = np.arange(-90, 91, 10.0)
    for sign in (1, -1):
        shape = geometry(sign * angles, depth=41, width=41, n_pixels=41)
        slices = torch.zeros(1, 41, 41)
        slices[0, 20 + 7, 20 - 5] = 1.0
        lines = project_all(shape, which, slices)[:, 0].double()
        centre = (lines * (torch.arange(41) - 20)).sum(1) / lines.sum(1)
        expected = -5 * np.cos(np.deg2rad(angles)) + 7 * sign * np.sin(np.deg2rad(angles))
        np.testing.assert_allclose(centre.numpy(), expected, atol=1e-5)


@BACK_ENDS
def test_axis_offset_moves_the_axis(which: str) -> None:
    shape = geometry(np.array([0.0, 30.0, 90.0]), depth=21, width=21, n_pixels=31, axis_offset=4.0)
    slices = torch.zeros(1, 21, 21)
    slices[0, 10, 10] = 1.0
    lines = project_all(shape, which, slices)[:, 0]
    assert lines.argmax(dim=1).tolist() == [19, 19, 19]


@BACK_ENDS
def test_voxels_off_the_detector_line_are_lost_and_not_folded_back(which: str) -> None:
    shape = geometry(np.array([0.0, 45.0, 90.0]), depth=30, width=30, n_pixels=10)
    slices = torch.zeros(1, 30, 30)
    slices[0, :, :6] = 1.0
    lines = project_all(shape, which, slices)
    assert float(lines[0].abs().max()) == 0.0
    assert float(lines[2].min()) > 0.0


def test_mass_is_kept_at_every_angle() -> None:
    shape = geometry(np.arange(-90, 90, 7.0), depth=20, width=20, n_pixels=40, voxel_size=0.3)
    slices = torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(5))
    sums = project_all(shape, "compiled", slices).sum(dim=2)
    torch.testing.assert_close(sums, (slices.sum(dim=(1, 2)) * 0.3).expand_as(sums), rtol=1e-5, atol=0)


@BACK_ENDS
def test_every_tilt_may_have_its_own_origin(which: str) -> None:
    case = geometry(np.array([0.0, 30.0, 90.0, 120.0]), depth=21, width=21, n_pixels=31)
    slices = torch.rand(2, 21, 21, generator=torch.Generator().manual_seed(6))
    shifts = torch.tensor([0.0, 2.5, -3.0, 0.25], dtype=torch.float64)
    projector = PROJECTORS[which](case)
    there = [Slices(slices.to(projector.device))]
    lines = project_slices(projector, there, replace(case.views, shifts=shifts)).cpu()
    for k, shift in enumerate(shifts.tolist()):
        alone = replace(case, axis_offset=shift)
        torch.testing.assert_close(lines[k], project_all(alone, which, slices)[k], rtol=0, atol=0)


def test_gain_and_offset_of_a_tilt_change_its_lines_and_can_be_learnt() -> None:
    case = geometry(np.array([-20.0, 0.0, 40.0]))
    slices = torch.rand(2, case.depth, case.width, generator=torch.Generator().manual_seed(7))
    plain = project_all(case, "compiled", slices)
    gains, offsets = torch.tensor([1.0, 0.5, 2.0]).requires_grad_(), torch.tensor([0.0, -1.0, 3.0]).requires_grad_()
    views = replace(case.views, gains=gains, offsets=offsets)
    lines = project_slices(PROJECTORS["compiled"](case), [Slices(slices)], views)
    torch.testing.assert_close(lines, plain * gains[:, None, None] + offsets[:, None, None])
    lines.sum().backward()
    torch.testing.assert_close(gains.grad, plain.sum((1, 2)))
    torch.testing.assert_close(offsets.grad, torch.full((3,), float(plain[0].numel())))


def test_views_of_some_tilts_are_those_of_the_whole_series() -> None:
    views = replace(geometry(np.linspace(-60, 60, 7)).views, gains=torch.arange(7.0))
    some = views[torch.tensor([5, 0, 2])]
    assert len(some) == 3
    for name in ("angles", "cosines", "sines", "origins", "times", "gains"):
        torch.testing.assert_close(getattr(some, name), getattr(views, name)[[5, 0, 2]], rtol=0, atol=0)
    assert some.shifts is None
    torch.testing.assert_close(views[2:3].times, views.times[2:3])


def test_parts_of_a_field_add_up() -> None:
    case = geometry(np.array([-20.0, 0.0, 40.0]))
    first, second = (torch.rand(2, case.depth, case.width, generator=torch.Generator().manual_seed(n)) for n in (8, 9))
    arrival = torch.rand(2, case.depth, case.width, generator=torch.Generator().manual_seed(10))
    lines = project_slices(PROJECTORS["compiled"](case), [Slices(first), Slices(second, arrival, 0.1)], case.views)
    expected = project_all(case, "compiled", first) + project_all(case, "compiled", second, arrival, 0.1)
    torch.testing.assert_close(lines, expected)


def test_compiled_growth_is_that_of_the_fields() -> None:
    from napari_stinr.projection.backends.numba_kernels import grown as compiled

    @numba.njit(fastmath=True)
    def each(density, arrival, t, steepness):  # type: ignore[no-untyped-def]
        values = np.empty_like(density)
        for i in range(len(values)):
            values[i] = compiled(density[i], arrival[i], t, steepness)
        return values

    density, arrival = (torch.rand(500, generator=torch.Generator().manual_seed(n)) for n in (11, 12))
    for t, width in ((0.0, 0.3), (0.4, 0.05), (1.0, 0.005)):
        values = each(density.numpy(), arrival.numpy(), np.float32(t), np.float32(1 / width))
        np.testing.assert_allclose(values, grown(density, arrival, t, width).numpy(), rtol=1e-5, atol=2e-6)
