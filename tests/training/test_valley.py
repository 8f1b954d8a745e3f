"""The boundary of a region goes where there is least matter, and no farther than that takes it."""

from __future__ import annotations

import numpy as np

from napari_stinr.training.valley import valley_boundary


def scene() -> tuple[np.ndarray, np.ndarray]:
    """`(32, 32)` radius, and density of a disc, an empty gap at radius 8, and a ring; rows alike."""
    z, x = np.meshgrid(np.arange(32) - 15.5, np.arange(32) - 15.5, indexing="ij")
    radius = np.hypot(z, x)
    density = np.where(radius < 7.5, 1.0, np.where(radius < 9.0, 0.02, np.where(radius < 13, 0.5, 0.0)))
    return radius, np.broadcast_to(density, (20, 32, 32)).astype(np.float32)


def test_an_atom_that_the_boundary_cuts_is_on_one_side_or_the_other() -> None:
    radius, density = scene()
    wrong = np.broadcast_to(radius < 6.8, density.shape)
    moved = valley_boundary(wrong, density)
    is_disc = np.broadcast_to(radius < 7.5, density.shape)
    assert (moved & is_disc).sum() / is_disc.sum() > (wrong & is_disc).sum() / is_disc.sum()
    assert (moved & is_disc).sum() > 0.97 * is_disc.sum()
    assert not moved[:, radius > 9.5].any()


def test_what_is_far_from_the_boundary_stays() -> None:
    radius, density = scene()
    inside = np.broadcast_to(radius < 8.0, density.shape)
    moved = valley_boundary(inside, density)
    assert moved[:, radius < 5].all()
    assert not moved[:, radius > 11].any()


def test_trivial_regions_and_empty_volumes_are_left_alone() -> None:
    _, density = scene()
    for region in (np.zeros(density.shape, bool), np.ones(density.shape, bool)):
        assert (valley_boundary(region, density) == region).all()
    half = np.zeros(density.shape, bool)
    half[:, :16] = True
    assert (valley_boundary(half, np.zeros_like(density)) == half).all()


def test_the_same_input_gives_the_same_boundary() -> None:
    radius, density = scene()
    noisy = (density + np.random.default_rng(0).random(density.shape) * 0.2).astype(np.float32)
    first, second = (valley_boundary(np.broadcast_to(radius < 7, density.shape), noisy) for _ in range(2))
    assert (first == second).all()
