"""What a training takes from its series, put into a folder for all processes: each reads the rows that it holds.

The projections lie there as they are, to be mapped into memory. What is said about all of them (how large their numbers
are, which of them are held out, the coarse series in which the surface is sought) is found by the first process, from
the whole series, as without others.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_stinr.config import ReconstructionConfig
from napari_stinr.data.geometry import BandGrid, VoxelGrid
from napari_stinr.data.measurements import Measurements, shared_memory
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.errors import StinrError
from napari_stinr.projection.views import Views
from napari_stinr.training.distributed.bands import bands_of
from napari_stinr.training.held_out import HeldOut
from napari_stinr.training.source import Source
from napari_stinr.training.surface import binning_of, coarse_series

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.training.distributed.place import Place

_PROJECTIONS, _MASK, _FACTS = "projections.npy", "mask.npy", "facts.safetensors"
_COARSE, _VIEWS = "coarse.", "views."


@dataclass(frozen=True, eq=False)
class BandMeasurements(Measurements):
    """The rows of the projections that a process holds, and how large the numbers of all are."""

    power: float  # found from all rows, and not asked of these
    signal_fraction: torch.Tensor


@dataclass(frozen=True, eq=False)
class SharedSource:
    """What one process takes from a series.

    Parameters
    ----------
    source : Source
        For the rows that it holds; its grid is a :class:`BandGrid`.
    coarse : TiltSeries, optional
        The series in which the surface is sought; None where it is not.
    """

    source: Source
    coarse: TiltSeries | None

    @classmethod
    def read(cls, folder: Path, place: Place, *, device: torch.device) -> SharedSource:
        """Read what :func:`put_source` has put there.

        Parameters
        ----------
        folder : Path
            Where it is.
        place : Place
            Which process it is.
        device : torch.device
            Where their projections are put; on a CPU they stay in the file.

        Returns
        -------
        SharedSource
            What the process takes.

        Raises
        ------
        StinrError
            The folder is not seen from this computer.
        """
        try:
            with safe_open(folder / _FACTS, framework="pt") as file:
                told = json.loads(file.metadata()["told"])
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            config, grid = ReconstructionConfig.from_run(told["config"]), VoxelGrid(**told["grid"])
            rows = bands_of(config, grid, place)[place.rank]
            projections = np.load(folder / _PROJECTIONS, mmap_mode="r")[:, rows.start : rows.stop]
            mask = None
            if told["has_mask"]:
                mask = np.load(folder / _MASK, mmap_mode="r")[:, rows.start : rows.stop]
        except (OSError, SafetensorError) as error:
            raise StinrError(
                f"{folder} cannot be read: {error}",
                expected="a folder that all computers share, with the projections in it",
                cure="Save the run in a folder that all of them see.",
            ) from error
        held_tilts = tensors["held_tilts"].numpy()
        measurements = _measurements(projections, mask, told, tensors, device=device)
        source = Source(
            config,
            BandGrid.of(grid, rows),
            Views(**_part(tensors, _VIEWS)),
            measurements,
            held_tilts,
            _held_out(projections, mask, told["held_rows"], held_tilts, rows),
            (),
        )
        return cls(source, _read_coarse(told["coarse"], _part(tensors, _COARSE)))


def put_source(folder: Path, series: TiltSeries, source: Source) -> None:
    """Put what a training takes from a series into a folder.

    Parameters
    ----------
    folder : Path
        An empty folder.
    series : TiltSeries
        The data, prepared and aligned.
    source : Source
        What the training takes, of all rows.
    """
    data, held_out = source.measurements, source.held_out
    coarse = coarse_series(series, binning_of(source.grid)) if source.config.field.seeks_surface else None
    np.save(folder / _PROJECTIONS, series.projections, allow_pickle=False)
    if series.mask is not None:
        np.save(folder / _MASK, series.mask, allow_pickle=False)
    views = {field.name: getattr(source.views, field.name) for field in fields(source.views)}
    tensors = {
        "tilts": data.tilts,
        "times": data.times,
        "held_tilts": torch.from_numpy(source.held_tilts),
        "signal_fraction": data.signal_fraction,
    } | {f"{_VIEWS}{name}": value for name, value in views.items() if value is not None}
    if coarse is not None:
        arrays = {"projections": coarse.projections, "tilt_angles": coarse.tilt_angles, "times": coarse.times}
        arrays |= {} if coarse.mask is None else {"mask": coarse.mask}
        tensors |= {f"{_COARSE}{name}": torch.tensor(array) for name, array in arrays.items()}
    told = {
        "config": source.config.model_dump_json(),
        "grid": asdict(source.grid),
        "contrast": data.contrast,
        "mean_absolute": data.mean_absolute,
        "power": data.power,
        "has_mask": series.mask is not None,
        "is_masked": data.mask is not None,
        "held_rows": [] if held_out is None else held_out.rows.tolist(),
        "coarse": None
        if coarse is None
        else {"axis_offset": coarse.axis_offset, "flip_tilt": coarse.flip_tilt, "name": coarse.name},
    }
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, folder / _FACTS, {"told": json.dumps(told)}
    )


def on_disk(folder: Path, series: TiltSeries) -> TiltSeries:
    """Return a series whose projections are those that were put into a folder, so that no memory is needed for them."""
    # Not built anew, which would take a copy.
    lean = copy.copy(series)
    object.__setattr__(lean, "projections", np.asarray(np.load(folder / _PROJECTIONS, mmap_mode="r")))
    if series.mask is not None:
        object.__setattr__(lean, "mask", np.asarray(np.load(folder / _MASK, mmap_mode="r")))
    return lean


def _measurements(
    projections: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    told: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    *,
    device: torch.device,
) -> BandMeasurements:
    tilts = tensors["tilts"].numpy()
    counts = mask[tilts] if mask is not None and told["is_masked"] else None
    if counts is None and len(tilts) == len(projections):
        measured = shared_memory(projections)
    else:
        values = projections[tilts]
        measured = torch.from_numpy(values if counts is None else values * counts)
    return BandMeasurements(
        tensors["tilts"],
        measured.to(device),
        None if counts is None else torch.from_numpy(np.array(counts)).to(device),
        tensors["times"],
        told["contrast"],
        told["mean_absolute"],
        power=told["power"],
        signal_fraction=tensors["signal_fraction"],
    )


def _held_out(
    projections: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    rows: list[int],
    tilts: NDArray[np.int64],
    held: range,
) -> HeldOut | None:
    """Return all rows that are predicted; what lies outside those held is 0 and does not count."""
    if not len(tilts):
        return None
    measured = np.zeros((len(tilts), len(rows), projections.shape[2]), dtype=np.float32)
    counts = np.zeros(measured.shape, dtype=bool)
    here = [place for place, row in enumerate(rows) if row in held]
    block = np.ix_(tilts, np.array([rows[place] - held.start for place in here], dtype=np.int64))
    counts[:, here] = True if mask is None else mask[block]
    measured[:, here] = np.where(counts[:, here], projections[block], np.float32(0))
    return HeldOut(torch.from_numpy(tilts), torch.tensor(rows), torch.from_numpy(measured), torch.from_numpy(counts))


def _read_coarse(told: dict[str, Any] | None, tensors: dict[str, torch.Tensor]) -> TiltSeries | None:
    if told is None:
        return None
    arrays: dict[str, Any] = {name: value.numpy() for name, value in tensors.items()}
    return TiltSeries(**arrays, **told)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
