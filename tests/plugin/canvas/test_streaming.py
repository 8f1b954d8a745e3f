"""The layer that is computed while the slider moves: the right numbers, the newest wish, and no memory kept."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.plugin_cases import small_draft, wait_for
from helpers.stream_cases import SlowField
from napari_stinr import Reconstruction, preset_config, reconstruct
from napari_stinr.plugin.canvas.layer_data import time_axis_of
from napari_stinr.plugin.canvas.streaming import VolumeStream
from napari_stinr.plugin.session.time_axis import TimeAxis
from napari_stinr.reconstruction.sampled_field import SampledField, Superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHAPE = (15, 7, 15)
ALL = slice(None)


def trained(preset: str, *, steps: int = 12, seed: int = 0) -> Reconstruction:
    config = preset_config(preset).with_training(steps=steps, seed=seed)
    return reconstruct(small_draft().series(), config=config, device="cpu", threads=1)


@pytest.fixture(scope="module", params=["growth", "static", "paper"])
def recon(request: pytest.FixtureRequest) -> Reconstruction:
    return trained(request.param)


@pytest.fixture(scope="module")
def growth() -> Reconstruction:
    return trained("growth")


@pytest.fixture
def streams() -> Iterator[list[VolumeStream]]:
    """Streams that are closed after the test; none of their threads is left."""
    made: list[VolumeStream] = []
    yield made
    for stream in made:
        stream.close()
    wait_for(lambda: not streaming_threads())


def streaming_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stinr-streaming"]


@pytest.fixture
def streaming(streams: list[VolumeStream]) -> Callable[[Reconstruction], VolumeStream]:
    def start(reconstruction: Reconstruction, **options: Any) -> VolumeStream:
        stream = VolumeStream(time_axis_of(small_draft()), reconstruction.grid.shape, **options)
        streams.append(stream)
        stream.show(reconstruction)
        wait_for(lambda: stream.field is not None and not stream.is_busy)
        return stream

    return start


def settled(stream: VolumeStream, index: Any) -> np.ndarray:
    """Ask, wait, and ask again, as napari does when it is told that something is ready."""
    stream[index]
    wait_for(lambda: not stream.is_busy)
    return stream[index]


ONE_TIME = [
    5,
    -1,
    np.int64(5),
    (5,),
    (5, 7),
    (5, ALL, 3, ALL),
    (5, ALL, ALL, -2),
    (5, 7, 3, 2),
    (np.int64(5), ALL, np.int64(3), ALL),
    (slice(5, 6), slice(7, 8), ALL, ALL),
    (slice(5, 6), ALL, slice(3, 4), ALL),
    (20, slice(2, 11, 3), slice(None, None, -1), slice(4, 5)),
    (0, ALL, ALL, ALL),
    slice(5, 6),
]


@pytest.mark.parametrize("index", ONE_TIME, ids=str)
def test_any_part_at_any_time_is_what_is_rendered(recon: Reconstruction, streaming: Any, index: Any) -> None:
    stream = streaming(recon)
    whole = np.stack([recon.render(t) for t in np.linspace(0, 1, 21)])
    values = settled(stream, index)
    assert values.shape == whole[index].shape
    np.testing.assert_allclose(values, whole[index], rtol=2e-5, atol=2e-5 * np.abs(whole).max())


def test_the_whole_series_as_an_array(recon: Reconstruction, streaming: Any) -> None:
    stream = streaming(recon)
    whole = np.stack([recon.render(t) for t in np.linspace(0, 1, 21)])
    np.testing.assert_allclose(np.asarray(stream), whole, rtol=2e-5, atol=2e-5 * np.abs(whole).max())
    # Twice as many bytes in the file of whoever saves it, and in memory before that, would be too many.
    assert np.asarray(stream).nbytes == stream.size * stream.dtype.itemsize


def test_several_times_at_once_are_shown_by_the_one_in_the_middle(growth: Reconstruction, streaming: Any) -> None:
    values = settled(streaming(growth), (slice(4, 9), 7))
    assert values.shape == (5, 7, 15)
    np.testing.assert_allclose(values, np.broadcast_to(growth.render(0.3)[7], values.shape), rtol=1e-4, atol=1e-4)


def test_nothing_is_there_before_the_first_field(streams: list[VolumeStream]) -> None:
    stream = VolumeStream(TimeAxis(), SHAPE)
    streams.append(stream)
    for index in (5, (5, 7), (slice(5, 6), ALL, 3, ALL)):
        np.testing.assert_array_equal(stream[index], np.zeros((101, *SHAPE), dtype=np.float32)[index])


def test_while_scrubbing_only_the_last_position_is_finished(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready: list[int] = []
    stream = streaming(growth, on_ready=lambda: ready.append(1))
    slow = SlowField(monkeypatch)
    ready.clear()
    for step in range(20):
        stream[step]
        if step in (7, 19):
            wait_for(lambda step=step: slow.asked and slow.asked[-1] == step / 20)
    # Whoever asks does not wait for the answer.
    assert not slow.finished
    slow.through.set()
    wait_for(lambda: not stream.is_busy)
    assert slow.finished == [19 / 20]
    assert len(slow.asked) > 1
    assert (stream.computed, stream.dropped) == (1, len(slow.asked) - 1)
    assert ready == [1]
    np.testing.assert_allclose(stream[19], growth.render(19 / 20), rtol=1e-4, atol=1e-4)


def test_what_was_seen_before_is_not_computed_again(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = streaming(growth)
    slow = SlowField(monkeypatch)
    slow.through.set()
    for step in (3, 4, 3, 4, 3):
        settled(stream, step)
    assert slow.finished == [3 / 20, 4 / 20]
    np.testing.assert_allclose(stream[3], growth.render(3 / 20), rtol=1e-4, atol=1e-4)


def test_back_on_a_time_that_is_known_the_one_under_way_is_dropped(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = streaming(growth)
    slow = SlowField(monkeypatch)
    slow.through.set()
    settled(stream, 3)
    slow.through.clear()
    stream[9]
    wait_for(lambda: len(slow.asked) == 2)
    stream[3]
    wait_for(lambda: not stream.is_busy and stream.dropped == 1)
    assert slow.finished == [3 / 20]


def test_the_last_volume_stays_until_the_next_one_is_there(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = streaming(growth)
    slow = SlowField(monkeypatch)
    assert not stream[3].any()
    slow.through.set()
    before = settled(stream, 3)
    slow.through.clear()
    np.testing.assert_array_equal(stream[18], before)
    slow.through.set()
    wait_for(lambda: not stream.is_busy)
    assert np.abs(stream[18] - before).max() > 0


def test_a_volume_that_takes_longer_than_the_next_field_is_shown_all_the_same(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = streaming(growth)
    slow = SlowField(monkeypatch)
    stream[3]
    wait_for(lambda: slow.asked)
    stream.show(trained("growth", steps=6))
    slow.through.set()
    wait_for(lambda: not stream.is_busy)
    # Only now does the window ask, of a field that has computed nothing yet.
    slow.through.clear()
    np.testing.assert_allclose(stream[3], growth.render(3 / 20), rtol=1e-4, atol=1e-4)


def test_fields_that_come_faster_than_volumes_do_not_keep_them_away(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = streaming(growth)
    slow = SlowField(monkeypatch)
    fields, sampled, of = [growth, trained("growth", steps=6)], [], SampledField.of

    def next_is_there(reconstruction: Reconstruction, **options: Any) -> SampledField:
        # The next one comes while this one is sampled, as in a training of a large volume.
        sampled.append(reconstruction)
        made = of(reconstruction)
        if len(sampled) < 12:
            stream.show(fields[(len(sampled) + 1) % 2])
        return made

    monkeypatch.setattr(SampledField, "of", next_is_there)
    slow.through.set()
    stream[3]
    stream.show(fields[1])
    wait_for(lambda: stream[3] is not None and len(sampled) == 12 and not stream.is_busy)
    assert stream.computed > 3


def test_an_error_in_one_volume_does_not_end_the_stream(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, at = streaming(growth), SampledField.at
    monkeypatch.setattr(SampledField, "is_quick", lambda field, part: False)

    def failing(field: SampledField, t: float, part: Any, **options: Any) -> np.ndarray:
        if t == 0.5:
            raise MemoryError
        return at(field, t, part, **options)

    monkeypatch.setattr(SampledField, "at", failing)
    stream[10]
    wait_for(lambda: not stream.is_busy)
    np.testing.assert_allclose(settled(stream, 11), growth.render(11 / 20), rtol=1e-4, atol=1e-4)


def test_the_cache_does_not_grow_without_end(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_stinr.plugin.canvas.streaming.CACHE_BYTES", 3 * growth.render(0.0).nbytes)
    stream = streaming(growth)
    slow = SlowField(monkeypatch)
    slow.through.set()
    for step in (*range(6), 5, 4, 3, 0):
        settled(stream, step)
    # The last three are still known, the first is not.
    assert slow.finished == [k / 20 for k in (0, 1, 2, 3, 4, 5, 0)]


def test_snapshots_swap_without_another_shape_and_the_newest_stays(growth: Reconstruction, streaming: Any) -> None:
    stream = streaming(growth)
    shown = [trained("growth", steps=steps) for steps in (2, 4, 6)]
    expected = [((5, 7), (7, 15)), ((slice(5, 6), ALL, 3, ALL), (1, 15, 15)), (5, SHAPE)]
    for _ in range(5):
        for snapshot in shown:
            stream.show(snapshot)
            for index, shape in expected:
                values = stream[index]
                assert values.shape == shape
                assert values.any()
    wait_for(lambda: not stream.is_busy)
    np.testing.assert_allclose(stream[5], shown[-1].render(0.25), rtol=1e-4, atol=1e-4)


def test_the_old_volume_is_shown_until_the_new_field_has_its_own(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = streaming(growth)
    slow = SlowField(monkeypatch)
    slow.through.set()
    old = settled(stream, 5)
    slow.through.clear()
    newer = trained("growth", steps=2)
    stream.show(newer)
    wait_for(lambda: stream.field.reconstruction is newer)
    np.testing.assert_array_equal(stream[5], old)
    slow.through.set()
    wait_for(lambda: not stream.is_busy)
    np.testing.assert_allclose(stream[5], newer.render(0.25), rtol=1e-4, atol=1e-4)


def test_whoever_listens_is_told_of_every_new_field(growth: Reconstruction, streaming: Any) -> None:
    told: list[str] = []
    stream = streaming(growth, on_ready=lambda: told.append(threading.current_thread().name))
    newer = trained("growth", steps=2)
    wait_for(lambda: told)
    stream.show(newer)
    wait_for(lambda: len(told) == 2)
    assert stream.field.reconstruction is newer
    assert set(told) == {"stinr-streaming"}


def test_what_is_too_large_is_refused_with_an_error_that_no_writer_swallows(streams: list[VolumeStream]) -> None:
    stream = VolumeStream(TimeAxis(), (700, 700, 700))
    streams.append(stream)
    with pytest.raises(MemoryError, match=r"138\.6 GB; export it from Explore"):
        np.asarray(stream)


def test_closing_frees_the_memory_and_ends_the_thread(streaming: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recon = trained("growth")
    stream = streaming(recon)
    monkeypatch.setattr(SampledField, "is_quick", lambda field, part: False)
    volume = weakref.ref(settled(stream, 5).base)
    density, network = weakref.ref(stream.field.density), weakref.ref(recon.field)
    del recon
    stream.close()
    wait_for(lambda: not streaming_threads())
    gc.collect()
    assert [volume(), density(), network()] == [None] * 3
    np.testing.assert_array_equal(stream[5], np.zeros(SHAPE))
    assert not stream.is_busy


def test_closing_in_the_middle_of_the_work_does_not_wait_for_it(
    growth: Reconstruction, streaming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    stream = streaming(growth, on_ready=lambda: told.append(1))
    told.clear()
    slow = SlowField(monkeypatch)
    stream[5]
    wait_for(lambda: slow.asked)
    stream.close()
    wait_for(lambda: not streaming_threads())
    assert not slow.finished
    assert not told
    assert not stream.is_busy


def test_a_sampled_field_ends_where_it_is_no_longer_wanted(recon: Reconstruction) -> None:
    field = SampledField.of(recon)
    if field.density is None:
        with pytest.raises(Superseded):
            field.at(0.5, (ALL, ALL, ALL), superseded=lambda: True)
    else:
        with pytest.raises(Superseded):
            SampledField.of(recon, superseded=lambda: True)


def test_only_a_small_part_of_a_network_is_computed_while_the_window_waits(recon: Reconstruction) -> None:
    field = SampledField.of(recon)
    assert field.is_quick((ALL, slice(3, 4), ALL))
    assert field.is_quick((ALL, ALL, ALL))  # 1575 voxels
    large = SampledField.of(reconstruct_wide()) if recon.config.preset == "paper" else field
    assert large.is_quick((ALL, ALL, ALL)) is (recon.config.preset != "paper")


def reconstruct_wide() -> Reconstruction:
    """Return a network on a grid of more points than it is asked at once; it need not have learnt anything."""
    from helpers.series_cases import growing_series

    config = preset_config("paper").with_training(steps=1)
    return reconstruct(growing_series(n_tilts=11, width=49, height=9), config=config, device="cpu", threads=1)


def test_a_resting_stream_has_no_thread_and_no_samples_and_comes_back_when_it_is_asked(growth, streaming):
    stream = streaming(growth)
    wait_for(lambda: stream.field is not None)
    stream[3]
    wait_for(lambda: not stream.is_busy)
    before = np.array(stream[3])
    stream.rest(wait=True)
    assert stream.is_resting
    assert not streaming_threads()
    assert stream.field is None
    stream[3]
    wait_for(lambda: stream.field is not None and not stream.is_busy)
    np.testing.assert_array_equal(stream[3], before)


def test_all_of_a_resting_stream_can_be_saved(growth, streaming):
    stream = streaming(growth)
    wait_for(lambda: stream.field is not None)
    whole = np.asarray(stream)
    stream.rest(wait=True)
    np.testing.assert_array_equal(np.asarray(stream), whole)
    assert whole.any()
    assert stream.is_resting
