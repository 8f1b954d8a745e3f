"""Which devices there are, on machines that have what this one has not."""

from __future__ import annotations

import pytest
import torch

from napari_stinr.devices import has_bfloat16, list_devices, resolve_device


def with_cuda(monkeypatch: pytest.MonkeyPatch, names: list[str], free: list[int | None]) -> None:
    def memory(index: int) -> tuple[int, int]:
        if free[index] is None:
            raise RuntimeError("CUDA error: out of memory")
        return free[index], 24 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: names[index])
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)


def test_cpu_is_first_with_its_cores_and_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, label in ((1, "CPU, 1 core"), (2, "CPU, 2 cores")):
        monkeypatch.setattr("napari_stinr.devices.available_threads", lambda cores=cores: cores)
        cpu = list_devices()[0]
        assert (cpu.name, cpu.label) == ("cpu", label)
        assert cpu.free_bytes is not None
        assert 2**20 < cpu.free_bytes < 2**50


def test_every_cuda_device_with_its_product_name_then_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cuda(monkeypatch, ["NVIDIA RTX A5000", "Tesla T4"], [7 * 2**30, None])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    devices = list_devices()
    assert [device.name for device in devices] == ["cpu", "cuda:0", "cuda:1", "mps"]
    assert [device.label for device in devices[1:3]] == ["NVIDIA RTX A5000", "Tesla T4"]
    assert [device.free_bytes for device in devices[1:3]] == [7 * 2**30, None]
    assert [str(resolve_device(device.name)) for device in devices] == [device.name for device in devices]


def test_a_broken_driver_leaves_the_cpu(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with_cuda(monkeypatch, ["Tesla T4"], [1])

    def broken(index: int) -> str:
        raise RuntimeError("driver too old")

    monkeypatch.setattr(torch.cuda, "get_device_name", broken)
    assert [device.name for device in list_devices()] == ["cpu"]
    assert "driver too old" in caplog.text


@pytest.mark.parametrize(
    ("features", "has"),
    [({"avx512bf16": True, "amx-bf16": False}, True), ({"amx-bf16": True}, True), ({"avx512bf16": False}, False)],
)
def test_bfloat16_is_asked_of_the_processor(
    features: dict[str, bool], has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_stinr.devices.get_host_cpu_features", lambda: features)
    assert has_bfloat16(torch.device("cpu")) is has
    assert not has_bfloat16(torch.device("mps"))


def test_no_bfloat16_on_a_processor_that_nothing_is_known_about(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> dict[str, bool]:
        raise RuntimeError("the host's features are not known")

    monkeypatch.setattr("napari_stinr.devices.get_host_cpu_features", unknown)
    assert not has_bfloat16(torch.device("cpu"))


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_is_asked_of_the_graphics_card(
    capability: tuple[int, int], has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_bfloat16(torch.device("cuda:0")) is has
