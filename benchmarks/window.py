"""How the plugin feels: answers to the time slider, time the window is blocked, what the window costs a training.

Needs a screen: `make bench ARGS="window"` starts a virtual one (software OpenGL: drawing is slower than on a desktop).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from common import interleave, markdown_table, median, quick_asked, save
from window_clock import Beat, pump, wait
from window_gaps import gaps

# A second OpenMP thread beside the window would slow both down many times; the plugin leaves it to the projector.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.plugin.canvas.binding import ViewerBinding
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

N_TILTS = 61


def measure(*, quick: bool) -> dict[str, Any]:
    """Measure gaps in windows of their own, then everything else in one window.

    Parameters
    ----------
    quick : bool
        Small sizes.

    Returns
    -------
    dict
        Scrubbing, blocked time, cost of a step, of a stop and of the plot of a long training, gaps of every phase.
    """
    import napari

    # First: nothing of the plugin is loaded yet, as when a person has just started napari.
    phases = gaps(quick=quick)
    small, large = ((24, 12, 24), (48, 48, 48)) if quick else ((88, 40, 88), (256, 256, 256))
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    try:
        from napari_stinr.plugin.canvas.binding import binding_of

        binding = binding_of(viewer)
        docks = [viewer.window.add_plugin_dock_widget("napari-stinr", "STINR")[0]]
        pump(0.5)
        steps, seconds = (30, 2.0) if quick else (60, 8.0)
        cost = step_cost(binding, small, docks, steps=steps, repeats=1 if quick else 3)
        blocked = blocked_while_training(binding, small, seconds)
        # 300 ms for the large volume, 50 ms for the small one is what was promised.
        scrubbing = [scrub(binding, shape, ndisplay) for shape in (small, large) for ndisplay in (2, 3)]
        plot = loss_plot()
    finally:
        viewer.close()
    return {"scrubbing": scrubbing, "blocked": blocked, "step": cost, "loss_plot_ms": plot, "gaps": phases}


def scrub(binding: ViewerBinding, shape: tuple[int, int, int], ndisplay: int) -> dict[str, Any]:
    """Move the time slider as a hand does, and time until what belongs to the position is in the layer."""
    import numpy as np

    from napari_stinr.plugin.canvas.display import Shown

    viewer, layers = binding.viewer, binding.layers
    layers.forget_stream()
    viewer.dims.ndisplay = 2
    binding.session.show(random_reconstruction(shape))
    stream = layers.stream
    wait(lambda: stream.field is not None and not stream.is_busy)
    # A result opens with its contamination over the clean specimen; napari asks nothing of a layer that is hidden.
    wait(lambda: not binding.tasks.running)
    binding.display.show(Shown.AT_T)
    layer = layers.stream_layer
    viewer.dims.ndisplay = ndisplay
    pump(1.0)
    assert layer.visible, "the volume at t is not shown"
    answers, drawn = [], []
    beat = Beat(binding)
    for step in range(0, 100, 7):
        start = time.perf_counter()
        binding.slider.set_t(step / 100)
        wait(lambda: not stream.is_busy)
        answers.append(time.perf_counter() - start)
        pump(0.001)
        drawn.append(time.perf_counter() - start)
    expected = stream.field.at(binding.slider.t, (slice(None),) * 3)
    shown = np.asarray(layer._slice.image.view)
    # By the place of the slider and not its step: layers of other sizes have other steps.
    z = round(layer.world_to_data(viewer.dims.point)[1])
    plane = expected if ndisplay == 3 else expected[z]
    assert np.allclose(shown, plane, atol=1e-4), "the last position did not win"
    return {
        "shape": list(shape),
        "ndisplay": ndisplay,
        "answer_ms": 1000 * median(answers),
        "longest_answer_ms": 1000 * max(answers),
        "drawn_ms": 1000 * median(drawn),
        "longest_block_ms": 1000 * beat.stop(),
    }


def step_cost(
    binding: ViewerBinding, shape: tuple[int, int, int], docks: list[Any], *, steps: int, repeats: int
) -> dict[str, Any]:
    """Time a step of the training in the shell, in a window that is not redrawn, and in a window that shows it all."""
    from dataclasses import replace

    from napari_stinr.training.trainer import Trainer

    binding.viewer.dims.ndisplay = 2
    draft = growing_draft(shape)
    series = draft.series()
    session = binding.session
    session.set_draft(draft)
    session.customise(session.config.with_training(steps=steps))

    def shell() -> float:
        return list(Trainer(series, session.config, threads=session.threads).run())[-1].seconds / steps

    def window(preview: float, shown: bool) -> Callable[[], float]:
        def run() -> float:
            for dock in docks:
                dock.setVisible(shown)
            session.settings = replace(session.settings, preview_seconds=preview, autosave_minutes=1e3)
            session.start()
            wait(lambda: not session.is_active, every=0.1)
            assert session.log.last is not None, session.failure
            # The result is rendered and shown, which must not slow down what is timed next.
            wait(lambda: not binding.tasks.running, every=0.1)
            pump(1.0)
            return session.log.last.seconds / steps

        return run

    shell()
    seconds = interleave(
        {"shell": shell, "window, nothing redrawn": window(1e6, False), "window, all shown": window(2.0, True)},
        repeats=repeats,
    )
    return {"steps": steps, "shape": list(shape), "seconds": {name: median(times) for name, times in seconds.items()}}


def blocked_while_training(binding: ViewerBinding, shape: tuple[int, int, int], seconds: float) -> dict[str, Any]:
    """Let a training run with everything shown, and measure for how long the window does not answer."""
    from dataclasses import replace

    session = binding.session
    session.customise(session.config.with_training(steps=1_000_000))
    session.settings = replace(session.settings, preview_seconds=2.0)
    session.start()
    wait(lambda: session.log.last is not None and session.reconstruction is not None)
    pump(1.0)
    still = Beat(binding)
    pump(seconds)
    training = still.stop()
    moving = Beat(binding)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        binding.slider.set_t((time.perf_counter() * 0.3) % 1.0)
        pump(0.03)
    both = moving.stop()
    start = time.perf_counter()
    session.stop()
    wait(lambda: not session.is_active)
    return {
        "training_ms": 1000 * training,
        "training_and_scrubbing_ms": 1000 * both,
        "seconds": seconds,
        "stop_ms": 1000 * (time.perf_counter() - start),
    }


def loss_plot(n_steps: int = 20_000) -> float:
    """Time what one more step costs the plot of a long training, drawing included [ms]."""
    import numpy as np

    from napari_stinr.plugin.widgets.loss_plot import LossPlot

    generator, plot, seconds = np.random.default_rng(0), LossPlot(), []
    plot.resize(420, 200)
    plot.append(range(n_steps), np.exp(generator.normal(size=n_steps)), [np.nan] * n_steps)
    plot.grab()
    for step in range(n_steps, n_steps + 9):
        start = time.perf_counter()
        plot.append([step], [0.02], [0.03])
        plot.grab()
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)


def random_reconstruction(shape: tuple[int, int, int]) -> Reconstruction:
    """Return a growth field with random density and arrival time: as dear to show as a trained one."""
    import torch

    from napari_stinr.config import preset_config
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import build_field
    from napari_stinr.reconstruction import Reconstruction

    torch.manual_seed(0)
    config, grid = preset_config("growth"), VoxelGrid(*shape)
    field = build_field(config, grid, scale=1.0).requires_grad_(False)
    for parameter in field.parameters():
        parameter.normal_()
    return Reconstruction(field, config, grid, provenance={"series": "random"})


def growing_draft(shape: tuple[int, int, int]) -> SeriesDraft:
    """Return projections of a few growing columns; what is in them does not matter to the time of a step."""
    import numpy as np

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.plugin.session.new_draft import draft_of_series

    _, height, width = shape
    generator, times = np.random.default_rng(0), np.linspace(0, 1, N_TILTS)
    specimen, carbon = generator.random((2, height, width))
    projections = np.stack([specimen + t * carbon for t in times]).astype(np.float32)
    return draft_of_series(TiltSeries(projections, np.linspace(0, 180, N_TILTS), times, pixel_size=0.5))


def table(result: dict[str, Any]) -> str:
    """Return what was measured as Markdown."""
    rows = [
        [
            f"{' × '.join(map(str, case['shape']))}, {case['ndisplay']}D",
            f"{case['answer_ms']:.0f} ms",
            f"{case['longest_answer_ms']:.0f} ms",
            f"{case['drawn_ms']:.0f} ms",
        ]
        for case in result["scrubbing"]
    ]
    seconds, blocked = result["step"]["seconds"], result["blocked"]
    steps = [[name, f"{1000 * value:.1f} ms", f"{value / seconds['shell']:.2f}"] for name, value in seconds.items()]
    phases = [
        [
            gap["phase"],
            f"{gap['longest_ms']:.0f} ms",
            "" if gap["napari_ms"] is None else f"{gap['napari_ms']:.0f} ms",
            f"{gap['seconds']:.1f} s",
        ]
        for gap in result["gaps"]
    ]
    return "\n\n".join(
        [
            markdown_table(["phase, sample of 88 × 40 × 88", "longest gap", "napari alone", "takes"], phases),
            markdown_table(["move of the time slider, growth", "volume there", "longest", "drawn as well"], rows),
            markdown_table(["a step of the training", "time", "ratio to the shell"], steps),
            f"Longest time that the window did not answer while a training of {blocked['seconds']:.0f} s was shown: "
            f"{blocked['training_ms']:.0f} ms; with the time slider moving as well: "
            f"{blocked['training_and_scrubbing_ms']:.0f} ms. From Stop to the saved result: "
            f"{blocked['stop_ms']:.0f} ms. One more step in the plot of 20,000: {result['loss_plot_ms']:.0f} ms. "
            "OpenGL in software.",
        ]
    )


if __name__ == "__main__":
    is_quick = quick_asked(__doc__)
    found = measure(quick=is_quick)
    save("window", found, table(found), quick=is_quick)
