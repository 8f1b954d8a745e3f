"""Settings: frozen, documented, the same in YAML, and helpful when wrong."""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, ValidationError

from napari_stinr.config import (
    PRESETS,
    QUALITIES,
    ReconstructionConfig,
    TrainingConfig,
    preset_config,
    read_settings_text,
)
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", PRESETS)
def test_preset_round_trips_through_yaml(name: str) -> None:
    config = preset_config(name).with_training(seed=7, steps=11)
    assert ReconstructionConfig.from_yaml(config.to_yaml()) == config
    assert config.preset == name
    assert type(config.field) is type(preset_config(name).field)


def test_yaml_of_a_few_settings_keeps_the_rest_of_the_preset() -> None:
    config = ReconstructionConfig.from_yaml("preset: static\ntraining: {steps: 5}")
    assert config == preset_config("static").with_training(steps=5)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        preset_config("growth").training.seed = 3  # type: ignore[misc]


def documented_models(model: type[BaseModel]) -> list[type[BaseModel]]:
    config = preset_config("growth")
    return [TrainingConfig, *(type(preset_config(name).field) for name in PRESETS), type(config.training)]


def test_every_setting_says_what_it_is() -> None:
    for model in documented_models(ReconstructionConfig):
        for name, info in model.model_fields.items():
            assert name == "kind" or info.description, f"{model.__name__}.{name}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: growht", "growht"),
        ("training: {stepps: 3}", "training.stepps"),
        ("training: {steps: -3}", "training.steps is -3"),
        ("- 1", "holds list"),
        ("training: {steps: [", "not YAML"),
        ("field: {kind: moving}", "field"),
    ],
)
def test_wrong_settings_are_named(text: str, message: str) -> None:
    with pytest.raises(StinrError, match=message) as caught:
        ReconstructionConfig.from_yaml(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {batches: rays}", "batches of rays for a growth field; expected blocks"),
        ("preset: static\ntraining: {batches: rays}", "batches of rays for a static field"),
        ("preset: paper\ntraining: {batches: blocks}", "batches of blocks for a joint field; expected rays"),
        ("field: {features: 4}", "4 features and no hidden units; expected 1 feature, or hidden units"),
        (
            "field: {arrival_spacings: [8, -60]}",
            r"field\.growth\.arrival_spacings\.1 is -60; expected .* greater than 0",
        ),
        ("field: {arrival_spacings: [.inf]}", "arrival_spacings.0 is inf; expected input should be a finite number"),
        ("field: {arrival_spacings: [.nan]}", "arrival_spacings.0 is nan"),
        ("training: {balance: .inf}", "training.balance is inf"),
        ("training: {precision: bfloat16}", "bfloat16 for a growth field without a network"),
    ],
)
def test_settings_that_cannot_work_are_refused(text: str, message: str) -> None:
    with pytest.raises(StinrError, match=message) as caught:
        ReconstructionConfig.from_yaml(text)
    assert caught.value.cure
    assert "\n" not in str(caught.value)


def test_settings_that_go_together_pass() -> None:
    for kind, text in (
        ("growth", "field: {features: 4, hidden: 8}\ntraining: {precision: bfloat16}"),
        ("joint", "preset: paper\ntraining: {precision: bfloat16}"),
        ("static", "preset: growth\nfield: {kind: static}"),
    ):
        assert ReconstructionConfig.from_yaml(text).field.kind == kind


def test_a_run_that_was_trained_with_what_had_no_effect_is_still_read() -> None:
    plain = preset_config("static")
    stored = plain.model_dump_json().replace('"precision":"auto"', '"precision":"bfloat16"')
    assert ReconstructionConfig.from_run(stored).training.precision == "bfloat16"
    with pytest.raises(ValueError, match="blocks"):
        ReconstructionConfig.from_run(plain.model_dump_json().replace('"blocks"', '"rays"'))


@pytest.mark.parametrize("preset", ["static", "growth"])
def test_a_run_from_before_the_blur_is_read_as_it_was_trained(preset: str) -> None:
    stored = preset_config(preset).model_dump(mode="json")
    assert stored["field"].pop("least_blur") > 0
    read = ReconstructionConfig.from_run(json.dumps(stored)).field.model_dump()
    assert (read["blur"], read["least_blur"]) == (0.6, 0.0)
    assert stored["field"].pop("blur") > 0
    stored["field"]["band_limit"] = True
    read = ReconstructionConfig.from_run(json.dumps(stored)).field.model_dump()
    assert (read["blur"], read["band_limit"]) == (0.0, True)
    assert ReconstructionConfig.from_yaml(json.dumps(stored)).field.model_dump()["blur"] > 0


def planned(config: ReconstructionConfig) -> int:
    return config.training.steps or config.training.visits


@pytest.mark.parametrize("preset", PRESETS)
def test_qualities_differ_in_length_and_standard_is_the_preset(preset: str) -> None:
    base = preset_config(preset)
    quick, standard, high = (base.with_quality(name) for name in QUALITIES)
    assert standard == base
    assert planned(base) == 4 * planned(quick)
    assert planned(high) == 3 * planned(base)
    assert high.with_quality("Quick look") == quick
    assert base.with_training(seed=5, held_out=3).with_quality("High") == high.with_training(seed=5, held_out=3)


def test_unknown_quality_is_named() -> None:
    with pytest.raises(StinrError, match="the quality is 'Best'; expected one of Quick look, Standard, High"):
        preset_config("growth").with_quality("Best")


def billion_laughs() -> str:
    levels = "abcdefghij"
    lines = [f"{name}: &{name} [{', '.join(['*' + last] * 9)}]" for last, name in itertools.pairwise(levels)]
    return "\n".join(["a: &a [1, 2]", *lines])


HOSTILE = {
    "aliases of aliases": (billion_laughs(), "anchor or alias"),
    "a setting that holds itself": ("training: &x {steps: *x}", "anchor or alias"),
    "brackets in brackets": ("[" * 60_000, "nested"),
    "indented without end": ("\n".join(" " * depth + "a:" for depth in range(300)), "nested"),
    "a number of many digits": ("training: {steps: " + "1" * 60_000 + "}", "60000 letters"),
    "a long list": ("training: {steps: [" + "1," * 25_000 + "]}", "training.steps"),
    "a long tag": ("!" * 60_000, "not YAML"),
    "zeros": ("\0" * 60_000, "not YAML"),
    "an impossible date": ("preset: 2001-99-99", "not YAML"),
    "more than any settings": ("# much\n" * 20_000, "longer than 64 kB"),
    "values for the preset": ("preset: {growth: 1}", "the preset is"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_settings_are_refused_at_once_in_one_short_line(name: str) -> None:
    text, message = HOSTILE[name]
    start = time.process_time()
    with pytest.raises(StinrError, match=message) as caught:
        ReconstructionConfig.from_yaml(text)
    assert time.process_time() - start < 2
    assert len(str(caught.value)) < 700


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.touch()
    os.truncate(path, 5_000_000_000)
    start = time.process_time()
    with pytest.raises(StinrError, match=r"settings\.yaml is longer than 64 kB"):
        read_settings_text(path)
    assert time.process_time() - start < 0.5


def test_settings_of_other_editors_are_text_and_anything_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("preset: static", encoding="utf-8-sig")
    assert ReconstructionConfig.from_yaml(read_settings_text(path)) == preset_config("static")
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(StinrError, match="it is not text"):
        read_settings_text(path)
    with pytest.raises(StinrError, match="is a folder"):
        read_settings_text(tmp_path)
    with pytest.raises(StinrError, match="cannot be read: No such file"):
        read_settings_text(tmp_path / "none.yaml")
