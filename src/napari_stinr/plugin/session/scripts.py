"""The same reconstruction without the window: as a Python script, as a command, as a file with the settings."""

from __future__ import annotations

import pprint
import shlex
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.alignment.pose_files import write_pose
from napari_stinr.errors import StinrError
from napari_stinr.io import atomic_output, write_tilt_angles, write_times
from napari_stinr.io.output.targets import RUN_ENDING, lists_beside
from napari_stinr.plugin.session.draft import EDITED

if TYPE_CHECKING:
    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.plugin.session.draft import SeriesDraft

_LINE = 100
_SIMULATED_STACK = "simulated/stack.mrc"


def is_reproducible(draft: SeriesDraft) -> bool:
    """Return whether a script can find the stack: in a file, or by repeating the simulation."""
    return draft.path is not None or draft.sample is not None


def python_script(
    draft: SeriesDraft, config: ReconstructionConfig, *, device: str, threads: int, pose: Pose | None = None
) -> str:
    """Return the Python that repeats a reconstruction.

    Parameters
    ----------
    draft : SeriesDraft
        The series.
    config : ReconstructionConfig
        The settings.
    device : str
        Where to compute.
    threads : int
        CPU threads.
    pose : Pose, optional
        Where the projections were recorded; None: the script finds that as the settings say, as a training does.

    Returns
    -------
    str
        A script that runs as it is.

    Raises
    ------
    StinrError
        The stack is in the viewer only.
    """
    _check_source(draft)
    return "\n".join(
        [
            "import napari_stinr as stinr",
            "",
            *(_read_lines(draft) if draft.path is not None else _simulate_lines(draft)),
            'config = stinr.ReconstructionConfig.from_yaml("""',
            config.to_yaml().rstrip(),
            '""")',
            *([] if pose is None else _pose_lines(pose)),
            "recon = stinr.reconstruct(",
            f"    series, config=config, device={device!r}, threads={threads}, callback=print,",
            *([] if pose is None else ["    pose=pose,"]),
            ")",
            'recon.save("run.stinr")',
            "stinr.write_volume(",
            '    "clean.tif", recon.render(t=0.0), voxel_size=recon.voxel_size, length_unit=recon.length_unit',
            ")",
            "",
        ]
    )


def command_lines(
    draft: SeriesDraft, settings: Path, *, angles: Path | None, times: Path | None, pose: Path | None = None
) -> list[str]:
    """Return the commands for a shell that repeat a reconstruction; `angles`, `times` and `pose` are files beside."""
    _check_source(draft)
    stack = [str(path) for path in (*draft.paths, *draft.described_by)] or [_SIMULATED_STACK]
    words = ["stinr", "train", *stack, "--config", str(settings)]
    for option, file, argument in (
        ("--angles", angles, draft.angles_argument),
        ("--times", times, draft.times_argument),
    ):
        # With an equals sign: an angle that starts with a minus would be taken for an option.
        words += [f"{option}={file or argument}"] if file or argument else []
    if draft.pixel_size_given and draft.pixel_size is not None:
        words += ["--pixel-size", repr(draft.pixel_size)]
    words += ["--flip-tilt"] if draft.flip_tilt else []
    words += [f"--axis-offset={draft.axis_offset!r}"] if draft.axis_offset else []
    words += ["--exclude", ",".join(map(str, draft.excluded))] if draft.excluded else []
    words += [f"--crop={draft.crop.text}"] if draft.crop is not None else []
    words += ["--bin", str(draft.binning)] if draft.binning > 1 else []
    words += ["--invert-contrast"] if draft.invert_contrast else []
    words += [f"--align={pose}"] if pose is not None else []
    words += ["--out", str(settings.with_suffix(RUN_ENDING))]
    return [*_simulate_commands(draft), shlex.join(words)]


