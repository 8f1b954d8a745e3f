"""Neural or not: which cases are drawn, how equal the time is, and what is quoted. Nothing is trained here."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import torch

from helpers.benchmark_scripts import load_scripts
from napari_stinr import preset_config
from napari_stinr.config import StaticFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields.static import Density

SCRIPTS = ("common", "matrix_cases", "matrix_table", "matrix", "neural_table", "neural")
_, cases, _, _, table, neural = load_scripts(dict.fromkeys(SCRIPTS, "benchmarks"))


class Recorded:
    """A fit that only tells how much of it is over at each step."""

    def __init__(self) -> None:
        self.fractions: list[float] = []

    def advance(self, generator: torch.Generator, *, fraction: float, **_: int) -> None:
        self.fractions.append(fraction)


def line(case: Any, **nrmse: float) -> dict[str, Any]:
    """One finished run by hand: NRMSE of each density, at both lengths."""
    fits = {
        f"{name}, {length}": {"nrmse": value, "removed": 0.5, "f1": 0.9, "specimen_kept": 1.0, "scale": 1.0}
        for name, value in nrmse.items()
        for length in neural.LENGTHS
    }
    known = {
        "case": case.name,
        "factors": vars(case),
        "size": "small",
        "base_seed": 1,
        "commit": "c0ffee0000",
        "dirty": False,
    }
    scores = {"uncontaminated": {"nrmse": 0.1, "f1": 1.0}, "growth": {}, "removed": 1.0, "fits": fits}
    machine = {"processor": "a processor", "torch": "2"}
    made = {"program": "p", "commit": "c0ffee0000", "dirty": False, "machine": machine}
    return {**known, **made, "scores": scores}


def cell(**factors: str) -> Any:
    return cases.Case(**{"specimen": "glass", "tilts": cases.NOISY, "order": "sequential", "growth": "side"} | factors)


def test_every_row_has_every_specimen_once_for_a_seed() -> None:
    jobs = neural.spread_jobs(n_seeds=2)
    assert len({(job.case, job.seed_number) for job in jobs}) == len(jobs)
    for row in (row for row in cases.ROWS if row.kind == cases.STEADY):
        held = [(job.case.specimen, job.seed_number) for job in jobs if row.holds(job.case)]
        specimens = cases.SPECIMENS if row.specimen is None else (row.specimen,)
        assert sorted(held) == sorted((specimen, seed) for specimen in specimens for seed in (0, 1)), row.title
    # What is run first is of all kinds.
    assert {job.case.specimen for job in jobs[:6]} == set(cases.SPECIMENS)
    assert len({job.case.tilts for job in jobs[:6]}) == 4
    noisy = neural.spread_jobs(n_seeds=1, only=("3 % noise", "interleaved"))
    assert {(job.case.tilts, job.case.order) for job in noisy} == {(cases.NOISY, "interleaved")}


def test_a_fit_ends_after_its_steps_or_its_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr(neural.time, "process_time", lambda: 0.5 * next(ticks))
    by_steps, by_time = Recorded(), Recorded()
    assert neural._advance(by_steps, 0, steps=4)["steps"] == 4
    assert by_steps.fractions == [0, 0.25, 0.5, 0.75]
    assert neural._advance(by_time, 0, cpu_seconds=2.0) == {"steps": 3, "seconds": 2.0}
    assert by_time.fractions == [0.25, 0.5, 0.75]


def test_candidates_keep_the_quality_but_for_their_rate() -> None:
    for length in neural.LENGTHS:
        grids, network = preset_config("growth").with_quality(length), neural.CANDIDATES["network"].config(length)
        assert network.field.has_network
        assert network.field.seeks_surface
        assert network.training.density_rate == pytest.approx(grids.training.density_rate / 2)
        assert network.with_training(density_rate=grids.training.density_rate).training == grids.training
        assert neural.CANDIDATES["squared"].config(length) == grids


def test_squared_density_is_the_square_on_a_lattice_and_at_points() -> None:
    grid, config = VoxelGrid(12, 4, 12, voxel_size=0.5), StaticFieldConfig(coarsest_nodes=6, band_limit=False)
    plain, squared = Density(grid, config, scale=3.0), neural.SquaredDensity(grid, config, scale=3.0)
    for level in plain.grids:
        torch.nn.init.normal_(level.values, generator=torch.Generator().manual_seed(0))
    squared.load_state_dict(plain.state_dict())
    z, y, x = (torch.from_numpy(grid.axis_positions(axis)) for axis in range(3))
    torch.testing.assert_close(squared.on_lattice(z, y, x) / 3, (plain.on_lattice(z, y, x) / 3) ** 2)
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) * 4 - 2
    torch.testing.assert_close(squared.at(points) / 3, (plain.at(points) / 3) ** 2)


def test_candidates_are_compared_with_grids_of_the_same_case() -> None:
    records = [
        line(cell(), grids=0.2, network=0.1, squared=0.2),
        line(cell(specimen="particle"), grids=0.4, network=0.6, squared=0.2),
        line(cell(tilts="181 over 180"), grids=0.1, network=0.3, squared=0.1),
    ]
    failed = {name: value for name, value in records[0].items() if name != "scores"} | {"failed": "it diverged"}
    measured = table.tabulate([*records, failed], ["network", "squared"])
    found = measured["compared"]["61 over 120, sequential, 3 % noise"]["network, High"]
    assert (found["best"], found["median"], found["worst"]) == pytest.approx((0.5, 1.0, 1.5))
    assert found["n"] == 2
    assert measured["compared"]["all"]["squared, Standard"]["best"] == pytest.approx(0.5)
    # Rows without runs are left out, and a training that failed is told of.
    assert "61 tilts over 180" not in measured["compared"]
    assert measured["failed"] == 1
    assert "| all | 3 |" in table.table(measured)
    assert measured["scores"]["181 tilts, side: network, High"]["nrmse_ratio"]["worst"] == pytest.approx(3)
    assert "| all: grids, High | 4, 1 failed |" in table.scores_table(measured)
