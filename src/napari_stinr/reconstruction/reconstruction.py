"""A trained field with its grid, settings and provenance: render it at any time, save it, load it.

The file is described in :mod:`napari_stinr.reconstruction.run_file`; what is not a tensor is JSON in its header.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_stinr.alignment.pose import Pose
from napari_stinr.config import ReconstructionConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.errors import StinrError
from napari_stinr.fields import Field, build_field
from napari_stinr.fields.storage import is_on_file, without_memory
from napari_stinr.reconstruction.rendering import (
    potential_at,
    sampled_blocks,
    total_potential,
    uncertain_part,
    uncertain_potential,
)
from napari_stinr.reconstruction.run_file import RunFile, damaged, read_run, write_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_stinr.fields import GrowthField

FIELD_PREFIX, STATE_PREFIX = "field.", "training."
"""Before the names of values of the field, and of the state of the training, in the file of a run."""


@dataclass(eq=False)
class Reconstruction:
    """A reconstruction of the specimen in space and time.

    Parameters
    ----------
    field : Field
        The trained field, on the CPU.
    config : ReconstructionConfig
        The settings it was trained with.
    grid : VoxelGrid
        The voxels it was trained on. Those of its margin are not rendered.
    time_range : tuple of float
        Times of the first and last projection, to which t = 0 and t = 1 belong [time_unit].
    time_unit : str
        Unit of `time_range`; "" for a bare order of acquisition.
    step : int
        Steps of training that were done.
    provenance : dict of str
        Where it comes from: data, fingerprint of the data, versions, residual.
    training_state : dict of Tensor
        What is needed to go on with the training exactly; empty where that was not kept.
    pose : Pose, optional
        Where the projections were recorded, which was undone before the training; none where nothing was moved.
    """

    field: Field
    config: ReconstructionConfig
    grid: VoxelGrid
    time_range: tuple[float, float] = (0.0, 1.0)
    time_unit: str = ""
    step: int = 0
    provenance: dict[str, str] = field(default_factory=dict)
    training_state: dict[str, torch.Tensor] = field(default_factory=dict)
    pose: Pose | None = None

    @property
    def voxel_size(self) -> float:
        """Edge of a voxel [length_unit]."""
        return self.grid.voxel_size

    @property
    def length_unit(self) -> str:
        """``"Å"``, or ``"pixel"`` where the pixel size of the data was not known."""
        return self.grid.length_unit

    def grid_at(self, voxel_size: float | None = None) -> VoxelGrid:
        """Return the grid of a volume that is rendered with a voxel size.

        Parameters
        ----------
        voxel_size : float, optional
            Edge of the voxels; that of the data by default [length_unit].

        Returns
        -------
        VoxelGrid
            The grid of the reconstruction, or one over the same region.

        Raises
        ------
        StinrError
            The voxel size is not positive.
        """
        if voxel_size is None:
            return self.grid
        if not (np.isfinite(voxel_size) and voxel_size > 0):
            expected = f"a positive number of {self.length_unit}"
            cure = f"Leave it out for {self.voxel_size:g} {self.length_unit}."
            raise StinrError(f"the voxel size is {voxel_size:g}", expected=expected, cure=cure)
        return self.grid.resampled(voxel_size)

    def render(self, t: float = 0.0, *, voxel_size: float | None = None) -> NDArray[np.float32]:
        """Sample the potential on voxels at one time.

        Parameters
        ----------
        t : float
            Time, 0 (first projection: the clean specimen) to 1 (last); other times are extrapolated [t].
        voxel_size : float, optional
            Edge of the voxels; that of the data by default [length_unit].

        Returns
        -------
        ndarray
            `(z, y, x)` float32 potential, on the scale of the projections: ``sum(V) * voxel_size`` is the projection
            [V].

        Raises
        ------
        StinrError
            The time is not a finite number or the voxel size is not positive.
        """
        return potential_at(self.field, self.grid_at(voxel_size), t)

    def contamination(self, t: float = 1.0, *, voxel_size: float | None = None) -> NDArray[np.float32]:
        """Sample what has grown since t = 0.

        Parameters
        ----------
        t : float
            Time [t].
        voxel_size : float, optional
            Edge of the voxels; that of the data by default [length_unit].

        Returns
        -------
        ndarray
            `(z, y, x)` float32 volume at t minus volume at 0 [V].

        Raises
        ------
        StinrError
            As for :meth:`render`.
        """
        volume = self.render(t, voxel_size=voxel_size)
        volume -= self.render(0.0, voxel_size=voxel_size)
        return volume

    def arrival_time(self, *, voxel_size: float | None = None) -> NDArray[np.float32]:
        """Sample the time at which the matter in each voxel arrived.

        Parameters
        ----------
        voxel_size : float, optional
            Edge of the voxels; that of the data by default [length_unit].

        Returns
        -------
        ndarray
            `(z, y, x)` float32 arrival time; below 0: specimen. It has no meaning where the density is 0 [t].

        Raises
        ------
        StinrError
            The field has no arrival time: it is not a growth field.
        """
        self._check_is_growth()
        grid = self.grid_at(voxel_size)
        volume = np.empty(grid.shape, dtype=np.float32)
        for rows, (part,) in sampled_blocks(self.field, grid, 0.0):
            assert part.arrival is not None
            volume[:, rows] = part.arrival.transpose(0, 1).numpy()
        return volume

    def uncertain(self, *, voxel_size: float | None = None) -> NDArray[np.float32]:
        """Sample the atoms that might as well be specimen as contamination, as the data do not tell.

        Parameters
        ----------
        voxel_size : float, optional
            Edge of the voxels; that of the data by default [length_unit].

        Returns
        -------
        ndarray
            `(z, y, x)` float32 potential of these atoms, wherever they were put; 0 everywhere where nothing grew, or
            where the volume shows no atoms [V].

        Raises
        ------
        StinrError
            The field is no growth field.
        """
        self._check_is_growth()
        growth: GrowthField = self.field  # type: ignore[assignment]  # no other has an arrival time
        return uncertain_potential(growth, self.grid_at(voxel_size))

    def uncertain_part(self) -> float:
        """Return how much of the specimen might as well be contamination, or the reverse.

        Returns
        -------
        float
            Mass of the atoms of :meth:`uncertain` by that of the specimen; 0 where nothing is decided by atoms [1].
        """
        growth: GrowthField = self.field  # type: ignore[assignment]  # no other has an arrival time
        return uncertain_part(growth, self.grid) if self.field.has_arrival else 0.0

    def growth_curve(self, n_times: int = 21) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how much contamination there was at each time.

        Parameters
        ----------
        n_times : int
            Number of times, evenly from 0 to 1.

        Returns
        -------
        times : ndarray
            `(n_times,)` times [t].
        amount : ndarray
            `(n_times,)` integral of the contamination over the volume [V·length_unit³].
        """
        times = np.linspace(0.0, 1.0, n_times)
        totals = total_potential(self.field, self.grid, times)
        return times, (totals - totals[0]) * self.grid.voxel_size**3

    def _check_is_growth(self) -> None:
        if not self.field.has_arrival:
            raise StinrError(
                f"the preset of this reconstruction is {self.config.preset!r}",
                expected="growth, the one that has an arrival time",
                cure="Train with --preset growth.",
            )

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write everything into one file, whole or not at all.

        Parameters
        ----------
        path : path
            Where to; ``.stinr`` is the customary ending.
        overwrite : bool
            Replace a file that is there.

        Raises
        ------
        StinrError
            The file cannot be written, or is there and must not be replaced, or the field is not finite.
        """
        tensors = {FIELD_PREFIX + name: value for name, value in self.field.state_dict().items()}
        tensors |= {STATE_PREFIX + name: value for name, value in self.training_state.items()}
        write_run(path, RunFile(self.header(), tensors), overwrite=overwrite)

    def header(self) -> dict[str, str]:
        """Return what the file says in words.

        Returns
        -------
        dict of str
            Texts, most of them JSON.
        """
        return {
            "config": self.config.model_dump_json(),
            "grid": json.dumps(asdict(self.grid)),
            "time": json.dumps({"range": self.time_range, "unit": self.time_unit}),
            "step": str(self.step),
            "provenance": json.dumps(self.provenance),
        } | ({} if self.pose is None else {"pose": self.pose.to_yaml()})


def load_reconstruction(path: str | Path, *, stays: bool = False) -> Reconstruction:
    """Read a reconstruction.

    Parameters
    ----------
    path : path
        A file that :meth:`Reconstruction.save` wrote.
    stays : bool
        Large tensors stay in the file in any case, and not only where the memory is too small for them.

    Returns
    -------
    Reconstruction
        The reconstruction, with what is needed to resume the training.

    Raises
    ------
    StinrError
        The file is missing, damaged, of another kind or of a version that this program does not know.
    """
    path = Path(path).expanduser()
    run = read_run(path, _check_tensors, stays=stays)
    try:
        config, grid = _config_and_grid(run.header)
        time, provenance = json.loads(run.header["time"]), json.loads(run.header["provenance"])
        first, last = map(float, time["range"])
        if not np.isfinite([first, last]).all() or not isinstance(time["unit"], str):
            raise ValueError(f"the times are {first} to {last}")
        values = _with_prefix(run.tensors, FIELD_PREFIX)
        # Of a run that stays in its file no number is copied.
        stays = any(map(is_on_file, values.values()))
        with without_memory() if stays else contextlib.nullcontext():
            trained = build_field(config, grid, scale=1.0)
        trained.make_room({name: tuple(value.shape) for name, value in values.items()})
        trained.load_state_dict(values, assign=stays)
        return Reconstruction(
            trained.requires_grad_(False).eval(),
            config,
            grid,
            time_range=(first, last),
            time_unit=time["unit"],
            step=int(run.header["step"]),
            provenance={str(name): str(text) for name, text in provenance.items()},
            training_state=_with_prefix(run.tensors, STATE_PREFIX),
            pose=Pose.from_yaml(run.header["pose"]) if "pose" in run.header else None,
        )
    except _MALFORMED as error:
        raise damaged(path, f"{error or type(error).__name__}") from error


_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)


def _check_tensors(header: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that settings and grid describe the field that is in the file, before one of that size is built."""
    config, grid = _config_and_grid(header)
    with torch.device("meta"):  # has shapes, and takes no memory
        field = build_field(config, grid, scale=1.0)
        field.make_room(_with_prefix(shapes, FIELD_PREFIX))
    expected = {name: tuple(value.shape) for name, value in field.state_dict().items()}
    if expected != _with_prefix(shapes, FIELD_PREFIX):
        raise ValueError(f"the tensors are not those of a {config.preset} field on {grid.shape} voxels")
    state = _with_prefix(shapes, STATE_PREFIX)
    for name, _ in field.named_parameters():
        for kind in ("exp_avg", "exp_avg_sq"):
            if state.get(f"moments.{name}.{kind}", expected[name]) != expected[name]:
                raise ValueError(f"the moments of {name} are not of its size")
    if state and not {"generator", "seconds"} <= state.keys():
        raise ValueError("the state of the training is not complete")


def _config_and_grid(header: Mapping[str, str]) -> tuple[ReconstructionConfig, VoxelGrid]:
    grid = VoxelGrid(**json.loads(header["grid"]))
    are_whole = all(type(length) is int for length in (*grid.shape, grid.margin))
    if not are_whole or not np.isfinite(float(grid.voxel_size)) or grid.length_unit not in ("Å", "pixel"):
        raise ValueError(f"a grid of {grid.shape} voxels of {grid.voxel_size} {grid.length_unit:.20}")
    return ReconstructionConfig.from_run(header["config"]), grid


def _with_prefix(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
