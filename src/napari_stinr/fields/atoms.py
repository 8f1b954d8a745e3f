"""Atoms of a growth field: which voxels are one, when it arrived, and which part of it was always there."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from napari_stinr.fields.storage import some_rows

IS_SPECIMEN = 0.6
"""Share of an atom above which it is specimen: what arrives soon after the first projection is missing in few of them,
so that its share errs by more than that of an atom of the specimen."""

UNCERTAIN = 0.15
"""How near to that a share tells little: on the simulations that this was chosen on, two thirds of all that is on the
wrong side are there, and 4 % of the specimen."""


class Atoms(nn.Module):
    """A table with a line for every atom, and the number of the line for every voxel.

    Parameters
    ----------
    labels : Tensor
        `(height, depth, width)` int32 number of the atom of each voxel, from 0.
    share : Tensor
        `(n_atoms,)` float32 part of an atom that was there before the first projection, 0 to 1 [1].
    arrival : Tensor
        `(n_atoms,)` float32 arrival time of the rest [t].
    """

    labels: torch.Tensor
    least_share: torch.Tensor
    decided: torch.Tensor

    def __init__(self, labels: torch.Tensor, *, share: torch.Tensor, arrival: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("labels", labels)
        # A run keeps the share by which it was decided, as what is near to it is uncertain.
        self.register_buffer("least_share", torch.tensor(IS_SPECIMEN, device=labels.device))
        self.register_buffer("decided", torch.zeros((), dtype=torch.uint8, device=labels.device))
        self.share, self.arrival = nn.Parameter(share), nn.Parameter(arrival)
        self.register_load_state_dict_post_hook(_check_labels)  # type: ignore[no-untyped-call]

    @classmethod
    def empty(cls, labels: torch.Tensor, *, n_atoms: int) -> Atoms:
        """Return a table of this size, for values of a saved run."""
        return cls(labels, share=torch.zeros(n_atoms), arrival=torch.zeros(n_atoms))

    @property
    def is_decided(self) -> bool:
        """An atom was either always there as a whole, or not at all before it arrived."""
        return bool(self.decided)

    def decide(self) -> None:
        """Make every atom specimen or contamination as a whole, by its share."""
        self.clamp_shares()
        self.decided.fill_(1)

    @property
    def are_specimen(self) -> torch.Tensor:
        """`(n_atoms,)` bool, as it is decided now."""
        return self.share > self.least_share

    @property
    def are_uncertain(self) -> torch.Tensor:
        """`(n_atoms,)` bool, whether an atom might as well be on the other side."""
        return (self.share - self.least_share).abs() < UNCERTAIN

    def clamp_shares(self) -> None:
        """Keep shares between 0 and 1; before every step, as one beyond would never come back."""
        with torch.no_grad():
            self.share.clamp_(0, 1)

    @staticmethod
    def of_voxels(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """`(...)` values of the atoms `(n_atoms,)` with these labels `(...)`."""
        return _OfVoxels.apply(values, labels)  # type: ignore[no-untyped-call, no-any-return]


class _OfVoxels(torch.autograd.Function):
    # Torch's own, an embedding, takes fifteen times as long to go back on a CPU.

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(labels)
        ctx.n_atoms = len(values)
        return values[labels]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (labels,), (gradient,) = ctx.saved_tensors, gradients
        if gradient.device.type == "cpu":  # where this adds up in the order of the voxels
            sums = gradient.new_zeros(ctx.n_atoms)
            return sums.index_add_(0, labels.ravel(), gradient.ravel()), None
        # Sorts first, as a result must not depend on the order in which threads come.
        columns = gradient.reshape(-1, 1)
        by_atom: torch.Tensor = torch.ops.aten.embedding_dense_backward(columns, labels.ravel(), ctx.n_atoms, -1, False)
        return by_atom[:, 0], None


def _check_labels(atoms: Atoms, _incompatible: Any) -> None:
    labels = atoms.labels
    if labels.is_meta or not labels.numel():
        return
    ends = [(int(labels[rows].min()), int(labels[rows].max())) for rows in some_rows(labels)]
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    if not 0 <= lowest <= highest < len(atoms.share):
        raise ValueError(f"voxels are in atoms {lowest} to {highest} of {len(atoms.share)}")
