"""The command line: ``stinr demo | simulate | info | align | train | run | export | evaluate``.

Results go to stdout; progress, notes and errors to stderr. Exit codes: 0 done; 2 the input or an option is wrong (one
line says what was found, what was expected and how to mend it); 130 stopped, with what was trained saved. Libraries
are imported by the commands that need them, so that ``stinr --help`` answers at once.
"""

import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_stinr.cli.aligning import align_command
from napari_stinr.cli.batch import run_command
from napari_stinr.cli.console import forgiving_output, messages_as_lines, progress, say
from napari_stinr.cli.ranks import several_processes
from napari_stinr.cli.series_options import (
    STACK_HELP,
    Angles,
    Axis,
    AxisOffset,
    Background,
    Bin,
    CropTo,
    Exclude,
    FlipTilt,
    InvertContrast,
    KeepBadPixels,
    KeepBlank,
    KeepIntensity,
    PixelSize,
    Threads,
    Times,
)
from napari_stinr.errors import StinrError
from napari_stinr.io.series.given import found_series
from napari_stinr.training.interrupts import Stopped, terminate_as_interrupt
from napari_stinr.training.jobs.asked import preprocessing_options

if TYPE_CHECKING:
    from napari_stinr.analysis.metrics import Evaluation

DONE, WRONG, STOPPED = 0, 2, 130
# click is a package of its own for some releases of typer and inside typer for others; its base exception is this.
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda:0|mps", help="Where to compute.")]
_SPECIMEN, _GROWTH, _INSTRUMENT = "Specimen", "Contamination", "Instrument"
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Seed; the same one gives the same result.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, the words after ``stinr``: by default those of the process; return its exit code."""
    with terminate_as_interrupt(), messages_as_lines(), forgiving_output():
        try:
            code = app(args=arguments, prog_name="stinr", standalone_mode=False)
            sys.stdout.flush()
        except (KeyboardInterrupt, typer.Abort):
            code = STOPPED
        except Stopped as stop:
            say(str(stop))
            return STOPPED
        except (BrokenPipeError, SystemExit):
            code = DONE  # whoever read our output (head, less) has seen enough; some of it typer notices, and exits
        except (StinrError, OSError, MemoryError, _UsageError) as error:
            from napari_stinr.cli.describe import describe_problem

            say(str(describe_problem(error)))
            return WRONG
    if code == STOPPED:
        say("stopped before there was anything to save")
    return code if isinstance(code, int) else DONE


@app.callback(invoke_without_command=True)
def stinr(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    """Give contaminated tilt series their clean specimen back."""
    if version:
        typer.echo(f"stinr {_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Smaller and shorter: does everything work?")] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Simulate the paper's experiment, reconstruct it, score it, export it and draw it."""
    from napari_stinr.cli.demo import run_demo

    result = run_demo(out, quick=quick, threads=threads, device=device)
    _show_table(result.evaluations, result.seconds)
    say(f"wrote clean.tif, clean.mrc, figure.png, scores.json and the simulated files to {result.folder}")


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.", show_default=False)],
    tilts: Annotated[
        tuple[float, float, float], typer.Option(metavar="START STOP STEP", help="Tilt angles in degrees.")
    ] = (
        0.0,
        180.0,
        1.0,
    ),
    order: Annotated[
        str, typer.Option(metavar="sequential|bidirectional|dose-symmetric|interleaved", help="Order of recording.")
    ] = "sequential",
    noise: Annotated[float, typer.Option(metavar="S", help="Noise as a fraction of the mean foreground.")] = 0.0,
    grid: Annotated[tuple[int, int, int], typer.Option(metavar="Z Y X", help="Number of voxels.")] = (88, 40, 88),
    pixel_size: Annotated[float, typer.Option(metavar="A", help="Edge of a pixel and of a voxel in Å.")] = 0.5,
    view: Annotated[
        int, typer.Option(metavar="PIXELS", help="Width of the images where the specimen is larger. Default: the grid.")
    ] = 0,
    seed: Seed = 0,
    specimen: Annotated[
        str, typer.Option(metavar="nanotube|particle|glass", help="What is recorded.", rich_help_panel=_SPECIMEN)
    ] = "nanotube",
    thermal_width: Annotated[
        float, typer.Option(metavar="A", help="Thermal vibration of the atoms, rms in Å.", rich_help_panel=_SPECIMEN)
    ] = 0.35,
    loss: Annotated[
        float,
        typer.Option(metavar="F", help="Fraction of its atoms that leave, from outside.", rich_help_panel=_SPECIMEN),
    ] = 0.0,
    growth: Annotated[
        str,
        typer.Option(metavar="side|radial|both-sides", help="Where carbon arrives first.", rich_help_panel=_GROWTH),
    ] = "side",
    pace: Annotated[
        str, typer.Option(metavar="steady|burst|pause", help="When carbon arrives.", rich_help_panel=_GROWTH)
    ] = "steady",
    minimum_distance: Annotated[
        float, typer.Option(metavar="A", help="Least distance between carbon atoms in Å.", rich_help_panel=_GROWTH)
    ] = 1.45,
    gap: Annotated[
        float | None,
        typer.Option(
            metavar="A", help="From carbon to specimen in Å. Default: 2.5, less if small.", rich_help_panel=_GROWTH
        ),
    ] = None,
    drift: Annotated[
        tuple[float, float],
        typer.Option(metavar="X Y", help="Drift over the series in pixels.", rich_help_panel=_INSTRUMENT),
    ] = (0.0, 0.0),
    jitter: Annotated[
        float, typer.Option(metavar="PIXELS", help="Random shift of each image, rms.", rich_help_panel=_INSTRUMENT)
    ] = 0.0,
    axis_offset: Annotated[
        float,
        typer.Option(metavar="PIXELS", help="Tilt axis from the centre of the image.", rich_help_panel=_INSTRUMENT),
    ] = 0.0,
    axis_rotation: Annotated[
        float, typer.Option(metavar="DEG", help="Turn of the images, from x to y.", rich_help_panel=_INSTRUMENT)
    ] = 0.0,
    angle_error: Annotated[
        float, typer.Option(metavar="DEG", help="Error of the tilt angles, rms.", rich_help_panel=_INSTRUMENT)
    ] = 0.0,
    gain_error: Annotated[
        float, typer.Option(metavar="F", help="Error of the intensity of an image, rms.", rich_help_panel=_INSTRUMENT)
    ] = 0.0,
    background: Annotated[
        float,
        typer.Option(metavar="F", help="Background, as a fraction of the foreground.", rich_help_panel=_INSTRUMENT),
    ] = 0.0,
    hot_pixels: Annotated[
        float, typer.Option(metavar="F", help="Fraction of the pixels stuck high.", rich_help_panel=_INSTRUMENT)
    ] = 0.0,
    blank_images: Annotated[
        int, typer.Option(metavar="N", help="Images with the beam off.", rich_help_panel=_INSTRUMENT)
    ] = 0,
    exposure: Annotated[
        str, typer.Option(metavar="constant|1/cos", help="Intensity over the tilt.", rich_help_panel=_INSTRUMENT)
    ] = "constant",
) -> None:
    """Simulate a tilt series of a specimen on which carbon grows, with its truth."""
    from napari_stinr.io.output.targets import check_folder
    from napari_stinr.simulation import Instrument, SimulationConfig, write_simulation
    from napari_stinr.simulation import simulate as simulate_experiment

    config = SimulationConfig(
        tilt_start=tilts[0],
        tilt_stop=tilts[1],
        tilt_step=tilts[2],
        order=order,
        growth=growth,
        noise=noise,
        specimen=specimen,
        grid=grid,
        pixel_size=pixel_size,
        seed=seed,
        thermal_width=thermal_width,
        pace=pace,
        minimum_distance=minimum_distance,
        gap=gap,
        loss=loss,
        view=view,
        instrument=Instrument(
            drift_x=drift[0],
            drift_y=drift[1],
            jitter=jitter,
            axis_offset=axis_offset,
            axis_rotation=axis_rotation,
            angle_error=angle_error,
            gain_error=gain_error,
            background=background,
            hot_pixels=hot_pixels,
            blank_images=blank_images,
            exposure=exposure,
        ),
    )
    check_folder(out)
    with progress("simulate") as update:
        simulation = simulate_experiment(config, progress=update)
    folder = write_simulation(out, simulation)
    say(f"wrote {simulation.series.n_tilts} projections as stack.mrc, and their truth, to {folder}")


