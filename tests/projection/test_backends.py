"""Back ends: each says which devices it serves, the best one is taken, and one that cannot be loaded is passed over."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch

from napari_stinr.projection import backends
from napari_stinr.projection.backends import BackEnd, projector_for, register
from napari_stinr.projection.views import SliceShape

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE, CPU = SliceShape(5, 5, 5), torch.device("cpu")


class ToyProjector:
    def __init__(self, shape: SliceShape, *, device: torch.device, threads: int) -> None:
        self.shape, self.device, self.threads = shape, device, threads


@pytest.fixture(autouse=True)
def _leave_them_as_they_were() -> Iterator[None]:
    projector_for(SHAPE, device=CPU)
    before = dict(backends._BACK_ENDS)
    yield
    backends._BACK_ENDS.clear()
    backends._BACK_ENDS.update(before)


def name_of(device: str) -> str:
    return type(projector_for(SHAPE, device=torch.device(device))).__name__


def test_the_compiled_one_serves_the_cpu_and_plain_torch_everything_else() -> None:
    assert name_of("cpu") == "CompiledProjector"
    assert name_of("meta") == "BatchedProjector"
    assert {"numba", "torch"} <= backends._BACK_ENDS.keys()


def test_a_new_back_end_is_taken_for_its_devices() -> None:
    register(BackEnd("toy", ToyProjector, devices=("meta",), needs="nothing", rank=5))
    projector = projector_for(SHAPE, device=torch.device("meta"), threads=3)
    assert (type(projector), projector.shape, projector.device.type) == (ToyProjector, SHAPE, "meta")
    assert projector.threads == 3
    assert name_of("cpu") == "CompiledProjector"


def test_one_that_cannot_be_loaded_is_passed_over_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    def build(shape: SliceShape, *, device: torch.device, threads: int) -> ToyProjector:
        raise ImportError("No module named 'fastlib'")

    register(BackEnd("fast", build, devices=("cpu",), needs="fastlib", rank=99))
    with caplog.at_level(logging.WARNING):
        assert name_of("cpu") == name_of("cpu") == "CompiledProjector"
    (record,) = caplog.records
    assert "'fast', which needs fastlib, cannot be loaded (No module named 'fastlib')" in record.getMessage()


def test_without_any_back_end_it_is_said() -> None:
    backends._BACK_ENDS.clear()
    with pytest.raises(RuntimeError, match="no projector can be loaded for the device cpu"):
        projector_for(SHAPE, device=CPU)
