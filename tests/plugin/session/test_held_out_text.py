"""What the held-out loss says on curves whose meaning is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr.plugin.session.held_out_text import HeldOutKind, held_out_verdict

STEPS = np.arange(1, 401)
EVERY = 10


def falling(end: float, *, until: int = 400, start: float = 0.2) -> np.ndarray:
    """Loss that falls geometrically to `end` at a step, and stays there."""
    return start * (end / start) ** np.minimum(1.0, STEPS / until)


def looked_at(values: np.ndarray) -> np.ndarray:
    """Return the values at every tenth step, NaN elsewhere."""
    return np.where(STEPS % EVERY == 0, values, np.nan)


def judged(training: np.ndarray, unseen: np.ndarray, **options: bool):
    return held_out_verdict(STEPS, training, looked_at(unseen), **options)


FLAT = falling(0.01, until=150)
CASES = {
    "the same": (FLAT, FLAT, HeldOutKind.FOLLOWS),
    "a little worse": (FLAT, 1.3 * FLAT, HeldOutKind.FOLLOWS),
    # 0.002 against 0.0004 is a factor of 5, and 4 % of the projections.
    "both tiny": (falling(0.0004, until=150), falling(0.002, until=150), HeldOutKind.FOLLOWS),
    "noise in both": (0.3 + FLAT, 0.4 + FLAT, HeldOutKind.FOLLOWS),
    "far above": (falling(0.001, until=150), falling(0.03, until=150), HeldOutKind.APART),
    "turns up": (falling(0.001), np.maximum(falling(0.03, until=150), 0.00015 * STEPS), HeldOutKind.RISES),
    "rises from the start": (falling(0.03), 0.08 + 0.0001 * STEPS, HeldOutKind.RISES),
    "falls on": (falling(0.004), falling(0.005), HeldOutKind.FALLS_ON),
}


@pytest.mark.parametrize("case", CASES)
def test_each_course_is_recognised(case):
    training, unseen, kind = CASES[case]
    found = judged(training, unseen)
    assert found.kind is kind
    assert found.is_good is (kind in (HeldOutKind.FOLLOWS, HeldOutKind.FALLS_ON))


@pytest.mark.parametrize("case", CASES)
def test_one_noisy_look_more_or_less_decides_nothing(case):
    training, unseen, kind = CASES[case]
    for seed in range(5):
        noise = np.exp(0.04 * np.random.default_rng(seed).standard_normal(len(STEPS)))
        assert judged(training * noise, unseen * noise[::-1]).kind is kind


@pytest.mark.parametrize("case", CASES)
def test_what_to_do_stands_in_one_short_line(case):
    training, unseen, kind = CASES[case]
    found = judged(training, unseen)
    assert 0 < len(found.text) <= 52
    assert found.details.endswith(".")
    if kind in (HeldOutKind.RISES, HeldOutKind.APART):
        assert "align" in found.text
        assert "binning" in found.details


def test_worse_is_told_in_percent_of_the_projections():
    assert "17 % worse" in judged(falling(0.001, until=100), falling(0.03, until=100)).text


def test_it_rises_since_the_lowest_look():
    unseen = np.where(STEPS < 200, 0.05 - 0.0001 * STEPS, 0.03 + 0.0002 * (STEPS - 200))
    found = judged(falling(0.001), unseen)
    assert found.kind is HeldOutKind.RISES
    assert "since step 2" in found.text


def test_a_loss_that_rises_with_that_of_the_training_is_no_overfit():
    rising = np.linspace(0.02, 0.05, len(STEPS))
    assert judged(rising, rising).kind is HeldOutKind.FOLLOWS


def test_a_run_that_goes_on_is_not_called_too_short():
    training, unseen, _ = CASES["falls on"]
    assert judged(training, unseen, is_running=True).kind is HeldOutKind.FOLLOWS


def test_only_the_last_stage_counts():
    unseen = looked_at(np.where(STEPS < 200, 0.001, 0.02))
    training = np.where(STEPS < 200, 0.05, 0.019)
    assert held_out_verdict(STEPS, training, unseen).kind is HeldOutKind.RISES
    assert held_out_verdict(STEPS, training, unseen, first=200).kind is HeldOutKind.FOLLOWS


@pytest.mark.parametrize("n", [0, 30, 55])
def test_nothing_is_said_of_nothing_or_little(n):
    unseen = looked_at(FLAT)
    assert held_out_verdict(STEPS[:n], FLAT[:n], unseen[:n]).kind is HeldOutKind.UNKNOWN
    assert held_out_verdict(STEPS[:n], FLAT[:n], unseen[:n]).text == ""
    assert held_out_verdict(STEPS, FLAT, np.full(len(STEPS), np.nan)).text == ""