@app.command()
def info(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="STACK|RUN", help=f"{STACK_HELP} Or a reconstruction (.stinr).", show_default=False),
    ],
) -> None:
    """Say what is in a file, where angles, times and pixel size come from, and what is missing."""
    from napari_stinr.cli.describe import describe_files

    typer.echo("\n".join(describe_files(paths)))


app.command("align")(align_command)
app.command("run")(run_command)


@app.command()
def train(
    context: typer.Context,
    stack: Annotated[list[Path], typer.Argument(metavar="STACK", help=STACK_HELP, show_default=False)],
    out: Annotated[Path, typer.Option(metavar="RUN.stinr", help="File for the reconstruction.", show_default=False)],
    angles: Angles = None,
    times: Times = None,
    pixel_size: PixelSize = None,
    flip_tilt: FlipTilt = False,
    axis_offset: AxisOffset = 0.0,
    exclude: Exclude = "",
    binning: Bin = 1,
    invert_contrast: InvertContrast = False,
    crop: CropTo = None,
    axis: Axis = None,
    background: Background = None,
    keep_blank: KeepBlank = False,
    keep_bad_pixels: KeepBadPixels = False,
    keep_intensity: KeepIntensity = False,
    align: Annotated[
        str | None,
        typer.Option(metavar="off|coarse|joint|POSE", help="How to align first; see stinr align. Default: coarse."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="growth|paper|static", help="Kind of field. Default: growth.")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Settings, instead of a preset.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of steps, with those of a resumed run.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="Length of the training, with that of a resumed run.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with this reconstruction.")] = None,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds between two checkpoints.")
    ] = 60.0,
) -> None:
    """Reconstruct a tilt series. Ctrl-C stops, saves, and lets you go on with --resume."""
    from napari_stinr.cli.training import TrainingRequest
    from napari_stinr.cli.training import train as train_request

    ranks = context.with_resource(several_processes(out, device=device, threads=threads))
    preprocessing = preprocessing_options(
        axis=axis,
        background=background,
        keep_blank=keep_blank,
        keep_bad_pixels=keep_bad_pixels,
        keep_intensity=keep_intensity,
    )
    request = TrainingRequest(
        out=out,
        preset=preset,
        config=config,
        resume=resume,
        steps=steps,
        seconds=seconds,
        seed=seed,
        device=device,
        threads=threads,
        checkpoint_every=checkpoint_every,
        preprocessing=preprocessing,
        align=align,
        binning=binning,
    )
    given = found_series(
        stack,
        angles=angles,
        times=times,
        pixel_size=pixel_size,
        flip_tilt=flip_tilt,
        axis_offset=axis_offset,
        exclude=exclude,
        binning=binning,
        invert_contrast=invert_contrast,
        crop=crop,
    )
    estimate = request.estimate(given.shape, ranks=ranks)
    run = train_request(request.order(given.read(), ranks), estimate=estimate, tells_notes=True)
    say(f"wrote {out} after {run.step} steps")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Reconstruction (.stinr).", show_default=False)],
    out: Annotated[
        Path, typer.Argument(metavar="OUT.tif|OUT.mrc|OUT.ome.zarr", help="File to write.", show_default=False)
    ],
    time: Annotated[
        list[str] | None,
        typer.Option(metavar="T", help="Time: 0 to 1, or in the unit of the run, as 30s; may be repeated. Default: 0."),
    ] = None,
    contamination: Annotated[
        bool, typer.Option("--contamination", help="What was added since t = 0; by default until 1.")
    ] = False,
    voxel_size: Annotated[
        float | None, typer.Option(metavar="A", help="Edge of a voxel in Å. Default: that of the run.")
    ] = None,
) -> None:
    """Write volumes that other programs open: one time as 3D, several as 4D TIFF or OME-Zarr."""
    from napari_stinr.reconstruction.export import export_run

    with progress("export") as update:
        export_run(run, out, times=time or (), contamination=contamination, voxel_size=voxel_size, progress=update)
    say(f"wrote {out}")


