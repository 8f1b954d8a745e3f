"""Train a few steps of `growth` and print what came out: first without kernels in the cache, then with them."""

from __future__ import annotations

import hashlib

import numpy as np

from helpers.series_cases import growing_series
from napari_stinr import Trainer, preset_config


def main() -> None:
    """Print a digest of the volume."""
    trainer = Trainer(growing_series(n_tilts=31, width=29, height=34), preset_config("growth"), device="cpu", threads=1)
    for _ in trainer.run(steps=40):
        pass
    volume = np.ascontiguousarray(trainer.reconstruction().render(0.0))
    print(hashlib.blake2b(volume.tobytes(), digest_size=8).hexdigest())


if __name__ == "__main__":
    main()
