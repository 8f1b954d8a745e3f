"""What learns by rows: each row as if it were alone, and none of them while its block is not in a step."""

from __future__ import annotations

import itertools

import pytest
import torch

from napari_stinr.training import optimisers
from napari_stinr.training.optimisers import RowwiseAdam

SHAPE = (6, 1, 3, 4)
BETAS = (0.5, 0.9)


@pytest.fixture(params=["compiled", "torch"], autouse=True)
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torch":
        monkeypatch.setattr(optimisers, "_kernels", lambda: None)


def gradients(n: int, *, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=generator) for _ in range(n)]


def of_rows(gradient: torch.Tensor, rows: list[int], *, sparse: bool) -> torch.Tensor:
    if sparse:
        return torch.sparse_coo_tensor(torch.tensor([rows]), gradient[rows], SHAPE, check_invariants=True)
    chosen = torch.zeros_like(gradient)
    chosen[rows] = gradient[rows]
    return chosen


def rowwise(values: torch.nn.Parameter, rate: float = 0.1) -> RowwiseAdam:
    return RowwiseAdam([{"params": [values], "lr": rate, "by_rows": True}], betas=BETAS)


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_is_adam_with_a_short_memory_where_a_step_has_all_rows(sparse: bool) -> None:
    values, expected = (torch.nn.Parameter(torch.ones(SHAPE)) for _ in range(2))
    ours, theirs = rowwise(values), torch.optim.Adam([expected], lr=0.1, betas=BETAS)
    for gradient in gradients(20):
        values.grad, expected.grad = of_rows(gradient, list(range(6)), sparse=sparse), gradient
        ours.step()
        theirs.step()
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_every_row_learns_as_if_the_others_were_not_there(sparse: bool) -> None:
    values = torch.nn.Parameter(torch.ones(SHAPE))
    ours = rowwise(values)
    blocks = [[0, 3], [1, 2, 5], [4]]
    alone = {row: torch.nn.Parameter(torch.ones(SHAPE[1:])) for row in range(6)}
    theirs = {row: torch.optim.Adam([alone[row]], lr=0.1, betas=BETAS) for row in alone}
    for gradient, block in zip(gradients(15), itertools.cycle(blocks), strict=False):
        before = values.detach().clone()
        values.grad = of_rows(gradient, block, sparse=sparse)
        ours.step()
        for row in block:
            alone[row].grad = gradient[row]
            theirs[row].step()
        others = [row for row in range(6) if row not in block]
        assert torch.equal(values[others], before[others])
    torch.testing.assert_close(values, torch.stack(list(alone.values())), rtol=1e-5, atol=1e-6)


def test_what_is_not_by_rows_may_have_a_sparse_gradient_as_well() -> None:
    values, expected = (torch.nn.Parameter(torch.ones(SHAPE)) for _ in range(2))
    ours, theirs = RowwiseAdam([values], lr=0.1), torch.optim.Adam([expected], lr=0.1)
    for gradient in gradients(3):
        values.grad, expected.grad = (of_rows(gradient, [1, 4], sparse=sparse) for sparse in (True, False))
        ours.step()
        theirs.step()
    torch.testing.assert_close(values, expected, rtol=0, atol=0)
