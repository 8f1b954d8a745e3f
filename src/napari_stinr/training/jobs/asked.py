"""From the words of options to the settings of a training: the same on the command line, in a file of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig

ALIGNMENTS = ("off", "coarse", "joint")
"""Ways to align that need no file."""


def asked_config(
    *,
    preset: str | None = None,
    settings: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    preprocessing: Mapping[str, object],
    align: str | None = None,
) -> ReconstructionConfig:
    """Return the settings that options ask for.

    Parameters
    ----------
    preset : str, optional
        Name of a preset; ``growth`` by default.
    settings : str, optional
        Settings as YAML, in place of a preset.
    steps, seed : int, optional
        Of the training.
    preprocessing : mapping
        What :func:`preprocessing_options` returns.
    align : str, optional
        ``off``, ``coarse``, ``joint``, or the file of a pose.

    Returns
    -------
    ReconstructionConfig
        The settings.

    Raises
    ------
    StinrError
        There is no such preset, or a setting has an unknown name or a value that is out of range.
    """
    from napari_stinr.config import ReconstructionConfig, preset_config

    config = preset_config(preset or "growth") if settings is None else ReconstructionConfig.from_yaml(settings)
    config = config.with_preprocessing(**preprocessing)
    pose = pose_file(align)
    if align is not None and pose is None:
        config = config.with_alignment(align)
    if pose is not None:
        config = with_axis_of(config, pose)
    return config.with_training(steps=steps, seed=seed)


def with_axis_of(config: ReconstructionConfig, pose: Path) -> ReconstructionConfig:
    """Return settings that look for no direction of the tilt axis where the file of a pose tells it.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings.
    pose : Path
        The file; it may not exist.

    Returns
    -------
    ReconstructionConfig
        The same ones for a pose of this program, which is that of the images as they are trained.
    """
    from napari_stinr.alignment.pose_files import FOREIGN_POSES

    # Such a file says itself where the axis lies; images that were turned besides would be moved wrongly.
    is_told = config.preprocessing.axis == "auto" and pose.suffix.lower() in FOREIGN_POSES
    return config.with_preprocessing(axis="vertical") if is_told else config


def pose_file(align: str | None) -> Path | None:
    """Return the file of a pose where that is how to align, else None.

    Parameters
    ----------
    align : str, optional
        As for :func:`asked_config`.

    Returns
    -------
    Path or None
        It may not exist.
    """
    from pathlib import Path

    return None if align is None or align in ALIGNMENTS else Path(align)


def preprocessing_options(
    *, axis: str | None, background: str | None, keep_blank: bool, keep_bad_pixels: bool, keep_intensity: bool
) -> dict[str, object]:
    """Return the settings of the preprocessing for options; those not given are not there.

    Parameters
    ----------
    axis, background, keep_blank, keep_bad_pixels, keep_intensity
        As the options of ``stinr train``; see there.

    Returns
    -------
    dict
        Names and values of :class:`napari_stinr.config.PreprocessingConfig`.
    """
    given: dict[str, object] = {} if axis is None else {"axis": axis}
    if background is not None:
        try:
            given["background_level"] = float(background)
        except ValueError:
            given["background"] = background
    kept = {"blank_images": keep_blank, "bad_pixels": keep_bad_pixels, "intensity": keep_intensity}
    return given | {name: "keep" for name, is_kept in kept.items() if is_kept}