@app.command()
def evaluate(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="Volume at t = 0.", show_default=False)],
    truth: Annotated[Path, typer.Option(metavar="TRUTH", help="True volume on the same grid.", show_default=False)],
    atoms: Annotated[Path | None, typer.Option(metavar="FILE.xyz", help="True atoms, in Å.")] = None,
    contamination: Annotated[
        Path | None, typer.Option(metavar="FILE", help="True contamination. Default: contamination.mrc beside TRUTH.")
    ] = None,
    uncontaminated: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Reconstruction of the uncontaminated series: adds specimen kept."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Compare a volume with the truth: error, resolution, contamination left, specimen kept, atoms."""
    from napari_stinr.analysis.files import evaluate_files

    found = evaluate_files(volume, truth, atoms=atoms, contamination=contamination, uncontaminated=uncontaminated)
    if json:
        from json import dumps

        typer.echo(dumps(found.to_dict(), ensure_ascii=False))
    else:
        _show_table({volume.name: found})


def _version() -> str:
    try:
        return importlib.metadata.version("napari-stinr")
    except importlib.metadata.PackageNotFoundError:
        return "unknown: not installed, run from its source"


def _show_table(evaluations: "dict[str, Evaluation]", seconds: dict[str, float] | None = None) -> None:
    from rich.console import Console

    from napari_stinr.cli.describe import evaluation_table

    table = evaluation_table(evaluations, seconds=seconds)
    # The width of the table and not that of the terminal: a wrapped table cannot be read by anything.
    Console(file=sys.stdout, width=max(80, Console().measure(table).maximum), markup=False).print(table)
