"""The quality levels: how long a run is, and what depends on that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.config.training_settings import TrainingConfig


@dataclass(frozen=True)
class _Quality:
    """Factors of the number of steps and of the learning rates; those of a network on rays stay."""

    length: float = 1.0
    density_rate: float = 1.0
    arrival_rate: float = 1.0
    alignment: str = "coarse"


_QUALITIES = {
    "Quick look": _Quality(length=0.25, density_rate=2.5, arrival_rate=2.5),
    "Standard": _Quality(),
    # Three times as long at the same rate, small noise-free series came out worse than at the standard length.
    "High": _Quality(length=3.0, density_rate=0.5, alignment="joint"),
}
QUALITIES = tuple(_QUALITIES)


def changes_for(name: str, base: TrainingConfig) -> dict[str, Any]:
    """Return the settings of a training, by name, in which a quality level differs from a preset, or a StinrError."""
    quality = _quality(name)
    if base.batches == "rays":
        quality = _Quality(length=quality.length)
    return {
        "steps": None if base.steps is None else round(base.steps * quality.length),
        "visits": round(base.visits * quality.length),
        "surface_visits": round(base.surface_visits * min(1.0, 2 * quality.length)),
        "density_rate": base.density_rate * quality.density_rate,
        "arrival_rate": base.arrival_rate * quality.arrival_rate,
    }


def alignment_for(name: str) -> str:
    """Return the alignment of a quality level, or a StinrError."""
    return _quality(name).alignment


def _quality(name: str) -> _Quality:
    if name not in _QUALITIES:
        raise StinrError(
            f"the quality is {name!r}", expected="one of " + ", ".join(QUALITIES), cure="Choose one of these."
        )
    return _QUALITIES[name]
