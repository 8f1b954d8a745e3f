"""Metrics against volumes whose error, resolution and contamination are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_stinr.analysis.metrics import (
    Evaluation,
    contamination_left,
    contamination_removed,
    correlation,
    evaluate,
    fitted_scale,
    nrmse,
)
from napari_stinr.analysis.resolution import fourier_shell_correlation, fsc_resolution
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOXEL = 0.5  # [Å]
SHAPE = (32, 20, 27)


def white(seed: int, shape: tuple[int, ...] = SHAPE) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def blob(
    shape: tuple[int, int, int], centre: tuple[float, float, float], width: float, height: float
) -> NDArray[np.float64]:
    """Return a `(z, y, x)` Gaussian; centre and width [voxel]."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return height * np.exp(-((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) / (2 * width**2))


def frequency(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return `(z, y, x)` the magnitude of the frequency of each element of `fftn` [1/Å]."""
    axes = np.meshgrid(*[np.fft.fftfreq(length, VOXEL) for length in shape], indexing="ij")
    return np.asarray(np.sqrt(sum(axis**2 for axis in axes)))


def specimen_and_contamination() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth = blob((24, 24, 24), (8, 12, 12), 1.0, 500.0) + blob((24, 24, 24), (11, 12, 12), 1.0, 60.0)
    carbon = blob((24, 24, 24), (19, 12, 12), 1.0, 60.0) + blob((24, 24, 24), (18, 18, 12), 1.0, 60.0)
    return truth, carbon


def test_error_of_the_truth_is_zero_and_of_nothing_is_one() -> None:
    truth = white(0)
    assert nrmse(truth, truth) == 0.0
    assert nrmse(np.zeros(SHAPE), truth) == 1.0
    assert nrmse(1.1 * truth, truth) == pytest.approx(0.1)


def test_correlation_is_blind_to_scale_and_offset_but_not_to_sign() -> None:
    truth = white(0)
    assert correlation(3 * truth + 5, truth) == pytest.approx(1.0)
    assert correlation(-truth, truth) == pytest.approx(-1.0)
    assert abs(correlation(white(1), truth)) < 0.05
    assert np.isnan(correlation(np.zeros(SHAPE), truth))


def test_scale_is_that_of_the_volume_even_in_noise() -> None:
    truth = white(0)
    assert fitted_scale(0.88 * truth, truth) == pytest.approx(0.88)
    assert fitted_scale(0.88 * truth + 0.2 * white(1), truth) == pytest.approx(0.88, abs=0.01)


def test_metrics_leave_their_arguments_alone() -> None:
    volume, truth = white(0), white(1)
    before = volume.copy(), truth.copy()
    correlation(volume, truth)
    fourier_shell_correlation(volume, truth, voxel_size=VOXEL)
    np.testing.assert_array_equal((volume, truth), before)


@pytest.mark.parametrize("shape", [(16, 16, 16), SHAPE, (15, 30, 20)])
def test_fsc_of_a_volume_with_itself_is_one_up_to_nyquist(shape: tuple[int, int, int]) -> None:
    volume = white(0, shape)
    frequencies, fsc = fourier_shell_correlation(volume, 2 * volume, voxel_size=VOXEL)
    np.testing.assert_allclose(fsc, 1.0)
    assert frequencies[0] == pytest.approx(1 / (max(shape) * VOXEL))
    assert frequencies[-1] == pytest.approx(1 / (2 * VOXEL))


def test_fsc_of_independent_noise_is_near_zero() -> None:
    _, fsc = fourier_shell_correlation(white(0), white(1), voxel_size=VOXEL)
    assert np.abs(fsc[4:]).max() < 0.2
    assert abs(fsc[4:].mean()) < 0.03


def test_fsc_equals_a_sum_over_all_of_fourier_space() -> None:
    first, second = white(0), white(0) + white(1)
    a, b = np.fft.fftn(first), np.fft.fftn(second)
    shell = np.rint(frequency(SHAPE) * max(SHAPE) * VOXEL) == 7
    slow = (a * b.conj())[shell].sum().real / np.sqrt((np.abs(a[shell]) ** 2).sum() * (np.abs(b[shell]) ** 2).sum())
    _, fsc = fourier_shell_correlation(first, second, voxel_size=VOXEL)
    assert fsc[6] == pytest.approx(slow)


def test_shift_lowers_the_fsc_as_the_mean_of_its_phase() -> None:
    volume = white(0, (32, 32, 32))
    frequencies, fsc = fourier_shell_correlation(np.roll(volume, 2, axis=2), volume, voxel_size=VOXEL)
    # Mean of cos(2 pi q d) over the directions of a shell: sin(a) / a with a = 2 pi |q| d, d = 1 Å.
    expected = np.sinc(2 * frequencies * 2 * VOXEL)
    np.testing.assert_allclose(fsc[5:], expected[5:], atol=0.08)


def test_resolution_of_a_blurred_noisy_volume_is_where_noise_has_three_times_the_signal() -> None:
    shape, blur, noise = (64, 48, 64), 0.35, 0.25
    truth = white(0, shape)
    transfer = np.exp(-2 * (np.pi * blur * frequency(shape)) ** 2)
    volume = np.fft.ifftn(np.fft.fftn(truth) * transfer).real + noise * white(1, shape)
    # transfer / sqrt(transfer**2 + noise**2) = 1/2 where transfer = noise / sqrt(3).
    expected = np.pi * blur / np.sqrt(0.5 * np.log(np.sqrt(3) / noise))
    frequencies, fsc = fourier_shell_correlation(volume, truth, voxel_size=VOXEL)
    assert fsc_resolution(frequencies, fsc) == pytest.approx(expected, rel=0.05)


def test_shells_are_spheres_where_edges_differ() -> None:
    truth = white(0, (48, 16, 24))
    kept = frequency(truth.shape) < 0.6
    volume = np.fft.ifftn(np.fft.fftn(truth) * kept).real
    frequencies, fsc = fourier_shell_correlation(volume, truth, voxel_size=VOXEL)
    np.testing.assert_allclose(fsc[frequencies < 0.57], 1.0)
    np.testing.assert_array_equal(fsc[frequencies > 0.63], 0.0)
    assert fsc_resolution(frequencies, fsc) == pytest.approx(1 / 0.6, rel=0.06)


def test_resolution_is_interpolated_and_bounded() -> None:
    frequencies = [0.1, 0.2, 0.3, 0.4]
    assert fsc_resolution(frequencies, [1.0, 0.8, 0.4, 0.9]) == pytest.approx(1 / 0.275)
    assert fsc_resolution(frequencies, [1.0, 0.8, 0.4, 0.9], threshold=0.143) == pytest.approx(1 / 0.4)
    assert fsc_resolution(frequencies, [0.3, 0.2, 0.1, 0.0]) == pytest.approx(1 / 0.1)
    with pytest.raises(StinrError, match="3 correlations for 4 frequencies"):
        fsc_resolution(frequencies, [1.0, 1.0, 1.0])


@pytest.mark.parametrize("left", [0.0, 0.25, 1.0])
def test_contamination_left_is_the_fraction_that_was_left(left: float) -> None:
    truth, carbon = specimen_and_contamination()
    assert contamination_left(truth + left * carbon, truth, carbon) == pytest.approx(left)
    assert contamination_left(truth + left * carbon, truth, carbon, absolute=True) == pytest.approx(left)


def test_errors_of_the_specimen_are_not_contamination() -> None:
    truth, carbon = specimen_and_contamination()
    assert abs(contamination_left(0.7 * truth, truth, carbon)) < 0.01


def test_absolute_value_sees_what_cancels_in_the_signed_mean() -> None:
    truth, carbon = specimen_and_contamination()
    artefact = carbon * np.where(np.arange(24) % 2, 1, -1)
    assert abs(contamination_left(truth + artefact, truth, carbon)) < 0.2
    assert contamination_left(truth + artefact, truth, carbon, absolute=True) == pytest.approx(1.0)


def test_contamination_inside_the_specimen_alone_cannot_be_judged() -> None:
    truth, _ = specimen_and_contamination()
    with pytest.raises(StinrError, match="0 of 13824 voxels"):
        contamination_left(truth, truth, truth)


def test_removed_runs_from_static_to_never_contaminated() -> None:
    assert contamination_removed(0.48, left_static=0.48, left_uncontaminated=0.02) == 0.0
    assert contamination_removed(0.02, left_static=0.48, left_uncontaminated=0.02) == 1.0
    assert contamination_removed(0.25, left_static=0.48, left_uncontaminated=0.02) == pytest.approx(0.5)
    with pytest.raises(StinrError, match=r"leaves 0.1, the uncontaminated one 0.2"):
        contamination_removed(0.1, left_static=0.1, left_uncontaminated=0.2)


def test_evaluation_of_the_truth_is_perfect() -> None:
    truth, carbon = specimen_and_contamination()
    atoms = np.array([[8.0, 12.0, 12.0]]) * VOXEL
    result = evaluate(truth, truth, voxel_size=VOXEL, contamination=carbon, atom_positions=atoms, atom_numbers=[40])
    assert (result.nrmse, result.contamination_left, result.contamination_left_absolute) == (0.0, 0.0, 0.0)
    assert (result.correlation, result.scale) == pytest.approx((1.0, 1.0))
    assert result.fsc_resolution == pytest.approx(2 * VOXEL)
    assert result.atoms is not None
    assert result.atoms.recall_by_group == {"Z=40": 1.0}


def test_evaluation_counts_the_atoms_of_the_volume_not_of_the_truth() -> None:
    truth, carbon = specimen_and_contamination()
    positions = np.array([[8, 12, 12], [11, 12, 12]]) * VOXEL
    light = truth - blob((24, 24, 24), (8, 12, 12), 1.0, 500.0)
    groups = ["heavy", "light"]
    result = evaluate(light + carbon, truth, voxel_size=VOXEL, atom_positions=positions, atom_groups=groups)
    assert result.atoms is not None
    assert result.atoms.recall_by_group == {"heavy": 0.0, "light": 1.0}
    assert result.atoms.precision == pytest.approx(1 / 3)


def test_evaluation_is_valid_json_where_numbers_are_missing() -> None:
    truth, _ = specimen_and_contamination()
    result = evaluate(np.zeros_like(truth), truth, voxel_size=VOXEL, atom_positions=[[4.0, 6.0, 6.0]])
    written = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert written["correlation"] is None
    assert written["contamination_left"] is None
    assert written["nrmse"] == 1.0
    assert written["atoms"]["n_found"] == 0
    assert set(written) == set(Evaluation.__dataclass_fields__)


@pytest.mark.parametrize(
    ("volume", "truth", "found"),
    [
        (np.ones((4, 4, 4)), np.ones((4, 4, 5)), r"shape \(4, 4, 4\) and the truth \(4, 4, 5\)"),
        (np.full((4, 4, 4), np.nan), np.ones((4, 4, 4)), "volume has 64 voxel"),
        (np.ones((4, 4, 4)), np.zeros((4, 4, 4)), "truth is 0 everywhere"),
    ],
)
def test_wrong_input_is_named(volume: NDArray[np.float64], truth: NDArray[np.float64], found: str) -> None:
    with pytest.raises(StinrError, match=found):
        evaluate(volume, truth, voxel_size=VOXEL)


def test_voxel_size_must_be_positive() -> None:
    with pytest.raises(StinrError, match="voxel size is 0 Å"):
        fourier_shell_correlation(white(0), white(0), voxel_size=0.0)
