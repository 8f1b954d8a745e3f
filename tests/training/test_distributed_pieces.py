"""How rows are shared out, and the parts of a step: what several processes rest on, in one process."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.series_cases import growing_series
from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.data.geometry import BandGrid, VoxelGrid
from napari_stinr.errors import StinrError
from napari_stinr.fields import build_field
from napari_stinr.reconstruction.run_file import InParts, RunFile, read_run, write_run
from napari_stinr.training.batching import Bag, EvenBag
from napari_stinr.training.distributed.place import Place, check_rows, config_for, launched
from napari_stinr.training.distributed.shared_source import BandMeasurements
from napari_stinr.training.fit import Fit
from napari_stinr.training.held_out import HeldOut
from napari_stinr.training.pieces import PiecewiseBlocks
from napari_stinr.training.source import Source

SIZES = pytest.mark.parametrize(
    ("n", "size"), [(256, 32), (250, 32), (9, 4), (40, 32), (7, 2), (100, 48), (17, 16), (5, 1)]
)


@SIZES
def test_every_row_is_drawn_once_a_round_and_evenly_from_the_height(n: int, size: int) -> None:
    bag, plain, generator = EvenBag(n, size), Bag(n, size), torch.Generator().manual_seed(3)
    for _ in range(3):
        draws = [bag.draw(generator) for _ in range(bag.n_draws)]
        assert torch.equal(torch.cat(draws).sort().values, torch.arange(n))
        assert [len(draw) for draw in draws] == [len(plain.draw(generator)) for _ in range(plain.n_draws)]
        for n_ranks in (1, 2, 3, 5):
            bands = bag.stretches(n_ranks)
            most = [max(int(((draw >= band.start) & (draw < band.stop)).sum()) for draw in draws) for band in bands]
            assert max(most) <= -(-len(bag.ends) // n_ranks)


@SIZES
def test_bands_are_all_rows_in_order(n: int, size: int) -> None:
    bag = EvenBag(n, size)
    for n_ranks in range(1, 9):
        bands = bag.stretches(n_ranks)
        assert [row for band in bands for row in band] == list(range(n))
        assert [row for band in bag.stretches(3, within=bands[0]) for row in band] == list(bands[0])


def test_draws_are_in_another_order_with_every_round_and_gone_on_with() -> None:
    bag, generator = EvenBag(24, 8), torch.Generator().manual_seed(0)
    first, second = ([bag.draw(generator) for _ in range(3)] for _ in range(2))
    assert not all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    state, place = bag.state, generator.get_state()
    after = [bag.draw(generator) for _ in range(5)]
    other, again = EvenBag(24, 8), torch.Generator()
    other.state = state
    again.set_state(place)
    assert all(torch.equal(one, other.draw(again)) for one in after)


@pytest.mark.parametrize("preset", ["static", "growth"])
@pytest.mark.parametrize("rows", [range(0, 7), range(7, 12), range(12, 13)])
def test_band_of_a_field_is_that_of_the_whole(preset: str, rows: range) -> None:
    config, grid = preset_config(preset), VoxelGrid(31, 13, 31, voxel_size=0.5)
    whole, band = (build_field(config, some, scale=2.0) for some in (grid, BandGrid.of(grid, rows)))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for mine, all_of_it in zip(band.state_dict().values(), whole.state_dict().values(), strict=True):
            if all_of_it.ndim == 4 or all_of_it.dtype == torch.uint8:
                random = torch.rand(all_of_it.shape, generator=generator) * 3
                all_of_it.copy_(random.to(all_of_it))
                same = mine.shape == all_of_it.shape
                mine.copy_(all_of_it if same else all_of_it[rows.start : rows.stop])
    z, y, x = (torch.from_numpy(grid.axis_positions(axis)) for axis in range(3))
    here = y[rows.start : rows.stop]
    for t in (0.0, 0.6):
        torch.testing.assert_close(band.potential(z, here, x, t), whole.potential(z, here, x, t), rtol=0, atol=0)
    point = torch.tensor([0.3, float(here[0]), -1.1])
    torch.testing.assert_close(band(point, torch.tensor(0.4)), whole(point, torch.tensor(0.4)))
    elsewhere = y[-1:] if rows.stop < 13 else y[:1]
    with pytest.raises(ValueError, match="another process"):
        band.potential(z, elsewhere, x, 0.0)
    with pytest.raises(ValueError, match="another process"):
        band(torch.tensor([0.3, float(elsewhere), -1.1]), torch.tensor(0.4))


def test_losses_of_bands_add_up_to_that_of_one_process() -> None:
    series = growing_series(n_tilts=15, width=17, height=20)
    config = preset_config("static").with_training(voxels_per_step=5000, blocks_per_step=2, held_out=3)
    source = Source.of(series, config, device=torch.device("cpu"))

    def losses(grid: VoxelGrid) -> tuple[float, float]:
        field, data, rows = build_field(config, grid, scale=1.0), source.measurements, grid.held
        measured = data.measured[:, rows.start : rows.stop]
        local = BandMeasurements(
            data.tilts,
            measured,
            None,
            data.times,
            data.contrast,
            data.mean_absolute,
            power=data.power,
            signal_fraction=data.signal_fraction,
        )
        held_out = HeldOut.of(series, source.held_tilts)
        blocks = PiecewiseBlocks(Fit(local, source.views, grid, config.training, blur=field.blur, held_out=held_out))
        pieces = blocks.pieces(torch.Generator().manual_seed(0))
        return sum(float(blocks.loss_of(field, piece)[0].detach()) for piece in pieces), blocks.held_out_loss(field)

    bands = EvenBag(20, 40).stretches(3)
    parts = [losses(BandGrid.of(source.grid, rows)) for rows in bands]
    np.testing.assert_allclose(np.sum(parts, axis=0), losses(source.grid), rtol=1e-6)


def test_steps_of_several_blocks_are_fewer_and_find_the_same(tmp_path) -> None:
    series = growing_series(n_tilts=31, width=25, height=36)
    config = preset_config("static").with_training(visits=60, voxels_per_step=16 * 25 * 25)
    found = []
    for blocks in (1, 2):
        trainer = Trainer(series, config.with_training(blocks_per_step=blocks), device="cpu", threads=1)
        reports = list(trainer.run())
        found.append((len(reports), reports[-1].loss))
        trainer.reconstruction().save(tmp_path / f"{blocks}.stinr")
    assert [n for n, _ in found] == [120, 60]
    assert found[1][1] < 2 * found[0][1]
    assert load_reconstruction(tmp_path / "2.stinr").config.training.blocks_per_step == 2


def test_file_written_in_parts_is_the_same_file(tmp_path) -> None:
    header = {"grid": "{}"}
    large, small = torch.randn(9, 2, 3), torch.arange(5)
    write_run(tmp_path / "whole", RunFile(header, {"a.large": large, "small": small}))
    parts = InParts((9, 2, 3), torch.float32, lambda: iter(large.reshape(-1).split(7)))
    write_run(tmp_path / "parts", RunFile(header, {"small": small}, {"a.large": parts}))
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    found = read_run(tmp_path / "parts", lambda header, shapes: None)
    assert torch.equal(found.tensors["a.large"], large)


def test_place_is_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert launched() is None
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "here"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert launched() == Place(5, 8, 1, 4)
    monkeypatch.setenv("RANK", "8")
    with pytest.raises(StinrError, match="what torchrun sets"):
        launched()
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    assert launched() is None


def test_new_run_has_a_block_for_each_process_and_keeps_what_it_was_told() -> None:
    place = Place(0, 3, 0, 3)
    assert config_for(preset_config("growth"), place).training.blocks_per_step == 3
    asked = preset_config("growth").with_training(blocks_per_step=2)
    assert config_for(asked, place) == asked
    with pytest.raises(StinrError, match="without a network"):
        config_for(preset_config("paper"), place)
    with pytest.raises(StinrError, match="at most 2 processes"):
        check_rows(2, 2, place)
