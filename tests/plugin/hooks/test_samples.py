"""The samples: what they show, and a window that stays alive while they are simulated."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.utils import progress
from qtpy.QtCore import QTimer

import napari_stinr as stinr
from helpers.waiting import wait_for
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


class Held:
    """Simulations that go on from tilt to tilt when they may; notes the threads they ran in."""

    def __init__(self, tiny) -> None:
        self.tiny, self.threads = tiny, []
        self.may_go_on = lambda done: True

    def __call__(self, config, *, progress=None):
        self.threads.append(threading.current_thread().name)
        for done in range(6):
            progress and progress(done, 5)
            wait_for(lambda done=done: self.may_go_on(done))
        return self.tiny


@pytest.fixture
def held(monkeypatch, tiny) -> Held:
    held = Held(tiny)
    monkeypatch.setattr(simulation, "simulate", held)
    return held


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
    # As many steps of the volume in both: three fifths of those of growth find the surface.
    for preset, steps in (("static", 100), ("growth", 250)):
        clean = stinr.reconstruct(series, preset=preset, steps=steps, seed=0).render(0.0)
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
def test_the_window_stays_alive_and_shows_progress(qapp, held):
    bars = []
    # Each tilt waits until a clock of the window has seen the one before in the bar.
    held.may_go_on = lambda done: (done, 61) in bars
    timer = QTimer()
    timer.timeout.connect(lambda: bars.extend((bar.n, bar.total) for bar in progress._all_instances))
    timer.start(5)
    nanotube_small()
    timer.stop()
    assert held.threads == ["stinr-sample"]
    assert list(dict.fromkeys(bars)) == [(done, 61) for done in range(6)]
    assert not progress._all_instances


@pytest.mark.qt
def test_a_sample_is_not_started_twice(qapp, held):
    caught = []
    held.may_go_on = lambda done: caught

    def again() -> None:
        with pytest.raises(stinr.StinrError, match="being simulated already") as error:
            nanotube()
        caught.append(error)

    QTimer.singleShot(0, again)
    nanotube_small()
    assert len(caught) == len(held.threads) == 1
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


def test_without_an_application_nothing_but_the_simulation_runs(monkeypatch, held):
    monkeypatch.setattr(samples, "_application", lambda: None)
    assert len(nanotube_small()) == 3
    assert held.threads == [threading.main_thread().name]


def test_another_thread_does_not_touch_the_window(qapp, held):
    thread = threading.Thread(target=nanotube_small, name="elsewhere")
    thread.start()
    thread.join()
    assert held.threads == ["elsewhere"]


@pytest.mark.qt
def test_napari_opens_the_sample(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.open_sample(PLUGIN, "nanotube_small")
    assert [layer.visible for layer in viewer.layers] == [False, False, True]
    assert viewer.layers.selection.active is viewer.layers[2]
    # One common size and place: the time slider of the stack, and the volume's y and x.
    assert viewer.dims.nsteps[0] == 61
    assert [str(unit) for unit in viewer.layers[2].units[1:]] == ["nanometer"] * 3
