"""What the instrument does to a series: every image shows what physics says, and the truth of it is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import rotate

from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series
from napari_stinr.simulation import Instrument, Simulation, SimulationConfig, simulate, write_simulation
from napari_stinr.simulation.acquisition import mean_foreground
from napari_stinr.simulation.instrument import HOT_LEVEL, draw_pose

if TYPE_CHECKING:
    from pathlib import Path

GRID = (48, 28, 48)


def recorded(noise: float = 0.0, seed: int = 3, specimen: str = "particle", **instrument: object) -> Simulation:
    config = SimulationConfig(
        grid=GRID,
        specimen=specimen,
        tilt_start=-60,
        tilt_stop=60,
        tilt_step=10,
        noise=noise,
        seed=seed,
        instrument=instrument,
    )
    return simulate(config)


def centres(stack: np.ndarray) -> np.ndarray:
    """Return centres of mass `(n_tilts, 2)` (u, v) of the images [px]."""
    v, u = np.indices(stack.shape[1:])
    mass = stack.sum(axis=(1, 2), dtype=float)
    return np.stack([(stack * u).sum(axis=(1, 2)) / mass, (stack * v).sum(axis=(1, 2)) / mass], axis=1)


def test_by_default_nothing_happens() -> None:
    plain = simulate(
        SimulationConfig(grid=GRID, specimen="particle", tilt_start=-60, tilt_stop=60, tilt_step=10, seed=3)
    )
    simulation = recorded()
    assert np.array_equal(simulation.series.projections, plain.series.projections)
    for values in (simulation.pose.dx, simulation.pose.dy, simulation.pose.angle_error, simulation.pose.gain - 1):
        assert not values.any()
    assert not simulation.pose.moves_rows


def test_the_specimen_follows_drift_and_jitter() -> None:
    still, moved = recorded(), recorded(drift_x=4.0, drift_y=-2.0, jitter=0.5)
    shift = centres(moved.clean_projections) - centres(still.clean_projections)
    np.testing.assert_allclose(shift, np.stack([moved.pose.dx, moved.pose.dy], axis=1), atol=0.05)
    steady = recorded(drift_x=4.0, drift_y=-2.0)
    np.testing.assert_allclose(steady.pose.dx, 4.0 * steady.series.times)
    np.testing.assert_allclose(steady.pose.dy, -2.0 * steady.series.times)
    assert (moved.pose.dx - steady.pose.dx).std() == pytest.approx(0.5, rel=0.5)
    # The specimen does not change: what moves is the image.
    assert np.array_equal(moved.truth, still.truth)


def test_a_shift_of_whole_pixels_is_exact() -> None:
    """Rows of the nanotube come in from the next period, columns from the vacuum."""
    simulation = recorded(specimen="nanotube", drift_x=12.0, drift_y=12.0)
    still = recorded(specimen="nanotube")
    assert simulation.pose.dx[6] == pytest.approx(6)
    expected = np.roll(still.series.projections[6], (6, 6), axis=(0, 1))[:, 6:]
    difference = simulation.series.projections[6][:, 6:] - expected
    assert np.linalg.norm(difference) < 0.01 * np.linalg.norm(expected)


def test_the_axis_offset_moves_every_image_alike() -> None:
    still, moved = recorded(), recorded(axis_offset=-2.5)
    shift = centres(moved.clean_projections) - centres(still.clean_projections)
    np.testing.assert_allclose(shift, np.tile([-2.5, 0.0], (13, 1)), atol=0.05)
    assert moved.series.axis_offset == 0


@pytest.mark.parametrize("specimen", ["nanotube", "particle"])
def test_the_axis_rotation_turns_the_images_from_x_to_y(specimen: str) -> None:
    still, turned = recorded(specimen=specimen), recorded(specimen=specimen, axis_rotation=6.0)
    middle = (slice(8, 20), slice(10, 38))
    for before, after in zip(still.series.projections, turned.series.projections, strict=True):
        # SciPy turns from y to x.
        right, wrong = (rotate(before, angle, reshape=False, order=5)[middle] for angle in (-6, 6))
        error = np.linalg.norm(after[middle] - right) / np.linalg.norm(right)
        assert error < 0.03
        assert np.linalg.norm(after[middle] - wrong) > 3 * error * np.linalg.norm(right)


def test_rows_next_to_the_border_are_full_where_a_tube_is_turned() -> None:
    still, turned = recorded(specimen="nanotube"), recorded(specimen="nanotube", axis_rotation=20.0, drift_y=40.0)
    row_mass = turned.clean_projections.sum(axis=2)
    assert row_mass.min() > 0.5 * still.clean_projections.sum(axis=2).mean()


def test_the_nominal_angles_are_not_the_true_ones() -> None:
    wrong = recorded(angle_error=3.0)
    assert np.array_equal(wrong.series.tilt_angles, recorded().series.tilt_angles)
    error = wrong.pose.angle_error
    assert error.std() == pytest.approx(3.0, rel=0.5)
    for index in (2, 9):
        true = SimulationConfig(
            grid=GRID,
            specimen="particle",
            tilt_start=wrong.series.tilt_angles[index] + error[index],
            seed=3,
            tilt_step=20,
        )
        np.testing.assert_allclose(wrong.clean_projections[index], simulate(true).clean_projections[0], atol=1e-2)


def test_gain_and_exposure_scale_the_images() -> None:
    still, bright = recorded(), recorded(exposure="1/cos")
    mass, reference = (each.clean_projections.sum(axis=(1, 2), dtype=float) for each in (bright, still))
    np.testing.assert_allclose(mass / reference, 1 / np.cos(np.deg2rad(still.series.tilt_angles)), rtol=1e-5)
    uneven = recorded(gain_error=0.1)
    mass = uneven.series.projections.sum(axis=(1, 2), dtype=float)
    np.testing.assert_allclose(
        mass, uneven.pose.gain * still.series.projections.sum(axis=(1, 2), dtype=float), rtol=1e-5
    )
    assert uneven.pose.gain.std() == pytest.approx(0.1, rel=0.5)


def test_background_and_hot_pixels_are_those_of_the_detector() -> None:
    still, dirty = recorded(), recorded(background=0.2, hot_pixels=0.01)
    foreground = mean_foreground(still.series.projections)
    for name in ("series", "clean"):
        stack, before = (
            each.series.projections if name == "series" else each.clean_projections for each in (dirty, still)
        )
        hot = (np.abs(stack - HOT_LEVEL * foreground) < 1e-3).all(axis=0)
        assert hot.sum() == round(0.01 * hot.size)
        np.testing.assert_allclose(stack[:, ~hot] - before[:, ~hot], 0.2 * foreground, rtol=1e-3)


def test_blank_images_have_background_and_noise_alone_and_the_first_is_none() -> None:
    simulation = recorded(noise=0.05, background=0.3, blank_images=10)
    blank, foreground = simulation.pose.is_blank, mean_foreground(recorded().series.projections)
    assert blank.sum() == 10
    assert not blank[np.argmin(simulation.series.times)]
    images = simulation.series.projections[blank]
    assert images.mean() == pytest.approx(0.3 * foreground, rel=0.1)
    assert images.std() == pytest.approx(0.05 * foreground, rel=0.15)
    assert (simulation.series.projections[~blank].std(axis=(1, 2)) > 5 * images.std()).all()
    assert np.array_equal(images, simulation.clean_projections[blank])


def test_what_is_switched_on_does_not_change_the_rest() -> None:
    angles, times = np.linspace(-60, 60, 25), np.linspace(0, 1, 25)
    alone = draw_pose(Instrument(jitter=1.0), angles, times, seed=1)
    everything = draw_pose(
        Instrument(jitter=1.0, angle_error=1.0, gain_error=0.1, blank_images=3), angles, times, seed=1
    )
    other = draw_pose(Instrument(jitter=1.0), angles, times, seed=2)
    assert np.array_equal(alone.dx, everything.dx)
    assert not np.array_equal(alone.dx, other.dx)
    assert not np.array_equal(alone.dx, alone.dy)


def test_the_truth_of_the_instrument_is_written_beside_the_series(tmp_path: Path) -> None:
    simulation = recorded(noise=0.02, drift_x=3, jitter=0.4, angle_error=0.5, gain_error=0.05, blank_images=1)
    write_simulation(tmp_path, simulation)
    written = np.genfromtxt(tmp_path / "instrument.csv", delimiter=",", names=True)
    np.testing.assert_allclose(written["tilt_angle_deg"], simulation.series.tilt_angles)
    for column, values in {
        "dx_px": simulation.pose.dx,
        "dy_px": simulation.pose.dy,
        "angle_error_deg": simulation.pose.angle_error,
        "gain": simulation.pose.gain,
        "is_blank": simulation.pose.is_blank,
    }.items():
        np.testing.assert_allclose(written[column], values, atol=1e-6)
    # It is not taken for a list that belongs to the stack.
    series = read_tilt_series(tmp_path / "stack.mrc")
    np.testing.assert_allclose(series.tilt_angles, simulation.series.tilt_angles)
    np.testing.assert_allclose(series.times, simulation.series.times, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"jitter": -1.0}, "jitter of the simulation is -1.0"),
        ({"exposure": "cos"}, "exposure of the simulation is 'cos'"),
        ({"hot_pixels": 0.9}, "hot_pixels of the simulation is 0.9"),
        ({"drift": 1.0}, "drift of the simulation is 1.0"),
    ],
)
def test_impossible_instruments_are_named(values: dict[str, object], found: str) -> None:
    with pytest.raises(StinrError, match=found):
        Instrument(**values)
    with pytest.raises(StinrError, match=found):
        SimulationConfig(instrument=values)


def test_what_the_tilts_do_not_allow_is_refused() -> None:
    with pytest.raises(StinrError, match=r"follows 1/cos\(tilt\) up to 180 degrees; expected tilt angles within 80"):
        simulate(SimulationConfig(grid=GRID, tilt_step=30, instrument=Instrument(exposure="1/cos")))
    with pytest.raises(StinrError, match="6 of 7 images shall be blank; expected at most 4"):
        simulate(SimulationConfig(grid=GRID, tilt_step=30, instrument=Instrument(blank_images=6)))