def save_settings(
    path: Path, draft: SeriesDraft | None, config: ReconstructionConfig, *, pose: Pose | None = None
) -> list[Path]:
    """Write the settings as YAML, headed by the command that repeats the reconstruction.

    Angles and times that were typed into the table go into files beside it, and so does the pose.

    Parameters
    ----------
    path : Path
        YAML file to write; replaced if it is there.
    draft : SeriesDraft or None
        The series; None or one that is in the viewer only: the settings alone.
    config : ReconstructionConfig
        The settings.
    pose : Pose, optional
        As for :func:`python_script`.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    StinrError
        A file cannot be written.
    """
    written, header = [path], ["# Settings of a napari-stinr reconstruction."]
    if draft is not None and is_reproducible(draft):
        angles, times = lists_beside(path)
        edited_angles = angles if draft.angles_argument == EDITED else None
        edited_times = times if draft.times_argument == EDITED else None
        if edited_angles:
            write_tilt_angles(angles, draft.listed(draft.filled_angles))
        if edited_times:
            write_times(times, draft.listed(draft.filled_angles), draft.listed(draft.times))
        pose_file = None if pose is None else path.with_name(f"{path.stem}_pose.yaml")
        if pose is not None and pose_file is not None:
            write_pose(pose_file, pose, shape=draft.shape[1:], tilt_angles=draft.filled_angles)
        written += [file for file in (edited_angles, edited_times, pose_file) if file is not None]
        lines = command_lines(draft, path, angles=edited_angles, times=edited_times, pose=pose_file)
        header += ["# The same reconstruction in a shell:", *(f"# {line}" for line in lines)]
    with atomic_output(path) as temporary:
        temporary.write_text("\n".join([*header, config.to_yaml()]), encoding="utf-8")
    return written


def _check_source(draft: SeriesDraft) -> None:
    if not is_reproducible(draft):
        raise StinrError(
            f"the projections of {draft.name} are in this viewer only",
            expected="a file or a sample",
            cure="Save their layer as MRC, and open that file.",
        )


def _read_lines(draft: SeriesDraft) -> list[str]:
    values: dict[str, Any] = {}
    for name, argument, edited in (
        ("tilt_angles", draft.angles_argument, draft.filled_angles),
        ("times", draft.times_argument, draft.times),
    ):
        if argument:
            values[name] = edited.tolist() if argument == EDITED else argument
    values |= {"pixel_size": draft.pixel_size} if draft.pixel_size_given else {}
    values |= {"flip_tilt": True} if draft.flip_tilt else {}
    values |= {"axis_offset": draft.axis_offset} if draft.axis_offset else {}
    values |= {"exclude": draft.excluded} if draft.excluded else {}
    values |= {"crop": astuple(draft.crop)} if draft.crop is not None else {}
    values |= {"invert_contrast": True} if draft.invert_contrast else {}
    values |= {"binning": draft.binning} if draft.binning > 1 else {}
    options = [f"    {name}={pprint.pformat(value, width=_LINE, compact=True)}," for name, value in values.items()]
    paths = [str(path) for path in (*draft.paths, *draft.described_by)]
    stack = repr(paths[0]) if len(paths) == 1 else f"[\n        {f',{chr(10)}        '.join(map(repr, paths))},\n    ]"
    return ["series = stinr.read_tilt_series(", f"    {stack},", *options, ")"]


def _pose_lines(pose: Pose) -> list[str]:
    values = ((field.name, getattr(pose, field.name)) for field in fields(pose))
    lists = ((name, float(value) if np.ndim(value) == 0 else value.tolist()) for name, value in values)
    options = [f"    {name}={pprint.pformat(value, width=_LINE, compact=True)}," for name, value in lists]
    return ["pose = stinr.Pose(", *options, ")"]


def _simulate_lines(draft: SeriesDraft) -> list[str]:
    lines = [f"config = stinr.SimulationConfig(**{dict(draft.sample or {})!r})"]
    if not _is_changed(draft):
        return [*lines, "series = stinr.simulate(config).series"]
    as_file = _read_lines(draft)
    as_file[1] = f"    {_SIMULATED_STACK!r},"
    return [*lines, f"stinr.write_simulation({str(Path(_SIMULATED_STACK).parent)!r}, stinr.simulate(config))", *as_file]


def _is_changed(draft: SeriesDraft) -> bool:
    changed = draft.angles_argument or draft.times_argument or draft.pixel_size_given or draft.excluded
    return bool(
        changed
        or draft.crop is not None
        or draft.flip_tilt
        or draft.axis_offset
        or draft.invert_contrast
        or draft.binning > 1
    )


def _simulate_commands(draft: SeriesDraft) -> list[str]:
    if draft.path is not None:
        return []
    sample = dict(draft.sample or {})
    words = ["stinr", "simulate", "--out", str(Path(_SIMULATED_STACK).parent)]
    words += ["--tilts", *(repr(sample[name]) for name in ("tilt_start", "tilt_stop", "tilt_step"))]
    words += ["--grid", *(str(n) for n in sample["grid"])]
    for name in ("order", "growth", "noise", "specimen", "pixel_size", "seed"):
        words += [f"--{name.replace('_', '-')}", str(sample[name])]
    return [shlex.join(words)]
