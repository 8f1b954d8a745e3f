"""Say in text what a tilt series, a run, an evaluation or an error is: what the command line prints."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_stinr.cli.describe_series import describe_found, labelled, note_line
from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import RUN_ENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from rich.table import Table

    from napari_stinr.analysis.metrics import Evaluation
    from napari_stinr.reconstruction import Reconstruction


def describe_files(paths: Sequence[Path]) -> list[str]:
    """Describe a tilt series or a reconstruction: what was found, where, and what is missing."""
    from napari_stinr.io.series.grouping import find_given_series
    from napari_stinr.io.series.mdoc import is_mdoc

    if len(paths) == 1 and paths[0].suffix.lower() == RUN_ENDING:
        from napari_stinr.reconstruction import load_reconstruction

        return describe_run(load_reconstruction(paths[0]))
    try:
        found = find_given_series(paths)
    except StinrError as error:
        if len(paths) == 1 and is_mdoc(paths[0]):
            return [*describe_mdoc(paths[0]), labelled("missing", str(error))]
        raise
    try:
        return describe_found(found)
    except StinrError as error:
        # Missing angles are no error here: to say what is missing is what the person asked for.
        n_images, height, width = found.stack.images.shape
        lines = [
            labelled("stack", found.name),
            labelled("size", f"{n_images} images of {height} x {width} pixels (height x width)"),
        ]
        angles = found.tilt_angles
        if not isinstance(angles, StinrError):
            lines.append(labelled("tilt angles", f"{angles.values.min():g} to {angles.values.max():g} degrees"))
        if found.pixel_size is not None:
            lines.append(labelled("pixel size", f"{found.pixel_size:g} Å"))
        return [*lines, *map(note_line, found.notes), labelled("missing", str(error))]


def describe_mdoc(path: Path) -> list[str]:
    """Describe an ``.mdoc`` whose images are not beside it."""
    from napari_stinr.io.series.mdoc import read_mdoc

    mdoc = read_mdoc(path)
    angles, seconds = mdoc.tilt_angles, mdoc.seconds
    lines = [labelled(".mdoc", path.stem), labelled("describes", f"{mdoc.n_images} image(s)")]
    if angles is not None:
        lines.append(labelled("tilt angles", f"{angles.min():g} to {angles.max():g} degrees"))
    if seconds is not None:
        lines.append(labelled("times", f"0 to {seconds.max():g} s"))
    if mdoc.pixel_size is not None:
        lines.append(labelled("pixel size", f"{mdoc.pixel_size:g} Å"))
    return lines


def describe_problem(error: Exception) -> StinrError:
    """Put any error that a person can mend into the one form they are shown in: found, expected, cure."""
    if isinstance(error, StinrError):
        return error
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{error.filename}: "
        return StinrError(
            f"{place}{error.strerror or error}",
            expected="files that can be read and written",
            cure="Check the name, the permissions and the free space.",
        )
    if isinstance(error, MemoryError):
        return StinrError(
            f"the memory is full ({error or 'no details'})",
            expected="enough memory for the volume",
            cure="Close other programs, or give a smaller stack or a larger voxel size.",
        )
    context = getattr(error, "ctx", None)
    command = "stinr" if context is None else context.command_path
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    text = message[:1].lower() + message[1:].rstrip(".")
    return StinrError(text, expected=f"what {command} --help lists", cure=f"Run {command} --help to see it.")


def describe_run(reconstruction: Reconstruction) -> list[str]:
    """Describe a reconstruction, with its configuration as YAML at the end."""
    config, grid = reconstruction.config, reconstruction.grid
    first, last = reconstruction.time_range
    unit = f" {reconstruction.time_unit}" if reconstruction.time_unit else ""
    size = " x ".join(str(length) for length in grid.shape)
    lines = [
        labelled("preset", config.preset),
        labelled("step", _steps(reconstruction.step, config.training.steps)),
        labelled("grid", f"{size} voxels (z, y, x)"),
        *([labelled("margin", f"{grid.margin} voxels on each side, not shown")] if grid.margin else []),
        labelled("voxel size", f"{reconstruction.voxel_size:g} {reconstruction.length_unit}"),
        labelled("times", f"{first:g} to {last:g}{unit}"),
        *(labelled(name.replace("_", " "), str(value)) for name, value in _told(reconstruction.provenance)),
        *_uncertain(reconstruction),
    ]
    return [*lines, "", "config:", *(f"  {line}".rstrip() for line in config.to_yaml().splitlines())]


def _told(provenance: Mapping[str, str]) -> list[tuple[str, str]]:
    """Leave out what is for the program only: the options of a job, of which the settings come anyway."""
    from napari_stinr.training.jobs.record import JOB

    return [(name, value) for name, value in provenance.items() if name != JOB]


def _uncertain(reconstruction: Reconstruction) -> list[str]:
    """How much of what is there at t = 0 might as well be contamination, or the reverse."""
    part = reconstruction.uncertain_part()
    return (
        [labelled("uncertain", f"atoms with {part:.1%} of the mass of the specimen might be on the other side")]
        if part
        else []
    )


def evaluation_table(evaluations: Mapping[str, Evaluation], *, seconds: Mapping[str, float] | None = None) -> Table:
    """Make a table with a column for each evaluation; what is not known for any has no row, seconds are [s]."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in evaluations:
        table.add_column(name, justify="right", no_wrap=True)
    for label, value in _rows(evaluations):
        cells = [value(evaluation) for evaluation in evaluations.values()]
        if any(cells):
            table.add_row(label, *cells)
    if seconds:
        table.add_row("training [s]", *(f"{seconds[name]:.0f}" if name in seconds else "" for name in evaluations))
    return table


def _rows(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, Callable[[Evaluation], str]]]:
    rows: list[tuple[str, Callable[[Evaluation], str]]] = [
        ("contamination left", lambda found: _percent(found.contamination_left)),
        ("  in absolute values", lambda found: _percent(found.contamination_left_absolute)),
        ("specimen kept", lambda found: _percent(found.specimen_kept)),
        ("NRMSE", lambda found: f"{found.nrmse:.3f}"),
        ("correlation", lambda found: f"{found.correlation:.4f}"),
        ("scale", lambda found: f"{found.scale:.3f}"),
        ("FSC resolution [Å]", lambda found: f"{found.fsc_resolution:.2f}"),
        ("atoms: recall", lambda found: "" if found.atoms is None else f"{found.atoms.recall:.3f}"),
    ]
    groups = dict.fromkeys(
        group for found in evaluations.values() if found.atoms is not None for group in found.atoms.recall_by_group
    )
    rows += [(f"  {group}", partial(_group_recall, group)) for group in groups]
    return [
        *rows,
        ("atoms: precision", lambda found: "" if found.atoms is None else f"{found.atoms.precision:.3f}"),
        ("atoms: F1", lambda found: "" if found.atoms is None else f"{found.atoms.f1:.3f}"),
    ]


def _group_recall(group: str, found: Evaluation) -> str:
    recall = None if found.atoms is None else found.atoms.recall_by_group.get(group)
    return "" if recall is None else f"{recall:.3f}"


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:z.2f} %"


def _steps(done: int, planned: int | None) -> str:
    # Without a number in the settings, the size of the data decides it, and that is not known here.
    return str(done) if planned is None else f"{done} of {planned}"
