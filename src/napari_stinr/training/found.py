"""What a search for the surface has found, told to the field of the run row by row, and what there is to look at."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, cast

import torch

from napari_stinr.fields.regions import OUTSIDE, SPECIMEN
from napari_stinr.fields.storage import view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_stinr.fields import Field, GrowthField
    from napari_stinr.fields.surface import SurfaceField
    from napari_stinr.training.surface import SurfaceSearch


def begin_volume(growth: GrowthField, search: SurfaceSearch, surface: SurfaceField) -> None:
    """Let the fit of the volume begin with what the search has found.

    Parameters
    ----------
    growth : GrowthField
        The field of the run; becomes what was found.
    search : SurfaceSearch
        The search.
    surface : SurfaceField
        Its last field.
    """
    growth.tell_regions(search.regions(surface))
    if growth.density.decoder is None:  # which would have one unit left to learn with
        # The search has found most of the density, too; its arrival times are no better a start.
        growth.density.take(search.density(surface))


def shown_field(field: Field, search: SurfaceSearch | None, surface: Field, *, is_view: bool) -> Field:
    """Return a field to look at, on the CPU.

    Parameters
    ----------
    field : Field
        The field of the run.
    search : SurfaceSearch, optional
        The search that is going on; none in the fit of the volume.
    surface : Field
        Its field.
    is_view : bool
        Do not copy what is as large as the volume: it goes on changing.

    Returns
    -------
    Field
        Looks like what the search has found so far, where it is going on.
    """
    if not is_view:
        shown = deepcopy(field).cpu().requires_grad_(False).eval()
    elif search is None:
        shown = view_of(field).eval()
    else:
        # Density and regions are not begun yet and may be lent; the arrival times are where they begin.
        shown = view_of(field, but=(cast("GrowthField", field).arrival,)).eval()
    if search is not None:
        copied = cast("SurfaceField", deepcopy(surface).cpu().requires_grad_(False))
        _show_search(cast("GrowthField", shown), search, copied)
    return shown


def _show_search(growth: GrowthField, search: SurfaceSearch, surface: SurfaceField) -> None:
    z, y, x = search.positions()

    def regions() -> Iterator[tuple[slice, torch.Tensor]]:
        for k, row in enumerate(y[search.rows]):
            yield slice(k, k + 1), torch.where(surface.inside(z, row[None], x) > 0.5, SPECIMEN, OUTSIDE)

    growth.take(search.density(surface), regions(), lambda positions: search.arrival(surface, positions))
