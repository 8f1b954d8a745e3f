"""Tensors on files are tensors like others, which take no memory that cannot be given back and leave nothing behind."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from napari_stinr.errors import StinrError
from napari_stinr.fields import storage
from napari_stinr.fields.storage import (
    clone_beside,
    copy_values,
    is_on_file,
    large,
    let_go,
    load_values,
    mapped_bytes,
    on_files,
    some_rows,
    view_of,
    without_memory,
    zeros_beside,
)

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (37, 5, 300)
BOTH = pytest.mark.parametrize("is_small", [False, True], ids=["at once", "in pieces"])


@pytest.fixture(autouse=True)
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.callspec.params.get("is_small") if hasattr(request.node, "callspec") else False:
        monkeypatch.setattr(storage, "_BYTES_AT_ONCE", 10_000)


@pytest.fixture
def on_file(tmp_path: Path) -> torch.Tensor:
    with on_files(tmp_path):
        return large(SHAPE, 1.5)


@BOTH
def test_it_is_filled_and_keeps_what_is_written(tmp_path: Path, is_small: bool) -> None:
    with on_files(tmp_path):
        values, labels = large(SHAPE, 1.5), large(SHAPE, dtype=torch.uint8)
    assert (values == 1.5).all()
    assert not labels.any()
    values[3] = torch.arange(1500.0).view(5, 300)
    let_go(values, labels)
    assert values[3].sum() == 1500 * 1499 / 2
    assert (values[2] == 1.5).all()
    assert not os.listdir(tmp_path)


def test_without_a_folder_it_is_in_memory() -> None:
    for tensor in (large(SHAPE, 2.0), zeros_beside(torch.ones(3)), clone_beside(torch.ones(3), torch.ones(3))):
        assert not is_on_file(tensor)
    with on_files(None):
        assert not is_on_file(large(SHAPE))
    with without_memory():
        assert large(SHAPE).is_meta
    assert not is_on_file(torch.sparse_coo_tensor([[1]], [1.0], (3,), check_invariants=True))


def test_views_and_parameters_of_it_lie_there_too(on_file: torch.Tensor) -> None:
    for seen in (on_file[3:5], on_file.view(-1), on_file.detach(), nn.Parameter(on_file)):
        assert is_on_file(seen)
    assert not is_on_file(on_file.clone())
    beside = zeros_beside(on_file, dtype=torch.int32)
    assert is_on_file(beside)
    assert beside.dtype == torch.int32
    assert beside.shape == on_file.shape
    assert beside.data_ptr() != on_file.data_ptr()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="what is open is known on Linux")
def test_the_room_is_given_back_with_the_last_tensor(tmp_path: Path) -> None:
    def mapped() -> int:
        with open("/proc/self/maps", encoding="utf-8") as lines:
            return sum(str(tmp_path) in line for line in lines)

    with on_files(tmp_path):
        values = large((2**20,))
    seen = values[5:]
    del values
    gc.collect()
    assert mapped() == 1
    seen[0] = 1.0
    del seen
    gc.collect()
    assert mapped() == 0


@BOTH
def test_copies_and_views_of_modules(tmp_path: Path, is_small: bool) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 5)
            self.first.weight = nn.Parameter(large(SHAPE))
            self.register_buffer("told", large(SHAPE, dtype=torch.uint8))

    with on_files(tmp_path):
        one, other = Two(), Two()
    with torch.no_grad():
        one.first.weight.copy_(torch.rand(SHAPE))
        one.told += 3
    load_values(other, one.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    cloned = clone_beside(one.first.weight.detach(), one.first.weight)
    assert is_on_file(cloned)
    assert torch.equal(cloned, one.first.weight)
    seen = view_of(one, but=(one.second,))
    with torch.no_grad():
        one.first.weight += 1
        one.second.weight += 1
    assert torch.equal(seen.first.weight, one.first.weight)
    assert torch.equal(seen.second.weight, other.second.weight)
    assert not torch.equal(seen.second.weight, one.second.weight)
    assert not any(parameter.requires_grad for parameter in seen.parameters())
    with pytest.raises(ValueError, match="told"):
        load_values(one, {name: value for name, value in one.state_dict().items() if name != "told"})


def test_all_rows_come_once(on_file: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    for n_bytes in (1, 7000, 10**9):
        monkeypatch.setattr(storage, "_BYTES_AT_ONCE", n_bytes)
        rows = [row for block in some_rows(on_file, torch.ones(37)) for row in range(37)[block]]
        assert rows == list(range(37))
    assert not list(some_rows(torch.empty(0)))


def test_a_mapped_file_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(200)))
    values = mapped_bytes(path)
    assert values[7] == 7
    copy_values(torch.zeros(200, dtype=torch.uint8), values)
    del values
    gc.collect()
    assert path.read_bytes() == bytes(range(200))


def test_a_folder_without_room_is_named(tmp_path: Path) -> None:
    with on_files(tmp_path / "none"), pytest.raises(StinrError, match=r"none has no room for .* No such file"):
        large(SHAPE)
