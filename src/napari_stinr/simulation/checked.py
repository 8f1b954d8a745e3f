"""Settings of a simulation that refuse what is impossible in one line."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_stinr.config.faults import first_fault, settings_fault
from napari_stinr.errors import StinrError


class CheckedSettings(BaseModel):
    """Settings that cannot be changed, take no unknown name and no infinite number; a StinrError names a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise settings_fault(error) or _single_fault(error) from error


def _single_fault(error: ValidationError) -> StinrError:
    fault = first_fault(error)
    found = f"{'.'.join(map(str, fault.where))} of the simulation is {fault.value!r}"
    return StinrError(found, expected=fault.expected, cure="Correct this value.")
