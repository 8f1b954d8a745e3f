"""Train a few steps: in this process, or as a script that torchrun starts, which writes the losses to stdout."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.series_cases import growing_series
from napari_stinr import ReconstructionConfig, preset_config, read_tilt_series
from napari_stinr.data.preprocessing.prepare import prepare
from napari_stinr.training.distributed.place import launched
from napari_stinr.training.distributed.ranks import Ranks, follow, leading
from napari_stinr.training.trainer import Trainer

CONFIG = preset_config("static").with_training(voxels_per_step=7000, blocks_per_step=2, held_out=3)
SERIES = growing_series(n_tilts=25, width=21, height=34)


def losses_alone() -> list[tuple[float, float]]:
    """Losses of one process."""
    return losses_of(Trainer(SERIES, CONFIG, device="cpu", threads=1))


def losses_of(trainer: Trainer) -> list[tuple[float, float]]:
    """Losses, also of projections that are held out, of the steps that look at these."""
    reports = [report for report in trainer.run(steps=30) if report.held_out_loss == report.held_out_loss]
    return [(report.loss, report.held_out_loss) for report in reports]


def train_on_files(ranks: Ranks) -> None:
    """Do what ``settings.yaml`` says of the series beside it, with the volume on files, and save it."""
    config = ReconstructionConfig.from_yaml(Path("settings.yaml").read_text(encoding="utf-8"))
    series = prepare(read_tilt_series("s.mrc"), config.preprocessing)
    trainer = ranks.begin(series, config, threads=1, files=Path())
    list(trainer.run())
    trainer.reconstruction().save("run.stinr")


def main() -> None:
    """Lead or follow."""
    place = launched()
    assert place is not None
    if not place.leads:
        follow(place, device="cpu", threads=1)
        return
    with leading(place, Path("run.stinr"), device="cpu") as ranks:
        if sys.argv[1:] == ["files"]:
            train_on_files(ranks)
            return
        for loss, held_out in losses_of(ranks.begin(SERIES, CONFIG, threads=1)):
            sys.stdout.write(f"{loss!r} {held_out!r}\n")


if __name__ == "__main__":
    main()
