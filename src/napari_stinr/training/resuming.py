"""Whether a reconstruction can be gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction


def check_resumable(reconstruction: Reconstruction, series: TiltSeries) -> None:
    """Check that a reconstruction is of a series and has the state of its training; a StinrError says what is not."""
    expected, found = reconstruction.provenance.get("fingerprint"), series.fingerprint()
    if expected != found:
        told, n_used = reconstruction.provenance, int(series.used.sum())
        raise StinrError(
            f"the tilt series {series.name!r} with {n_used} tilts (fingerprint {found[:8]}) is not that of the "
            f"run, {told.get('series', 'unknown')!r} with {told.get('tilts', '?')} ({str(expected)[:8]})",
            expected="the same stack, angles, times and options",
            cure="Give those of the first run.",
        )
    if not reconstruction.training_state:
        raise StinrError(
            "the run holds no state of the training",
            expected="one to go on from",
            cure="Train again from the start.",
        )
