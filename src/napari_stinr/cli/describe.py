"""Say in text what a tilt series, a run, an evaluation or an error is: what the command line prints."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.data.coverage import coverage_notes
from napari_stinr.data.margin import EdgeMatter
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import RUN_ENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from rich.table import Table

    from napari_stinr.analysis.metrics import Evaluation
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction

_LABEL_WIDTH = 19


def describe_files(paths: Sequence[Path]) -> list[str]:
    """Describe a tilt series or a reconstruction: what was found, where, and what is missing."""
    from napari_stinr.io.series.grouping import find_given_series
    from napari_stinr.io.series.mdoc import is_mdoc
    from napari_stinr.io.series.reading import load_series

    if len(paths) == 1 and paths[0].suffix.lower() == RUN_ENDING:
        from napari_stinr.reconstruction import load_reconstruction

        return describe_run(load_reconstruction(paths[0]))
    try:
        found = find_given_series(paths)
    except StinrError as error:
        if len(paths) == 1 and is_mdoc(paths[0]):
            return [*describe_mdoc(paths[0]), _line("missing", str(error))]
        raise
    try:
        return describe_series(load_series(found))
    except StinrError as error:
        # Missing angles are no error here: to say what is missing is what the person asked for.
        n_images, height, width = found.stack.images.shape
        lines = [
            _line("stack", found.name),
            _line("size", f"{n_images} images of {height} x {width} pixels (height x width)"),
        ]
        angles = found.tilt_angles
        if not isinstance(angles, StinrError):
            lines.append(_line("tilt angles", f"{angles.values.min():g} to {angles.values.max():g} degrees"))
        if found.pixel_size is not None:
            lines.append(_line("pixel size", f"{found.pixel_size:g} Å"))
        return [*lines, *map(_note_line, found.notes), _line("missing", str(error))]


def describe_mdoc(path: Path) -> list[str]:
    """Describe an ``.mdoc`` whose images are not beside it."""
    from napari_stinr.io.series.mdoc import read_mdoc

    mdoc = read_mdoc(path)
    angles, seconds = mdoc.tilt_angles, mdoc.seconds
    lines = [_line(".mdoc", path.stem), _line("describes", f"{mdoc.n_images} image(s)")]
    if angles is not None:
        lines.append(_line("tilt angles", f"{angles.min():g} to {angles.max():g} degrees"))
    if seconds is not None:
        lines.append(_line("times", f"0 to {seconds.max():g} s"))
    if mdoc.pixel_size is not None:
        lines.append(_line("pixel size", f"{mdoc.pixel_size:g} Å"))
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


def describe_series(series: TiltSeries) -> list[str]:
    """Describe a tilt series, say where its angles, times and pixel size come from, and what a training does to it."""
    from napari_stinr.alignment.check import misalignment
    from napari_stinr.config import PreprocessingConfig
    from napari_stinr.data.preprocessing.prepare import prepare

    angles = series.tilt_angles
    steps = np.abs(np.diff(np.sort(angles)))
    step = f"step {steps.mean():.4g}" if np.ptp(steps) < 0.05 else f"steps {steps.min():.4g} to {steps.max():.4g}"
    first, last = series.time_range
    unit = f" {series.time_unit}" if series.time_unit else ""
    measured = series.projections if series.mask is None else series.projections[series.mask]
    lines = [
        _line("tilt series", series.name),
        _line("size", f"{series.n_tilts} projections of {series.height} x {series.width} pixels (height x width)"),
        _line("tilt angles", f"{angles.min():g} to {angles.max():g} degrees, {step}"),
        _line("times", f"{first:g} to {last:g}{unit}, {_order(series)}"),
        _line("pixel size", _pixel_size(series)),
        _line("values", f"{measured.min():.4g} to {measured.max():.4g}, mean {measured.mean():.4g}"),
    ]
    if series.mask is not None:
        share = 100 * (1 - series.mask.mean())
        lines.append(_line("left out", f"{share:.3g} % of the pixels, {int((~series.used).sum())} whole projection(s)"))
    prepared = prepare(series, PreprocessingConfig())
    shifted = misalignment(prepared)
    few = coverage_notes(prepared.tilt_angles, prepared.used)
    notes = [*prepared.notes, *few, *_margin_notes(prepared), *([shifted] if shifted else [])]
    return [*lines, *map(_note_line, notes)]


def _margin_notes(series: TiltSeries) -> list[Note]:
    edges = EdgeMatter.of_series(series)
    note = edges.note(edges.margin(series.width, None))
    return [] if note is None else [note]


def describe_run(reconstruction: Reconstruction) -> list[str]:
    """Describe a reconstruction, with its configuration as YAML at the end."""
    config, grid = reconstruction.config, reconstruction.grid
    first, last = reconstruction.time_range
    unit = f" {reconstruction.time_unit}" if reconstruction.time_unit else ""
    size = " x ".join(str(length) for length in grid.shape)
    lines = [
        _line("preset", config.preset),
        _line("step", _steps(reconstruction.step, config.training.steps)),
        _line("grid", f"{size} voxels (z, y, x)"),
        *([_line("margin", f"{grid.margin} voxels on each side, not shown")] if grid.margin else []),
        _line("voxel size", f"{reconstruction.voxel_size:g} {reconstruction.length_unit}"),
        _line("times", f"{first:g} to {last:g}{unit}"),
        *(_line(name.replace("_", " "), str(value)) for name, value in reconstruction.provenance.items()),
        *_uncertain(reconstruction),
    ]
    return [*lines, "", "config:", *(f"  {line}".rstrip() for line in config.to_yaml().splitlines())]


def _uncertain(reconstruction: Reconstruction) -> list[str]:
    """How much of what is there at t = 0 might as well be contamination, or the reverse."""
    part = reconstruction.uncertain_part()
    return (
        [_line("uncertain", f"atoms with {part:.1%} of the mass of the specimen might be on the other side")]
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


def _note_line(note: Note) -> str:
    is_missing = note.kind in (NoteKind.PIXEL_SIZE_MISSING, NoteKind.ORDER_ASSUMED)
    return _line("missing" if is_missing else "note", note)


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL_WIDTH}}{text}"


def _steps(done: int, planned: int | None) -> str:
    # Without a number in the settings, the size of the data decides it, and that is not known here.
    return str(done) if planned is None else f"{done} of {planned}"


def _order(series: TiltSeries) -> str:
    rank = np.argsort(np.argsort(series.times, kind="stable"), kind="stable")
    # Sequential last: a stack in the order of its times is that by definition, whatever the scheme of the angles.
    for order in (*ACQUISITION_ORDERS[1:], ACQUISITION_ORDERS[0]):
        if np.array_equal(rank, acquisition_rank(series.tilt_angles, order)):
            return f"{order} order"
    return "an order without a name"


def _pixel_size(series: TiltSeries) -> str:
    if series.pixel_size is None:
        return "missing: give --pixel-size, in Å"
    width, height = series.width * series.pixel_size, series.height * series.pixel_size
    return f"{series.pixel_size:g} Å, so the image is {width:.4g} Å wide and {height:.4g} Å high"
