"""The samples: what they show, and a window that stays alive while they are simulated."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from napari.utils import progress
from qtpy.QtCore import QTimer

import napari_stinr as stinr
from napari_stinr import simulation
from napari_stinr.plugin.hooks import samples
from napari_stinr.plugin.hooks.samples import nanotube, nanotube_small

PLUGIN = "napari-stinr"
TINY = simulation.SimulationConfig(grid=(32, 16, 32), tilt_step=45.0)


@pytest.fixture(scope="module")
def small() -> list:
    return nanotube_small()


@pytest.fixture(scope="module")
def tiny() -> simulation.Simulation:
    return simulation.simulate(TINY)


@pytest.fixture
def slow(monkeypatch, tiny) -> list[str]:
    """Let a simulation take half a second and note the threads it ran in."""
    threads: list[str] = []

    def simulate(config, *, progress=None):
        threads.append(threading.current_thread().name)
        for done in range(5):
            time.sleep(0.1)
            progress and progress(done + 1, 5)
        return tiny

    monkeypatch.setattr(simulation, "simulate", simulate)
    return threads


def world_middle(layer: tuple) -> np.ndarray:
    """Centre (z, y, x) of a layer [nm]."""
    data, options, _ = layer
    scale, origin = np.array(options["scale"][-3:]), np.array(options["translate"][-3:])
    return origin + (np.array(data.shape[-3:]) - 1) / 2 * scale


def test_the_small_sample_is_a_tilt_series_with_its_truth(small):
    truth, contamination, series = small
    draft = series[1]["metadata"]["stinr"]["draft"]
    assert (series[0].shape, draft.n_tilts, draft.problem, draft.name) == ((61, 1, 24, 48), 61, "", "small nanotube")
    assert "visible" not in series[1]
    assert truth[1]["metadata"]["stinr"] == {"truth": True}
    assert contamination[1]["metadata"]["stinr"] == {"true_contamination": True}
    assert [layer[1]["name"].removeprefix("small nanotube ") for layer in (truth, contamination)] == [
        "truth (t = 0)",
        "true contamination (t = 1)",
    ]
    for layer in (truth, contamination):
        assert layer[1]["visible"] is False
        assert layer[0].shape == (48, 24, 48)
        # The volume lies where the stack shows it.
        np.testing.assert_allclose(world_middle(layer), world_middle(series))
        assert layer[1]["units"] == ("nm",) * 3


def test_the_settings_of_a_sample_repeat_it(small):
    draft = small[2][1]["metadata"]["stinr"]["draft"]
    config = simulation.SimulationConfig(**draft.sample)
    again = simulation.simulate(config.model_copy(update={"tilt_stop": 0.0, "tilt_start": -6.0}))
    np.testing.assert_array_equal(again.truth, small[0][0])
    assert (config.grid, len(config.tilt_angles)) == ((48, 24, 48), 61)


@pytest.mark.slow
def test_a_short_reconstruction_of_the_small_sample_separates_specimen_and_contamination(small):
    series, truth, contamination = small[2][1]["metadata"]["stinr"]["draft"].series(), small[0][0], small[1][0]
    shell = contamination > 0.2 * contamination.max()
    left, error = {}, {}
    for preset in ("static", "growth"):
        clean = stinr.reconstruct(series, preset=preset, steps=100, seed=0).render(0.0)
        left[preset] = clean[shell].mean() / contamination[shell].mean()
        error[preset] = np.linalg.norm(clean - truth) / np.linalg.norm(truth)
    assert left["static"] > 0.3 > 0.05 > left["growth"]
    assert error["growth"] < 0.6 * error["static"]


def test_the_large_sample_is_the_experiment_of_the_paper(monkeypatch, tiny):
    asked = []
    monkeypatch.setattr(simulation, "simulate", lambda config, progress=None: asked.append(config) or tiny)
    nanotube()
    assert asked == [simulation.SimulationConfig()]
    assert len(asked[0].tilt_angles) == 181


@pytest.mark.qt
def test_the_window_stays_alive_and_shows_progress(qapp, slow):
    ticks, bars = [], []

    def tick() -> None:
        ticks.append(time.perf_counter())
        bars.extend((bar.n, bar.total) for bar in progress._all_instances)

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(5)
    nanotube_small()
    timer.stop()
    assert slow == ["stinr-sample"]
    assert max(np.diff(ticks)) < 0.25
    assert {n for n, _ in bars} >= {0, 1, 2, 3, 4}
    assert {total for _, total in bars} == {61}
    assert not progress._all_instances


@pytest.mark.qt
def test_a_sample_is_not_started_twice(qapp, slow):
    caught = []

    def again() -> None:
        with pytest.raises(stinr.StinrError, match="being simulated already") as error:
            nanotube()
        caught.append(error)

    QTimer.singleShot(50, again)
    nanotube_small()
    assert len(caught) == len(slow) == 1
    nanotube_small()  # and once it is there, another one may come


@pytest.mark.qt
def test_an_error_of_the_thread_is_raised_to_the_caller(qapp, monkeypatch):
    def fail(config, *, progress=None):
        raise MemoryError("no room")

    monkeypatch.setattr(simulation, "simulate", fail)
    for _ in range(2):
        with pytest.raises(MemoryError, match="no room"):
            nanotube_small()
    assert not progress._all_instances


def test_without_an_application_nothing_but_the_simulation_runs(monkeypatch, slow):
    monkeypatch.setattr(samples, "_application", lambda: None)
    assert len(nanotube_small()) == 3
    assert slow == [threading.main_thread().name]


def test_another_thread_does_not_touch_the_window(qapp, slow):
    thread = threading.Thread(target=nanotube_small, name="elsewhere")
    thread.start()
    thread.join()
    assert slow == ["elsewhere"]


@pytest.mark.qt
def test_napari_opens_the_sample(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.open_sample(PLUGIN, "nanotube_small")
    assert [layer.visible for layer in viewer.layers] == [False, False, True]
    assert viewer.layers.selection.active is viewer.layers[2]
    # One common size and place: the time slider of the stack, and the volume's y and x.
    assert viewer.dims.nsteps[0] == 61
    assert [str(unit) for unit in viewer.layers[2].units[1:]] == ["nanometer"] * 3
