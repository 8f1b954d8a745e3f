"""What others may add: a kind of field made here works everywhere, and so does a module trained beside the field."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from helpers.oracles import project_slice
from helpers.series_cases import VOXELWISE_GROWTH, growing_series
from napari_stinr import ReconstructionConfig, Trainer, load_reconstruction
from napari_stinr.config import FieldSettings, GrowthFieldConfig, TrainingConfig
from napari_stinr.config.field_settings import FIELD_KINDS
from napari_stinr.errors import StinrError
from napari_stinr.fields import _FIELDS, Field, GrowthField, register
from napari_stinr.fields.base import Costs, ParameterGroup, Slices
from napari_stinr.fields.encoding import FeatureGrid
from napari_stinr.reconstruction.prediction import predict_projections
from napari_stinr.reconstruction.rendering import potential_at
from napari_stinr.reconstruction.sampled_field import SampledField
from napari_stinr.training.blocks import BlockObjective
from napari_stinr.training.estimates import Speed, expected_memory, expected_seconds
from napari_stinr.training.stages import VOLUME

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr import Reconstruction, TiltSeries

ALL = slice(None)


class EnsembleConfig(FieldSettings):
    kind: Literal["ensemble"] = "ensemble"  # type: ignore[assignment]
    members: int = 3
    member: GrowthFieldConfig = GrowthFieldConfig(coarsest_nodes=6)


class EnsembleField(Field):
    """The mean of growth fields that begin at different values."""

    def __init__(self, members: list[GrowthField]) -> None:
        super().__init__()
        self.members, self.blur = nn.ModuleList(members), members[0].blur

    @classmethod
    def build(cls, settings: Any, grid: Any, *, scale: float, training: TrainingConfig) -> EnsembleField:
        field = cls(
            [GrowthField.build(settings.member, grid, scale=scale, training=training) for _ in range(settings.members)]
        )
        for member in field.members:
            for level in member.arrival:
                nn.init.normal_(level.values, 0.1, 0.05)
        return field

    @property
    def costs(self) -> Costs:
        each, n = self.members[0].costs, len(self.members)
        return Costs(each.trained_values * n, each.rendered_values * n, growing_parts=n)

    def forward(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        return torch.stack([member(coordinates, times) for member in self.members]).mean(0)

    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float) -> tuple[Slices, ...]:
        parts = [part for member in self.members for part in member.slices(z, y, x, t)]
        return tuple(replace(part, density=part.density / len(self.members)) for part in parts)

    def parameter_groups(
        self, training: TrainingConfig, *, contrast: float, n_blocks: int
    ) -> tuple[ParameterGroup, ...]:
        return tuple(
            replace(group, name=f"{group.name} {index}")
            for index, member in enumerate(self.members)
            for group in member.parameter_groups(training, contrast=contrast, n_blocks=n_blocks)
        )

    def narrow(self, training: TrainingConfig, *, fraction: float) -> None:
        for member in self.members:
            member.narrow(training, fraction=fraction)


class SwellingConfig(FieldSettings):
    batches: ClassVar[tuple[str, ...]] = ("blocks", "rays")
    kind: Literal["swelling"] = "swelling"  # type: ignore[assignment]
    spacing: float = 2.0


class SwellingField(Field):
    """Grids at the first and the last time, linear between: it must be asked anew for every time."""

    serves_all_times = False

    def __init__(self, grid: Any, spacing: float, scale: float) -> None:
        super().__init__()
        self.first, self.last = (FeatureGrid(grid, spacing=spacing, start=start) for start in (0.0, 0.1))
        self.register_buffer("scale", torch.tensor(scale))

    @classmethod
    def build(cls, settings: Any, grid: Any, *, scale: float, training: TrainingConfig) -> SwellingField:
        return cls(grid, settings.spacing, scale)

    @property
    def costs(self) -> Costs:
        return Costs(trained_values=10, rendered_values=8, static_parts=1)

    def forward(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        first, last = self.first.at(coordinates)[..., 0], self.last.at(coordinates)[..., 0]
        return functional.softplus(first + times * (last - first)) * self.scale

    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float) -> tuple[Slices, ...]:
        first, last = self.first.on_lattice(z, y, x)[:, 0], self.last.on_lattice(z, y, x)[:, 0]
        return (Slices(functional.softplus(first + t * (last - first)) * self.scale),)

    def parameter_groups(
        self, training: TrainingConfig, *, contrast: float, n_blocks: int
    ) -> tuple[ParameterGroup, ...]:
        return (ParameterGroup("nodes", list(self.parameters()), training.density_rate),)


# Also the place of a kind that the package brings and that has no arrival time of its own.
KINDS = {
    "ensemble": (EnsembleConfig, EnsembleField, "blocks"),
    "swelling": (SwellingConfig, SwellingField, "blocks"),
    "swelling by rays": (SwellingConfig, SwellingField, "rays"),
}


@pytest.fixture(params=KINDS)
def config(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ReconstructionConfig:
    settings, field, batches = KINDS[request.param]
    # What is made here is forgotten again; a kind that the package brings stays.
    for kinds in (FIELD_KINDS, _FIELDS):
        monkeypatch.setitem(kinds, settings.model_fields["kind"].default, None)
    register(settings, field)
    return ReconstructionConfig(
        field=settings(), training=TrainingConfig(batches=batches, steps=14, held_out=2, warm_up_steps=2)
    )


def series_of() -> TiltSeries:
    return growing_series(n_tilts=25, width=13, height=5, pixel_size=0.8, axis_offset=0.7)


def trained(config: ReconstructionConfig) -> Reconstruction:
    trainer = Trainer(series_of(), config, device="cpu", threads=1)
    reports = list(trainer.run())
    assert reports[-1].loss < 0.9 * reports[0].loss
    assert np.isfinite(reports[9].held_out_loss)
    return trainer.reconstruction()


def test_a_new_kind_of_field_is_trained_rendered_and_sampled(config: ReconstructionConfig) -> None:
    run = trained(config)
    volume = run.render(0.4)
    assert volume.shape == run.grid.shape
    assert float(np.abs(volume - run.render(1.0)).max()) > 0
    # The value at points is that on the lattice.
    mesh = np.meshgrid(*(run.grid.axis_positions(axis) for axis in range(3)), indexing="ij")
    points = torch.from_numpy(np.stack(mesh, axis=-1)).float()
    np.testing.assert_allclose(run.field(points, torch.tensor(0.4)).numpy(), volume, rtol=2e-3, atol=2e-3)
    part = (slice(2, 9), slice(1, 3), slice(None, None, 2))
    sampled = SampledField.of(run)
    np.testing.assert_allclose(sampled.at(0.4, part), volume[part], rtol=1e-4, atol=1e-4)
    assert (sampled.density is None) is (not run.field.serves_all_times)
    assert sampled.is_quick(part)
    times, amount = run.growth_curve(3)
    expected = [(run.render(float(t)) - run.render(0.0)).sum(dtype=float) * 0.8**3 for t in times]
    np.testing.assert_allclose(amount, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(StinrError, match="has an arrival time"):
        run.arrival_time()


def test_it_is_predicted_from(config: ReconstructionConfig) -> None:
    run, series = trained(config), series_of()
    predicted = predict_projections(run, series, [17, 2])
    for image, tilt in zip(predicted, (17, 2), strict=True):
        volume = potential_at(run.field, run.grid.fitted, float(series.times[tilt]))
        line = project_slice(volume[:, 3].astype(float), series.ray_angles_rad[tilt], series.width, 0.7, 0.8)
        # At the ends of a line a blur of projections goes on beyond the view, that of the volume does not.
        np.testing.assert_allclose(image[3][3:-3], line[3:-3], rtol=1e-3, atol=5e-3 * np.abs(line).max())


def test_it_is_saved_loaded_and_resumed_exactly(config: ReconstructionConfig, tmp_path: Path) -> None:
    whole = trained(config)
    half = Trainer(series_of(), config, device="cpu", threads=1)
    for report in half.run():
        if report.step == 6:
            half.stop()
    half.reconstruction().save(tmp_path / "half.stinr")
    loaded = load_reconstruction(tmp_path / "half.stinr")
    assert loaded.config == config
    np.testing.assert_array_equal(loaded.render(0.3), half.reconstruction().render(0.3))
    resumed = Trainer.resume(loaded, series_of(), device="cpu", threads=1)
    list(resumed.run())
    np.testing.assert_array_equal(resumed.reconstruction().render(0.3), whole.render(0.3))


def test_its_settings_are_read_and_what_it_takes_is_told(config: ReconstructionConfig) -> None:
    assert ReconstructionConfig.from_yaml(config.to_yaml()) == config
    kind, batches = config.field.kind, config.training.batches
    text = f"field: {{kind: {kind}}}\ntraining: {{batches: {batches}, steps: 14, held_out: 2, warm_up_steps: 2}}"
    assert ReconstructionConfig.from_yaml(text) == config
    with pytest.raises(StinrError, match=f"field.{kind}.colour"):
        ReconstructionConfig.from_yaml(f"field: {{kind: {kind}, colour: 1}}\ntraining: {{batches: {batches}}}")
    shape, speed = (61, 64, 64), Speed(static_voxels=2e8, growth_voxels=1e8, parameters=5e8, samples=1e6)
    assert expected_memory((61, 128, 128), config) > expected_memory(shape, config) > 4 * 61 * 64 * 64
    assert expected_seconds(shape, config.with_training(steps=28), speed) == pytest.approx(
        2 * expected_seconds(shape, config, speed)
    )


class Gains(nn.Module):
    """One factor for every tilt, trained beside the field."""

    def __init__(self, n_tilts: int) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.zeros(n_tilts))

    def parameter_groups(self, training: TrainingConfig, **data: float) -> tuple[ParameterGroup, ...]:
        return (ParameterGroup("gains", [self.logarithm], 0.01),)


class GainObjective(BlockObjective):
    """Blocks whose projections are multiplied by the gain of their tilt."""

    def __init__(self, fit: Any) -> None:
        super().__init__(fit)
        self.gains = Gains(len(fit.views))

    @property
    def modules(self) -> dict[str, Any]:
        return {"gains": self.gains}

    def loss(self, field: Field, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        self._views = replace(self._views, gains=self.gains.logarithm.exp())
        return super().loss(field, generator)


@pytest.fixture
def learns_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_stinr.training.trainer.build_objective", GainObjective)


def dimmed() -> TiltSeries:
    series = series_of()
    factors = np.random.default_rng(0).uniform(0.8, 1.2, (series.n_tilts, 1, 1)).astype(np.float32)
    return replace(series, projections=series.projections * factors)


@pytest.mark.usefixtures("learns_gains")
def test_a_module_beside_the_field_is_trained_and_resumed_exactly(tmp_path: Path) -> None:
    config = VOXELWISE_GROWTH.with_training(steps=16)
    whole = Trainer(dimmed(), config, device="cpu", threads=1)
    reports = list(whole.run())
    assert len(reports[0].learning_rates) == 3
    half = Trainer(dimmed(), config, device="cpu", threads=1)
    for report in half.run():
        if report.step == 7:
            half.stop()
    half.reconstruction().save(tmp_path / "half.stinr")
    loaded = load_reconstruction(tmp_path / "half.stinr")
    assert {"gains.values.logarithm", "gains.moments.logarithm.exp_avg"} <= loaded.training_state.keys()
    resumed = Trainer.resume(loaded, dimmed(), device="cpu", threads=1)
    assert [report.loss for report in resumed.run()] == [report.loss for report in reports[7:]]
    learnt = [trainer._volume.objective.modules["gains"].logarithm.detach() for trainer in (whole, resumed)]
    torch.testing.assert_close(*learnt, rtol=0, atol=0)
    assert float(learnt[0].abs().max()) > 0.01


def test_a_run_without_that_module_is_not_resumed_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    config = VOXELWISE_GROWTH.with_training(steps=3)
    trainer = Trainer(series_of(), config, device="cpu", threads=1)
    list(trainer.run())
    monkeypatch.setattr("napari_stinr.training.trainer.build_objective", GainObjective)
    with pytest.raises(StinrError, match="no values of 'gains'"):
        Trainer.resume(trainer.reconstruction(), series_of(), device="cpu", threads=1)


def test_names_in_the_state_of_a_training_stay_those_of_old_runs() -> None:
    config = VOXELWISE_GROWTH.with_training(steps=2)
    trainer = Trainer(series_of(), config, device="cpu", threads=1)
    list(trainer.run())
    run = trainer.reconstruction()
    moments = {
        f"moments.{name}.{kind}"
        for name, _ in run.field.named_parameters()
        for kind in ("exp_avg", "exp_avg_sq", "step")
    }
    assert moments == {name for name in run.training_state if name.startswith("moments.")}
    assert run.training_state.keys() - moments == {"generator", "seconds", "batches.rows", "batches.tilts"}
    assert {"density.scale", "density.grids.0.values", "arrival.1.values", "width"} <= run.field.state_dict().keys()


@pytest.mark.parametrize("kind", ["growth", "static"])
def test_a_network_in_bfloat16_leaves_the_field_in_float32(kind: str) -> None:
    text = f"preset: {kind}\nfield: {{features: 2, hidden: 8}}\ntraining: {{precision: bfloat16, steps: 24, margin: 0}}"
    trainer = Trainer(series_of(), ReconstructionConfig.from_yaml(text), device="cpu", threads=1)
    reports = [report for report in trainer.run() if report.stage == VOLUME]
    assert reports[-1].loss < reports[0].loss
    lattice = [torch.linspace(-3, 3, 5, dtype=torch.float64) for _ in range(3)]
    trainer.field.eval()
    with torch.autocast("cpu", torch.bfloat16):
        (part,) = trainer.field.slices(*lattice, 0.0)
    assert part.density.dtype == torch.float32
    assert part.arrival is None or part.arrival.dtype == torch.float32
    if part.arrival is not None:  # and it was not rounded on the way
        torch.testing.assert_close(part.arrival, trainer.field.slices(*lattice, 0.0)[0].arrival, rtol=0, atol=0)
