"""The coarse step finds what the simulated instrument did, and the look before a training says so."""

from __future__ import annotations

import re

import numpy as np
import pytest

import napari_stinr as stinr
from helpers.recorded_cases import recorded, series_of
from napari_stinr.alignment.check import misalignment
from napari_stinr.alignment.coarse import CoarsePose, coarse_pose
from napari_stinr.config import PreprocessingConfig
from napari_stinr.data.notes import NoteKind
from napari_stinr.data.preprocessing.prepare import prepare
from napari_stinr.simulation import Simulation, SimulationConfig, simulate
from napari_stinr.simulation.instrument import Instrument

MOVED = Instrument(drift_x=6, drift_y=3, jitter=0.7, axis_offset=3, axis_rotation=1.5, angle_error=0.3, gain_error=0.03)


def simulated(instrument: Instrument, *, stop: float = 180, seed: int = 12, noise: float = 0.03) -> Simulation:
    start = 0 if stop == 180 else -stop
    return simulate(
        SimulationConfig(
            specimen="particle", grid=(56, 32, 56), pixel_size=0.55, tilt_start=start, tilt_stop=stop, tilt_step=3,
            growth="side", noise=noise, seed=seed, instrument=instrument,
        )
    )  # fmt: skip


def errors(simulation: Simulation, pose: stinr.Pose) -> tuple[float, float]:
    """RMS errors of dx and dy beside a movement of the object, and an offset with less than 180 degrees."""
    true, angles = simulation.pose, np.deg2rad(simulation.series.tilt_angles)
    psi = np.deg2rad(true.axis_rotation)
    dx = pose.dx + pose.axis_offset - true.dx - np.cos(psi) * true.axis_offset
    waves = [np.cos(angles), np.sin(angles)] + ([] if np.ptp(angles) > 3 else [np.ones_like(angles)])
    model = np.stack(waves, axis=1)
    dx = dx - model @ np.linalg.lstsq(model, dx, rcond=None)[0]
    dy = pose.dy - true.dy
    return float(np.sqrt(np.mean(dx**2))), float(np.std(dy))


@pytest.mark.parametrize("stop", [180, 60])
def test_the_pose_is_found(stop: float) -> None:
    simulation = simulated(MOVED, stop=stop)
    found = coarse(prepare(simulation.series, PreprocessingConfig()))
    assert max(errors(simulation, found.pose)) < 0.3
    assert found.correlation[np.isfinite(found.correlation)].min() > 0.6
    assert np.nanmedian(found.correlation) > np.nanmedian(found.correlation_before)
    if stop == 180:
        assert found.pose.axis_rotation == pytest.approx(1.5, abs=0.6)
        assert found.n_pairs
    else:
        assert found.pose.axis_rotation == 0
        assert not found.n_pairs


def coarse(series: stinr.TiltSeries) -> CoarsePose:
    return coarse_pose(series.projections, series.mask, series.tilt_angles, series.times)


def test_one_object_explains_aligned_projections() -> None:
    simulation = simulated(MOVED)
    residuals = []
    for how in ("off", "coarse"):
        reports: list[stinr.StepReport] = []
        stinr.reconstruct(simulation.series, preset="static", steps=80, threads=1, align=how, callback=reports.append)
        residuals.append(np.mean([report.relative_residual for report in reports[-8:]]))
    assert residuals[1] < 0.75 * residuals[0]


@pytest.mark.parametrize("stop", [180, 60])
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_said_of_an_aligned_series(stop: float, seed: int) -> None:
    assert misalignment(simulated(Instrument(), stop=stop, seed=seed).series) is None


@pytest.mark.parametrize("instrument", [Instrument(jitter=1.0), Instrument(drift_y=4), Instrument(axis_offset=3)])
def test_shifts_are_said_before_a_training(instrument: Instrument) -> None:
    note = misalignment(simulated(instrument).series)
    assert note is not None
    assert note.kind is NoteKind.ALIGNED


def test_excluded_projections_are_moved_with_their_neighbours() -> None:
    simulation = simulated(Instrument(drift_x=5, drift_y=5))
    found = coarse(simulation.series.exclude([0, 20, 60]))
    assert np.isnan(found.correlation[[0, 20, 60]]).all()
    assert found.pose.dy[20] == pytest.approx((found.pose.dy[19] + found.pose.dy[21]) / 2, abs=1e-6)


def test_projections_that_hardly_overlap_with_their_neighbours_are_named() -> None:
    series = simulated(Instrument(), stop=60).series
    n, height, width = series.projections.shape
    first = n // 2
    wide = np.zeros((n, height, 2 * width), dtype=np.float32)
    wide[:first, :, 1 : width + 1] = series.projections[:first]
    wide[first:, :, width - 1 : -1] = series.projections[first:]
    jumping = stinr.TiltSeries(wide, series.tilt_angles, times=series.times, pixel_size=series.pixel_size)
    order = np.argsort(series.tilt_angles)
    assert (np.diff(order) == 1).all()
    found = stinr.align(jumping, threads=1)
    assert found.apart == (first,)
    assert found.pose.is_identity
    assert f"Projections {first} (from 0)" in found.report()


def test_report_and_figure(tmp_path) -> None:
    simulation = simulated(Instrument(drift_x=2, drift_y=2, jitter=0.5))
    found = stinr.align(simulation.series, threads=1)
    assert "axis offset" in found.report()
    said = re.search(r"shifts with time +correlation (\S+) \(x\), (\S+) \(y\)", found.report())
    assert said is not None
    assert float(said[2]) == pytest.approx(np.corrcoef(found.pose.dy, simulation.series.times)[0, 1], abs=0.01)
    assert float(said[2]) > 0.5
    found.plot(tmp_path / "shifts.png")
    assert (tmp_path / "shifts.png").stat().st_size > 5000


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(stinr.StinrError, match="coarse"):
        stinr.reconstruct(series_of(recorded()), align="perfect")
