"""All of it together: what is not there is not touched, what is done is said, and what a person wants is done."""

from __future__ import annotations

import numpy as np
import pytest

import napari_stinr as stinr
from helpers.recorded_cases import ANGLES, recorded, series_of
from napari_stinr.config import AS_RECORDED, PreprocessingConfig, ReconstructionConfig, preset_config
from napari_stinr.data.notes import NoteKind
from napari_stinr.data.preprocessing.prepare import prepare
from napari_stinr.errors import StinrError

AUTO = PreprocessingConfig()


def kinds_of(series: stinr.TiltSeries) -> set[NoteKind]:
    return {note.kind for note in series.notes}


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_a_series_without_faults_is_the_same_object(noise: float) -> None:
    series = series_of(recorded(noise=noise))
    assert prepare(series, AUTO) is series


def test_as_recorded_nothing_is_done() -> None:
    stack = recorded() + 5
    stack[3] = 0
    series = series_of(np.rot90(stack, axes=(1, 2)))
    assert prepare(series, AS_RECORDED) is series


def test_everything_at_once() -> None:
    clean = recorded(noise=0.02)
    gains = 1 + 0.05 * np.random.default_rng(6).standard_normal(len(ANGLES))
    stack = (gains[:, None, None] * clean + 40).astype(np.float32)
    stack[9] = 40 + np.random.default_rng(7).normal(0, 0.02, stack[9].shape)
    stack[4, 3, 3] = 5000
    prepared = prepare(series_of(np.rot90(stack, axes=(1, 2))), AUTO)
    assert kinds_of(prepared) == {NoteKind.DEFECTS, NoteKind.BACKGROUND, NoteKind.AXIS, NoteKind.INTENSITY}
    assert prepared.mask is not None
    assert not prepared.mask[9].any()
    assert not prepared.mask[4, 3, 3]
    assert (~prepared.mask).sum() == clean[0].size + 1
    scale = prepared.projections[prepared.mask] @ clean[prepared.mask] / (clean[prepared.mask] @ clean[prepared.mask])
    difference = prepared.projections[prepared.mask] - scale * clean[prepared.mask]
    assert np.linalg.norm(difference) < 0.05 * np.linalg.norm(clean)


def test_turning_keeps_the_handedness() -> None:
    stack = recorded()
    prepared = prepare(series_of(np.rot90(stack, axes=(1, 2))), AUTO)
    np.testing.assert_array_equal(prepared.projections, stack)
    asked = prepare(series_of(stack), AS_RECORDED.model_copy(update={"axis": "horizontal"}))
    assert asked.projections.shape == (len(ANGLES), stack.shape[2], stack.shape[1])
    assert prepare(series_of(np.rot90(stack, axes=(1, 2))), AS_RECORDED).height == stack.shape[2]


def test_a_level_may_be_given_and_is_subtracted_once() -> None:
    series = series_of(recorded() + 5)
    given = prepare(series, AUTO.model_copy(update={"background_level": 2.0}))
    np.testing.assert_allclose(given.projections, series.projections - 2, rtol=1e-6)
    found = prepare(series, AUTO)
    assert prepare(found, AUTO) is found


def test_what_is_masked_can_be_put_back() -> None:
    stack = recorded()
    stack[3], stack[5, 4, 4] = 0, 900
    kept = prepare(series_of(stack), AUTO.model_copy(update={"blank_images": "keep", "bad_pixels": "keep"}))
    assert kept.mask is None
    only_blank = prepare(series_of(stack), AUTO.model_copy(update={"bad_pixels": "keep"}))
    assert only_blank.mask is not None
    assert only_blank.mask[5].all()
    assert not only_blank.mask[3].any()


def test_dark_matter_is_not_taken_for_background() -> None:
    series = series_of(10 - recorded(noise=0.02))
    prepared = prepare(series, AUTO)
    np.testing.assert_array_equal(prepared.projections, series.projections)
    assert "invert the contrast" in str(prepared.notes[-1])


@pytest.mark.parametrize("config", [AUTO, AS_RECORDED])
def test_a_series_that_shows_nothing_is_refused(config: PreprocessingConfig) -> None:
    stack = np.full((9, 8, 8), 4.0)
    with pytest.raises(StinrError, match=r"all projections of .* are blank.*expected at least 3.*right stack"):
        prepare(series_of(stack, np.arange(9.0)), config)
    stack[:2] = recorded(height=8, width=8)[:2]
    with pytest.raises(StinrError, match=r"7 of 9 projections of .* are blank"):
        prepare(series_of(stack, np.arange(9.0)), config)


@pytest.mark.parametrize("level", [0.2, -0.3, 1000.0])
def test_a_reconstruction_is_the_same_with_a_background(level: float) -> None:
    stack = recorded(height=8, width=32)
    volumes = [
        stinr.reconstruct(series_of(values), steps=60, threads=1).render(t=0.0)
        for values in (stack, stack + np.float32(level))
    ]
    assert np.corrcoef(volumes[0].ravel(), volumes[1].ravel())[0, 1] > 0.98


def test_a_run_from_before_is_read_as_recorded_and_new_settings_are_kept() -> None:
    stored = preset_config("growth").model_dump(mode="json")
    assert ReconstructionConfig.model_validate(stored).preprocessing == AUTO
    del stored["preprocessing"]
    import json

    assert ReconstructionConfig.from_run(json.dumps(stored)).preprocessing == AS_RECORDED
    assert ReconstructionConfig.from_yaml("preprocessing: {background: each}").preprocessing.background == "each"


def test_a_run_goes_on_with_what_was_done_to_it(tmp_path) -> None:
    series = series_of(recorded(height=8, width=32) + 5)
    config = preset_config("static").with_preprocessing(background="off")
    run = stinr.reconstruct(series, config=config, steps=4, threads=1)
    run.save(tmp_path / "run.stinr")
    assert stinr.load_reconstruction(tmp_path / "run.stinr").config.preprocessing.background == "off"
