"""All settings of a reconstruction together, and what cannot be combined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from napari_stinr.config.alignment_settings import AlignmentConfig
from napari_stinr.config.faults import first_fault, settings_fault
from napari_stinr.config.field_settings import FieldConfig, GrowthFieldConfig, Settings
from napari_stinr.config.preprocessing_settings import AS_RECORDED, PreprocessingConfig
from napari_stinr.config.presets import PARTS_OF_PRESETS, PRESETS
from napari_stinr.config.qualities import alignment_for, changes_for
from napari_stinr.config.training_settings import TrainingConfig
from napari_stinr.config.yaml_text import parse_settings
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pydantic import ValidationInfo

_STORED = "stored"


class ReconstructionConfig(Settings):
    """Everything that decides a reconstruction, besides the data."""

    preset: str = "growth"
    field: FieldConfig = Field(default_factory=GrowthFieldConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    preprocessing: PreprocessingConfig = Field(default_factory=PreprocessingConfig)
    alignment: AlignmentConfig = Field(default_factory=AlignmentConfig)

    def to_yaml(self) -> str:
        """Return the settings as YAML that :meth:`from_yaml` reads back.

        Returns
        -------
        str
            YAML text.
        """
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str) -> ReconstructionConfig:
        r"""Read settings from YAML; what is not given keeps the value of the preset that it names.

        Parameters
        ----------
        text : str
            YAML text, e.g. ``"preset: growth\ntraining: {steps: 200}"``.

        Returns
        -------
        ReconstructionConfig
            The settings.

        Raises
        ------
        StinrError
            The text is not YAML, has aliases or is longer than any settings, or a setting has an unknown name or a
            value that is out of range.
        """
        given = parse_settings(text)
        base = preset_config(str(given.get("preset", "growth"))).model_dump(mode="json")
        for part, values in given.items():
            kept = base.get(part)
            if isinstance(values, dict) and isinstance(kept, dict):
                # Another kind of field has other settings: nothing of the preset's is kept.
                is_same = values.get("kind", kept.get("kind")) == kept.get("kind")
                base[part] = {**kept, **values} if is_same else values
            else:
                base[part] = values
        return _validated(base)

    def with_training(self, **changes: Any) -> ReconstructionConfig:
        """Return these settings with other settings of the training.

        Parameters
        ----------
        **changes
            Names and values of :class:`TrainingConfig`; None leaves a setting as it is.

        Returns
        -------
        ReconstructionConfig
            The new settings.

        Raises
        ------
        StinrError
            A setting has an unknown name or a value that is out of range.
        """
        return self._with("training", changes)

    def with_preprocessing(self, **changes: Any) -> ReconstructionConfig:
        """Return these settings with other settings of the preprocessing.

        Parameters
        ----------
        **changes
            Names and values of :class:`PreprocessingConfig`; None leaves a setting as it is.

        Returns
        -------
        ReconstructionConfig
            The new settings.

        Raises
        ------
        StinrError
            A setting has an unknown name or a value that is out of range.
        """
        return self._with("preprocessing", changes)

    def with_alignment(self, method: str) -> ReconstructionConfig:
        """Return these settings with another alignment.

        Parameters
        ----------
        method : {"off", "coarse", "joint"}
            See :class:`AlignmentConfig`.

        Returns
        -------
        ReconstructionConfig
            The new settings.

        Raises
        ------
        StinrError
            There is no such method.
        """
        return self._with("alignment", {"method": method})

    def _with(self, part: str, changes: dict[str, Any]) -> ReconstructionConfig:
        merged = self.model_dump(mode="json")
        merged[part] |= {name: value for name, value in changes.items() if value is not None}
        return _validated(merged)

    def voxelwise(self) -> ReconstructionConfig:
        """Return these settings for a field that seeks no surface: every place decides on its own when it arrived.

        Returns
        -------
        ReconstructionConfig
            These settings where there is no such search anyway.
        """
        if not self.field.seeks_surface:
            return self
        return self.model_copy(update={"field": self.field.model_copy(update={"has_surface": False})})

    def with_quality(self, name: str) -> ReconstructionConfig:
        """Return these settings with the length of the run, and what depends on it, of a quality level.

        Parameters
        ----------
        name : {"Quick look", "Standard", "High"}
            ``Standard``: as the preset has it. ``Quick look``: a quarter of the steps, each of them larger.
            ``High``: three times as many steps, half as large for the density, and the joint alignment.

        Returns
        -------
        ReconstructionConfig
            The new settings; they follow from the preset, not from the quality that these settings had.

        Raises
        ------
        StinrError
            No quality level has this name.
        """
        changed = self.with_training(**changes_for(name, preset_config(self.preset).training))
        return changed if self.alignment.method == "off" else changed.with_alignment(alignment_for(name))

    @classmethod
    def from_run(cls, text: str) -> ReconstructionConfig:
        """Read the settings in the file of a run.

        Parameters
        ----------
        text : str
            JSON text.

        Returns
        -------
        ReconstructionConfig
            The settings; what had no effect at the time may be refused in a new run.

        Raises
        ------
        ValueError
            These are no settings.
        """
        return cls.model_validate_json(text, context=_STORED)

    @model_validator(mode="before")
    @classmethod
    def _keep_what_a_run_was(cls, values: Any, info: ValidationInfo) -> Any:
        """Take a run from before there was a blur, one with a least length, preprocessing or alignment as it was."""
        if not isinstance(values, dict) or info.context != _STORED:
            return values
        values = {"preprocessing": AS_RECORDED, "alignment": AlignmentConfig(method="off"), **values}
        field = values.get("field")
        if isinstance(field, dict) and field.get("kind") in ("static", "growth"):
            return {**values, "field": {"blur": 0.0, "least_blur": 0.0, **field}}
        return values

    @model_validator(mode="after")
    def _check_combination(self, info: ValidationInfo) -> ReconstructionConfig:
        field, training = self.field, self.training
        if training.batches not in field.batches:
            raise StinrError(
                f"batches of {training.batches} for a {field.kind} field",
                expected=f"{' or '.join(field.batches)} for this kind of field",
                cure=f"Set training.batches to {field.batches[0]}.",
            )
        if training.precision == "bfloat16" and not field.has_network and info.context != _STORED:
            raise StinrError(
                f"bfloat16 for a {field.kind} field without a network",
                expected="auto or float32: grids of values are always float32",
                cure="Set training.precision to auto.",
            )
        return self


def _validated(values: dict[str, Any]) -> ReconstructionConfig:
    try:
        return ReconstructionConfig.model_validate(values)
    except ValidationError as error:
        together = settings_fault(error)
        if together is not None:
            raise together from error
        fault = first_fault(error)
        raise StinrError(
            f"the setting {'.'.join(map(str, fault.where)):.60} is {fault.value!r:.200}",
            expected=fault.expected,
            cure="Correct it in the configuration.",
        ) from error


_PRESETS = {
    name: ReconstructionConfig(preset=name, field=parts.field, training=parts.training)
    for name, parts in PARTS_OF_PRESETS.items()
}


def preset_config(name: str) -> ReconstructionConfig:
    """Return the settings of a preset.

    Parameters
    ----------
    name : {"growth", "static", "paper"}
        ``growth``: a density with an arrival time, for contamination. ``static``: nothing changes, the comparison in
        every report. ``paper``: the published method, one network of (z, y, x, t) trained on random rays, for general
        dynamics.

    Returns
    -------
    ReconstructionConfig
        The settings.

    Raises
    ------
    StinrError
        No preset has this name.
    """
    if name not in _PRESETS:
        raise StinrError(
            f"the preset is {name!r:.60}",
            expected="one of " + ", ".join(PRESETS),
            cure="Choose one of these with --preset.",
        )
    return _PRESETS[name]
