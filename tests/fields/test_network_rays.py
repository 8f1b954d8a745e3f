"""A joint field along rays by hand: losses and gradients of autograd, whatever the pieces, threads and format."""

from __future__ import annotations

import pytest
import torch

from napari_stinr.config import JointFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields import JointField
from napari_stinr.fields.network_rays import NetworkRays, RaySamples

GRID = VoxelGrid(12, 8, 10, voxel_size=0.5)
SPACING = 0.5


def field_of(layers: int) -> JointField:
    torch.manual_seed(layers)
    config = JointFieldConfig(hidden=16, layers=layers, spatial_frequencies=3, time_frequencies=2)
    return JointField(GRID, config, scale=3.0)


def rays_of(n_rays: int, seed: int = 0) -> tuple[RaySamples, torch.Tensor]:
    """Rays with 0 to 29 points each, the first and the last with none; and what was measured."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(30, (n_rays,), generator=generator)
    lengths[[0, -1]] = 0
    ray = torch.arange(n_rays).repeat_interleave(lengths)
    z, x = (torch.rand(2, len(ray), generator=generator) - 0.5) * 5
    y, times, measured = torch.rand(3, n_rays, generator=generator)
    return RaySamples(z, x, ray, y * 4 - 2, times, SPACING), measured * 20


def by_autograd(field: JointField, samples: RaySamples, measured: torch.Tensor) -> torch.Tensor:
    """`(rays,)` residuals."""
    points = torch.stack([samples.z, samples.y[samples.ray], samples.x], dim=-1)
    values = field(points, samples.times[samples.ray])
    return torch.zeros(len(measured)).index_add(0, samples.ray, values) * SPACING - measured


def gradients(loss: torch.Tensor, field: JointField) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(field.parameters())))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("n_points", [100, 100_000])
def test_loss_and_gradients_are_those_of_autograd(
    threads: int, layers: int, n_points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_stinr.fields.network_rays.LAYER_BYTES", 16 * 4 * n_points)
    field, (samples, measured) = field_of(layers), rays_of(150)
    expected = by_autograd(field, samples, measured)
    loss, residuals = NetworkRays(threads=threads).mean_square(field, samples, measured)
    torch.testing.assert_close(residuals, expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss, expected.square().mean(), rtol=1e-5, atol=0)
    # Twice the loss, so that what is above it counts, too.
    for ours, theirs in zip(gradients(2 * loss, field), gradients(2 * expected.square().mean(), field), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_memory_of_earlier_batches_leaves_no_trace() -> None:
    field, many, few = field_of(2), rays_of(200), rays_of(40, seed=1)
    used, fresh = NetworkRays(), NetworkRays()
    used.mean_square(field, *many)
    for ours, theirs in zip(
        used.residuals_and_gradients(field, *few)[1], fresh.residuals_and_gradients(field, *few)[1], strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("threads", [1, 2])
def test_same_rays_give_the_same_bits(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_stinr.fields.network_rays.LAYER_BYTES", 16 * 4 * 64)
    field, batch = field_of(2), rays_of(200)
    first, second = (NetworkRays(threads=threads).residuals_and_gradients(field, *batch) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_bfloat16_is_the_same_to_its_rounding() -> None:
    field, (samples, measured) = field_of(3), rays_of(300)
    exact, residuals = NetworkRays().mean_square(field, samples, measured)
    rough, rough_residuals = NetworkRays(bfloat16=True).mean_square(field, samples, measured)
    assert float((rough_residuals - residuals).norm() / residuals.norm()) < 0.01
    assert not torch.equal(rough_residuals, residuals)
    for ours, theirs in zip(gradients(rough, field), gradients(exact, field), strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 0.05


def test_rays_that_miss_the_box_have_a_residual_and_no_gradient() -> None:
    field, nothing = field_of(2), torch.zeros(0)
    samples = RaySamples(nothing, nothing, nothing.long(), torch.zeros(3), torch.zeros(3), SPACING)
    loss, residuals = NetworkRays().mean_square(field, samples, torch.tensor([1.0, 2.0, 3.0]))
    assert residuals.tolist() == [-1.0, -2.0, -3.0]
    assert float(loss.detach()) == pytest.approx(14 / 3)
    assert all(float(gradient.abs().max()) == 0 for gradient in gradients(loss, field))
