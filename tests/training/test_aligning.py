"""The search for the pose: an aligned series stays as it is, a shifted one is found, and held-out projections judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_stinr as stinr
from napari_stinr.alignment.gauges import moves, without
from napari_stinr.alignment.registration import PoseStep
from napari_stinr.config import AS_RECORDED, PreprocessingConfig
from napari_stinr.simulation import Simulation, SimulationConfig, simulate
from napari_stinr.simulation.instrument import Instrument
from napari_stinr.training import aligning
from napari_stinr.training.events import Abandoned, Aligning, Event, Prepared
from napari_stinr.training.pose_fit import Effort, Look, PoseFit
from napari_stinr.training.run import Control, Order, drive

MOVED = Instrument(drift_x=4, drift_y=2, jitter=0.7, axis_offset=2, axis_rotation=1.0)


def simulated(instrument: Instrument, *, tilts: tuple[float, float, float] = (0, 180, 6), seed: int = 21) -> Simulation:
    start, stop, step = tilts
    return simulate(
        SimulationConfig(
            specimen="particle", grid=(40, 20, 40), pixel_size=0.6, tilt_start=start, tilt_stop=stop, tilt_step=step,
            growth="side", noise=0.02, seed=seed, instrument=instrument,
        )
    )  # fmt: skip


def errors(simulation: Simulation, pose: stinr.Pose) -> tuple[float, float]:
    """RMS errors of dx and dy beside moves of the object [pixel]."""
    true, angles = simulation.pose, simulation.series.tilt_angles
    psi = np.deg2rad(true.axis_rotation)
    dx = pose.dx + pose.axis_offset - true.dx - np.cos(psi) * true.axis_offset
    waves = np.sin(psi) * moves(angles)
    return (
        float(np.sqrt(np.mean(np.square(without(moves(angles), dx))))),
        float(np.sqrt(np.mean(np.square(without(np.c_[waves, np.ones(len(angles))], pose.dy - true.dy))))),
    )


@pytest.mark.parametrize("tilts", [(0, 180, 6), (-60, 60, 5)])
def test_an_aligned_series_is_not_moved(tilts: tuple[float, float, float]) -> None:
    series = simulated(Instrument(), tilts=tilts).series
    found = stinr.align(series, threads=1)
    assert found.is_still
    assert found.pose.is_identity
    assert found.apply(series) is series
    assert not found.notes


def test_a_shifted_series_is_found_and_predicts_better() -> None:
    simulation = simulated(MOVED)
    parts: list[float] = []
    found = stinr.align(simulation.series, threads=1, report=parts.append)
    assert max(errors(simulation, found.pose)) < 0.2
    assert found.held_out < 0.75 * found.held_out_before
    assert parts == sorted(parts)
    assert (parts[0], parts[-1]) == (0.0, 1.0)


def test_the_axis_is_found_without_mirror_images() -> None:
    simulation = simulated(MOVED, tilts=(-60, 60, 2.5))
    found = stinr.align(simulation.series, threads=1)
    assert found.is_axis_known
    assert max(errors(simulation, found.pose)) < 0.3


class Imitation:
    """In place of a fit: shows no shifts, a rotation that changes its mind, and misfits by the offset of the axis."""

    def __init__(self, n: int, *, offset: float, rotations: list[float]) -> None:
        self.offset, self.rotations, self.zero = offset, rotations, np.zeros(n)

    def looks(self, poses: list[stinr.Pose], *, effort: Effort) -> list[Look]:
        return [self.look(pose, effort=effort) for pose in poses]

    def look(self, pose: stinr.Pose, *, effort: Effort, turns: bool = False) -> Look:
        del effort, turns
        turn = self.rotations.pop(0) if self.rotations else 0.0
        residual = 0.1 + 0.002 * (pose.axis_offset - self.offset) ** 2
        return Look(PoseStep(self.zero, self.zero, self.zero, turn), residual, 0.2)


class Narrow(Imitation):
    """Shows the offset of the axis, and misfits by it, only near to where it is; elsewhere all is alike."""

    reach = 2.0

    def look(self, pose: stinr.Pose, *, effort: Effort, turns: bool = False) -> Look:
        del effort, turns
        away = self.offset - pose.axis_offset
        is_near = abs(away) < self.reach
        seen = self.zero + (0.1 * away if is_near else 0.0)
        residual = 0.1 + 0.02 * away**2 if is_near else 0.2 + 1e-4 * pose.axis_offset**2
        return Look(PoseStep(seen, self.zero, self.zero, 0.0), residual, 0.2)


def searched(
    fit: Imitation, series: stinr.TiltSeries, *, has_pairs: bool = False
) -> tuple[aligning._Search, stinr.Pose]:
    search = aligning._Search(series, aligning._Progress(None, expected=9), rows=8, threads=1)
    search._fit = fit  # type: ignore[assignment]
    return search, search.refined(stinr.Pose.identity(series.n_tilts), has_pairs=has_pairs)


def test_an_offset_that_shows_no_signal_is_found_by_the_misfit() -> None:
    series = simulated(Instrument(), tilts=(-60, 60, 6)).series
    search, pose = searched(Imitation(series.n_tilts, offset=-7.4, rotations=[]), series)
    assert pose.axis_offset == pytest.approx(-7.4, abs=0.01)
    assert search.is_rotation_told


@pytest.mark.parametrize("offset", [5.2, -7.0])
def test_a_narrow_minimum_is_found_from_elsewhere(offset: float) -> None:
    series = simulated(Instrument()).series
    _, pose = searched(Narrow(series.n_tilts, offset=offset, rotations=[]), series, has_pairs=True)
    assert pose.axis_offset == pytest.approx(offset, abs=0.1)


def test_a_rotation_that_fits_do_not_settle_on_is_undone() -> None:
    series = simulated(Instrument(), tilts=(-60, 60, 6)).series
    search, pose = searched(Imitation(series.n_tilts, offset=0.0, rotations=[0.7, -0.7] * 8), series)
    assert pose.axis_rotation == 0
    assert not search.is_rotation_told


def test_fits_at_the_same_time_are_as_one_after_the_other() -> None:
    series = simulated(MOVED).series
    poses = [stinr.Pose.identity(series.n_tilts), replace(stinr.Pose.identity(series.n_tilts), axis_offset=2.0)]
    effort, before = Effort(visits=6, tilts=8), torch.get_num_threads()
    fit = PoseFit(series, slice(2, 12), held_out=3, threads=2)
    together = fit.looks(poses, effort=effort)
    assert torch.get_num_threads() == before
    for look, pose in zip(together, poses, strict=True):
        alone = replace(fit, threads=1).look(pose, effort=effort)
        assert (look.residual, look.held_out) == (alone.residual, alone.held_out)
        np.testing.assert_array_equal(look.step.dx, alone.step.dx)
    assert together[0].residual != together[1].residual


def test_a_pose_that_predicts_worse_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = simulated(Instrument(jitter=0.4))
    wrong = aligning.coarse_pose

    def scattered(*given: object, **named: object) -> object:
        found = wrong(*given, **named)  # type: ignore[arg-type]
        noise = 4 * np.random.default_rng(1).standard_normal(found.pose.n_tilts)
        return replace(found, pose=replace(found.pose, dx=noise, dy=noise))

    monkeypatch.setattr(aligning, "coarse_pose", scattered)
    monkeypatch.setattr(aligning._Search, "refined", lambda _, pose, **__: pose)
    found = stinr.align(simulation.series, threads=1)
    assert found.pose.is_identity
    assert "No pose" in str(found.notes[-1])


def test_too_little_to_align_by_is_not_moved_and_said() -> None:
    found = stinr.align(simulated(MOVED, tilts=(0, 42, 6)).series, threads=1)
    assert found.pose.is_identity
    assert not found.is_still
    assert "too few" in found.report()


def test_a_run_is_aligned_by_default_keeps_its_pose_and_goes_on() -> None:
    simulation = simulated(MOVED)
    run = stinr.reconstruct(simulation.series, steps=6, threads=1)
    assert run.pose is not None
    assert max(errors(simulation, run.pose)) < 0.2
    off = stinr.reconstruct(simulation.series, steps=6, threads=1, align="off")
    assert off.pose is None
    assert off.provenance["fingerprint"] != run.provenance["fingerprint"]


def test_a_given_alignment_is_taken_as_it_is(tmp_path) -> None:  # type: ignore[no-untyped-def]
    simulation = simulated(MOVED)
    known = Order(
        simulation.series,
        stinr.preset_config("growth").with_preprocessing(**AS_RECORDED.model_dump()).with_training(steps=4),
        pose=stinr.Pose(
            simulation.pose.dx, simulation.pose.dy, np.zeros(31), np.ones(31),
            simulation.pose.axis_offset, simulation.pose.axis_rotation,
        ),
        threads=1,
        path=tmp_path / "run.stinr",
    )  # fmt: skip
    events: list[Event] = []
    drive(known, events.append, raises=True)
    assert not [event for event in events if isinstance(event, Aligning)]
    run = stinr.load_reconstruction(tmp_path / "run.stinr")
    assert run.pose is not None
    assert np.allclose(run.pose.dx, simulation.pose.dx)
    # It goes on from the recorded series, without being told the pose again.
    events.clear()
    drive(Order(simulation.series, resume=tmp_path / "run.stinr", steps=6, threads=1), events.append, raises=True)
    assert events[-1].reconstruction.step == 6  # type: ignore[union-attr]


def test_a_stop_while_aligning_leaves_nothing() -> None:
    control, events = Control(), list[Event]()

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, Aligning):
            control.stop()

    outcome = drive(Order(simulated(MOVED).series, threads=1), listen, control)
    assert isinstance(outcome, Abandoned)
    assert not [event for event in events if isinstance(event, Prepared)]


def test_an_unknown_alignment_is_refused() -> None:
    with pytest.raises(stinr.StinrError, match="coarse or joint"):
        stinr.align(simulated(Instrument()).series, method="fine")


def test_preprocessing_of_a_given_alignment_is_kept() -> None:
    series = simulated(MOVED).series
    found = stinr.align(series, preprocessing=PreprocessingConfig(background="off"), threads=1)
    run = stinr.reconstruct(series, align=found, steps=2, threads=1)
    assert run.config.preprocessing.background == "off"
    assert run.pose is not None
    assert np.array_equal(run.pose.dx, found.pose.dx)
