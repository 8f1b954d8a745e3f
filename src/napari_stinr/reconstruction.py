"""A trained field with its grid, settings and provenance: render it at any time, save it, load it.

The file is one safetensors file; everything that is not a tensor is JSON in its header. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_stinr.config import ReconstructionConfig
from napari_stinr.errors import StinrError
from napari_stinr.fields import GrowthField, JointField, StaticField, build_field
from napari_stinr.geometry import VoxelGrid
from napari_stinr.io.atomic import atomic_output
from napari_stinr.rendering import field_blocks, potential_at, total_potential

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

FORMAT = "napari-stinr reconstruction"
FORMAT_VERSION = 1
_FIELD_PREFIX, _STATE_PREFIX = "field.", "training."


@dataclass(eq=False)
class Reconstruction:
    """A reconstruction of the specimen in space and time.

    Parameters
    ----------
    field : GrowthField, StaticField or JointField
        The trained field, on the CPU.
    config : ReconstructionConfig
        The settings it was trained with.
    grid : VoxelGrid
        The voxels it was trained on.
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
    """

    field: GrowthField | StaticField | JointField
    config: ReconstructionConfig
    grid: VoxelGrid
    time_range: tuple[float, float] = (0.0, 1.0)
    time_unit: str = ""
    step: int = 0
    provenance: dict[str, str] = field(default_factory=dict)
    training_state: dict[str, torch.Tensor] = field(default_factory=dict)

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
        if not isinstance(self.field, GrowthField):
            raise StinrError(
                f"the preset of this reconstruction is {self.config.preset!r}",
                expected="growth, the one that has an arrival time",
                cure="Train with --preset growth.",
            )
        grid = self.grid_at(voxel_size)
        volume = np.empty(grid.shape, dtype=np.float32)
        for rows, _, arrival in field_blocks(self.field, grid, 0.0):
            assert arrival is not None
            volume[:, rows] = arrival.transpose(0, 1).numpy()
        return volume

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
            The file cannot be written, or is there and must not be replaced.
        """
        tensors = {_FIELD_PREFIX + name: value for name, value in self.field.state_dict().items()}
        tensors |= {_STATE_PREFIX + name: value for name, value in self.training_state.items()}
        header = {
            "format": FORMAT,
            "version": str(FORMAT_VERSION),
            "config": self.config.model_dump_json(),
            "grid": json.dumps(asdict(self.grid)),
            "time": json.dumps({"range": self.time_range, "unit": self.time_unit}),
            "step": str(self.step),
            "provenance": json.dumps(self.provenance),
        }
        with atomic_output(path, overwrite=overwrite) as temporary:
            try:
                save_file(
                    {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary, header
                )
            except SafetensorError as error:
                # safetensors hides the number of the system's error in its text.
                raise OSError(None, str(error)) from error


def load_reconstruction(path: str | Path) -> Reconstruction:
    """Read a reconstruction.

    Parameters
    ----------
    path : path
        A file that :meth:`Reconstruction.save` wrote.

    Returns
    -------
    Reconstruction
        The reconstruction, with what is needed to resume the training.

    Raises
    ------
    StinrError
        The file is missing, damaged, of another kind or of a version that this program does not know.
    """
    header, tensors = _read_file(Path(path))
    found = f"{header.get('format', 'a safetensors file of another program')} version {header.get('version')}"
    expected = f"{FORMAT} version {FORMAT_VERSION}"
    if found != expected:
        raise StinrError(f"{path} is {found}", expected=expected, cure="Give a file that this version of stinr wrote.")
    try:
        config = ReconstructionConfig.model_validate_json(header["config"])
        grid = VoxelGrid(**json.loads(header["grid"]))
        time = json.loads(header["time"])
        trained = build_field(config, grid, scale=1.0)
        trained.load_state_dict(_with_prefix(tensors, _FIELD_PREFIX))
        return Reconstruction(
            trained.requires_grad_(False),
            config,
            grid,
            time_range=(float(time["range"][0]), float(time["range"][1])),
            time_unit=str(time["unit"]),
            step=int(header["step"]),
            provenance=dict(json.loads(header["provenance"])),
            training_state=_with_prefix(tensors, _STATE_PREFIX),
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _read_file(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise StinrError(
            f"there is no file {path}", expected="a reconstruction", cure="Check the name; `stinr train` writes one."
        )
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _with_prefix(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _damaged(path: str | Path, error: Exception) -> StinrError:
    return StinrError(
        f"{path} cannot be read ({error})",
        expected="a whole file that `stinr train` wrote",
        cure="It is damaged or of another kind; use an earlier checkpoint.",
    )
