"""The matrix of the benchmarks: what is drawn, what is run again, what is quoted. Nothing is trained here."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from helpers.benchmark_scripts import load_scripts
from helpers.places import ROOT
from napari_stinr import SimulationConfig
from napari_stinr.errors import StinrError

ABOUT = {
    "program": "p",
    "commit": "c0ffee0000",
    "dirty": False,
    "device": "cpu",
    "threads": 1,
    "machine": {"cores": 2, "processor": "a processor", "torch": "2"},
}


SCRIPTS = {
    "common": "benchmarks",
    "matrix_cases": "benchmarks",
    "matrix_table": "benchmarks",
    "matrix": "benchmarks",
    "fill_readme": "tools",
}


_, cases, table, matrix, fill_readme = load_scripts(SCRIPTS)


def line(case: Any, number: int = 0, *, program: str = "p", **scores: float) -> dict[str, Any]:
    """One finished run by hand: F1 and NRMSE of the never-contaminated series are 0.9 and 0.2."""
    values = {"removed": 0.9, "nrmse": 0.2, "specimen_kept": 1.0, "f1": 0.9, "scale": 1.0, "seconds": 1.0} | scores
    job = cases.draw_job(case, number)
    found = {
        "removed": values.pop("removed"),
        "growth": values,
        "uncontaminated": {"nrmse": 0.2, "f1": 0.9},
        "static": {},
    }
    return {**matrix.record_of(job, {**ABOUT, "program": program}), "scores": found}


def cell(**factors: str) -> Any:
    chosen = {"specimen": "particle", "tilts": "61 over 180", "order": "sequential", "growth": "side"} | factors
    return cases.Case(**chosen)


def test_every_combination_is_there_once():
    product = [
        ("nanotube", "particle", "glass"),
        ("181 over 180", "61 over 180", "61 over 120", "41 over 120, 3 % noise"),
        ("sequential", "interleaved", "dose-symmetric"),
        ("side", "all round"),
    ]
    found = [(case.specimen, case.tilts, case.order, case.growth) for case in cases.CASES if case.is_in_product]
    assert len(found) == 72
    assert set(found) == set(itertools.product(*product))
    assert len(set(cases.CASES)) == len(cases.CASES)
    assert len({case.name for case in cases.CASES}) == len(cases.CASES)


def test_every_row_holds_all_specimens_that_it_does_not_rule_out():
    for row in cases.ROWS:
        held = {case.specimen for case in cases.CASES if row.holds(case)}
        assert held == ({row.specimen} if row.specimen else set(cases.SPECIMENS)), row.title
    assert sum(row.kind == "burst" for row in cases.ROWS) == 1


@pytest.mark.parametrize(
    ("tilts", "n_tilts", "degrees", "noise"),
    [
        ("181 over 180", 181, 180, 0),
        ("61 over 180", 61, 180, 0),
        ("61 over 120", 61, 120, 0),
        ("41 over 120, 3 % noise", 41, 120, 0.03),
        ("61 over 120, 3 % noise", 61, 120, 0.03),
    ],
)
def test_the_series_are_what_their_names_say(tilts, n_tilts, degrees, noise):
    for case in (case for case in cases.CASES if case.tilts == tilts):
        config = SimulationConfig(**cases.draw_job(case, 0).settings)
        angles = config.checked_tilts()
        assert len(angles) == n_tilts
        assert np.ptp(angles) == pytest.approx(degrees)
        assert config.noise == noise
        assert (config.specimen, config.order, config.pace == "burst") == (
            case.specimen,
            case.order,
            case.kind == "burst",
        )
        # Three orders, not two: what starts in the middle goes to both sides.
        assert abs(angles[np.argmin(config.times)]) < 1 or case.order != "dose-symmetric"
        assert np.all(np.diff(config.times) > 0) == (case.order == "sequential")


@pytest.mark.parametrize(("size", "widths"), [("full", (39, 44.5)), ("small", (28, 31.5))])
def test_what_is_drawn_is_in_range(size, widths):
    drawn = [job.settings for job in cases.draw_jobs(size=size)]
    assert len(drawn) == 3 * len(cases.CASES)
    assert {settings["pixel_size"] for settings in drawn} == {0.35, 0.4, 0.45, 0.5, 0.55, 0.6}
    for settings in drawn:
        depth, height, width = (n_voxels * settings["pixel_size"] for n_voxels in settings["grid"])
        assert depth == width
        assert widths[0] <= width <= widths[1]
        assert 12 <= height <= 20.6
        assert 1.45 <= settings["minimum_distance"] <= 2.0
        assert 1.6 <= settings["gap"] <= 3.0
    assert len({settings["seed"] for settings in drawn}) == len(drawn)


def test_the_same_seed_draws_the_same_and_another_one_other_cases():
    first, again, other = (cases.draw_jobs(base_seed=seed) for seed in (11, 11, 12))
    assert first == again
    for one, two in zip(first, other, strict=True):
        assert one.case == two.case
        assert one.settings["seed"] != two.settings["seed"]
    assert np.mean([one.settings["grid"] != two.settings["grid"] for one, two in zip(first, other, strict=True)]) > 0.8
    # More seeds add to a matrix: what has been run stays part of it.
    assert cases.draw_jobs(base_seed=11, n_seeds=4)[: len(first)] == first


def test_only_and_part_choose_cases():
    held = cases.draw_jobs(only=("181 tilts, side", "glass"), n_seeds=1)
    assert [job.case for job in held] == [
        cell(specimen="glass", tilts="181 over 180", order=order) for order in cases.ORDERS
    ]
    jobs = cases.draw_jobs()
    parts = [matrix.part_of(jobs, f"{k}/4") for k in (1, 2, 3, 4)]
    assert sorted(map(repr, itertools.chain(*parts))) == sorted(map(repr, jobs))
    for wrong in ("0/2", "3/2", "1", "a/b"):
        with pytest.raises(StinrError, match="K/N"):
            matrix.part_of(jobs, wrong)


def test_median_and_worst_of_hand_made_lines():
    case = cell()
    row = table.aggregate(
        [
            line(case, 0, removed=0.99, nrmse=0.20, specimen_kept=1.02, f1=0.90, scale=1.01),
            line(case, 1, removed=0.80, nrmse=0.30, specimen_kept=0.95, f1=0.70, scale=0.90),
            line(case, 2, removed=0.97, nrmse=0.22, specimen_kept=0.99, f1=0.89, scale=1.05),
        ]
    )
    expected = {
        "removed": (0.97, 0.80),
        "nrmse_ratio": (1.1, 1.5),
        "kept": (0.99, 0.95),
        "f1_lost": (0.01, 0.2),
        "scale": (1.01, 0.90),
    }
    for name, (median, worst) in expected.items():
        assert row[name]["median"] == pytest.approx(median), name
        assert row[name]["worst"] == pytest.approx(worst), name
    assert (row["runs"], row["failed"]) == (3, 0)
    assert "invented" not in row


def test_what_failed_is_counted_and_not_averaged():
    failed = {key: value for key, value in line(cell(), 1).items() if key != "scores"} | {"failed": "diverged"}
    row = table.aggregate([line(cell(), 0, removed=0.9), failed])
    assert (row["runs"], row["failed"], row["removed"]["n"]) == (2, 1, 1)
    assert "| 2, 1 failed |" in table.markdown("case", {"x": row})


def test_rows_and_factors_take_their_own_lines():
    noisy = cases.Case("glass", "61 over 120, 3 % noise", "interleaved", "side")
    nothing = cases.Case("glass", "181 over 180", "sequential", "side", "nothing grows")
    records = [
        line(cell(growth="side"), removed=0.9),
        line(cell(growth="all round", order="interleaved"), removed=0.7),
        line(noisy, removed=0.5),
        line(nothing, removed=None, invented=0.004),
    ]
    found = table.tabulate(records)
    rows, factors = found["rows"], found["factors"]
    assert rows["61 tilts over 180"]["removed"] == {"median": pytest.approx(0.8), "worst": 0.7, "n": 2}
    assert rows["61 over 120, interleaved, 3 % noise"]["removed"]["worst"] == 0.5
    assert rows["nothing grows"]["invented"]["worst"] == 0.004
    assert "removed" not in rows["nothing grows"]
    # Beside the matrix: in its own row, and in no factor, which would no longer be balanced.
    assert factors["all"]["runs"] == 2
    assert factors["growth: side"]["removed"]["worst"] == 0.9
    assert factors["specimen: glass"]["runs"] == 0
    text = table.quality_table(found)
    assert "| 61 tilts over 180 | 2 | 80.0 % / 70.0 % |" in text
    assert "0.40 % / 0.40 %" in text
    assert "181 tilts, side" not in text
    for told in (
        "runs: 4",
        f"4 of {len(cases.CASES)} cases",
        "seeds for each: 1",
        f"base seed {cases.BASE_SEED}",
        "c0ffee000;",
    ):
        assert told in text


def test_what_is_there_is_not_run_again(tmp_path):
    path = tmp_path / "matrix.jsonl"
    jobs = cases.draw_jobs(n_seeds=1)[:4]
    ran: list[Any] = []

    def score(job, **_):
        ran.append(job)
        return line(job.case)["scores"]

    assert matrix.run_jobs(jobs[:2], path, score=score) == 2
    assert matrix.run_jobs(jobs, path, score=score) == 2
    assert ran == jobs
    # A process that was killed while it wrote leaves half a line: that job again, and no other line is lost.
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:-40], encoding="utf-8")
    assert matrix.run_jobs(jobs, path, score=score) == 1
    assert ran[-1] == jobs[3]
    assert matrix.run_jobs(jobs, path, score=score) == 0
    assert [record["case"] for record in matrix.read_records(path)] == [job.case.name for job in jobs]


def test_another_program_and_what_failed_are_run_again(tmp_path, monkeypatch):
    path = tmp_path / "matrix.jsonl"
    jobs = cases.draw_jobs(n_seeds=1)[:1]

    def fails(job, **_):
        raise StinrError("it diverged", expected="not so", cure="Mend it.")

    def score(job, **_):
        return line(job.case)["scores"]

    assert matrix.run_jobs(jobs, path, score=fails) == 1
    assert matrix.run_jobs(jobs, path, score=score) == 1
    monkeypatch.setattr(matrix, "program_fingerprint", lambda: "another")
    assert matrix.run_jobs(jobs, path, score=score) == 1
    records = matrix.read_records(path)
    assert ["failed" in record for record in records] == [True, False, False]
    # The tables hold the newest program only, every run once.
    drawn = {"base_seed": cases.BASE_SEED, "size": "full"}
    assert table.chosen_records(records, **drawn) == records[2:]
    assert table.chosen_records(records[:2], **drawn) == records[1:2]
    assert table.chosen_records(records, base_seed=5, size="full") == []


def test_nothing_grows_is_not_taken_for_steady_growth_of_the_same_settings():
    case = cell()
    about = {**asdict(case), "kind": "nothing grows"}
    other = line(case) | {"factors": about}
    assert table.identity(line(case)) != table.identity(other)


def test_results_go_into_readme_and_guide_and_old_ones_stay_without(tmp_path):
    (tmp_path / "docs").mkdir()
    for page in fill_readme.PAGES:
        shutil.copy(ROOT / page, tmp_path / page)
    fill_readme.main(tmp_path)
    for page in fill_readme.PAGES:
        assert (tmp_path / page).read_text(encoding="utf-8") == (ROOT / page).read_text(encoding="utf-8")
    results = tmp_path / fill_readme.SOURCES["matrix"]
    results.parent.mkdir(parents=True)
    results.write_text("the new table\n", encoding="utf-8")
    fill_readme.main(tmp_path)
    for page in fill_readme.PAGES:
        text = (tmp_path / page).read_text(encoding="utf-8")
        assert "<!-- matrix -->\nthe new table\n<!-- end of matrix -->" in text
    with pytest.raises(ValueError, match="2 parts"):
        fill_readme.fill("<!-- a -->\n<!-- end of a -->\n" * 2, "a", "b")


def test_lines_are_json_with_all_that_decides_a_run(tmp_path):
    path = tmp_path / "matrix.jsonl"
    (job,) = cases.draw_jobs(n_seeds=1)[:1]
    matrix.run_jobs([job], path, score=lambda job, **_: line(job.case)["scores"])
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["settings"] == job.settings
    assert SimulationConfig(**record["settings"]).seed == job.settings["seed"]
    assert {"commit", "dirty", "program", "machine", "threads", "device", "seconds", "base_seed"} <= set(record)
