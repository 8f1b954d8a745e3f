"""Load thousands of damaged and forged run files: each is refused with a reason, or gives back exactly what was saved.

    python tools/fuzz_runs.py --inputs 2000 --seed 0

Prints how many of each kind were refused and loaded; the exit status is 1 if one gave another error, other values,
took longer than 2 s or more than 300 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_SECONDS = 2.0
MOST_BYTES = 300_000_000
HUGE = (2**31, 10**9, 10**18, 10**400, 1e308, float("inf"), float("nan"), -1, 0, True, None, "8", [], {})


def whole_file(folder: Path, preset: str) -> bytes:
    """Return the file of a small run that can be resumed."""
    random_numbers = np.random.default_rng(0)
    angles = np.linspace(0, 170, 9)
    series = TiltSeries(random_numbers.random((9, 4, 9), dtype=np.float32), angles, np.arange(9.0), pixel_size=1.0)
    trainer = Trainer(series, preset_config(preset), device="cpu", threads=1)
    list(trainer.run(steps=2))
    trainer.reconstruction().save(folder / "whole.stinr")
    return (folder / "whole.stinr").read_bytes()


def inputs(wholes: list[bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the kind and the content of `count` damaged or forged files."""
    makers = {
        "flipped bit": _flipped_bit,
        "flipped bit in the header": _flipped_bit_in_header,
        "overwritten bytes": _overwritten,
        "truncated": lambda whole, luck: whole[: luck.randrange(len(whole))],
        "lengthened": lambda whole, luck: whole + luck.randbytes(luck.randrange(1, 100)),
        "forged settings": _forged_settings,
        "forged header": _forged_header,
        "version 1, forged": _forged_version_1,
        "noise": lambda whole, luck: luck.randbytes(luck.randrange(200)),
    }
    luck = random.Random(seed)
    for k in range(count):
        kind = list(makers)[k % len(makers)]
        yield kind, makers[kind](luck.choice(wholes), luck)


def parts(whole: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the data of a safetensors file."""
    length = int.from_bytes(whole[:8], "little")
    return json.loads(whole[8 : 8 + length]), whole[8 + length :]


def joined(header: dict[str, Any], data: bytes) -> bytes:
    """Return a safetensors file."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _flipped_bit(whole: bytes, luck: random.Random, end: int | None = None) -> bytes:
    content = bytearray(whole)
    content[luck.randrange(end or len(content))] ^= 1 << luck.randrange(8)
    return bytes(content)


def _flipped_bit_in_header(whole: bytes, luck: random.Random) -> bytes:
    return _flipped_bit(whole, luck, 8 + int.from_bytes(whole[:8], "little"))


def _overwritten(whole: bytes, luck: random.Random) -> bytes:
    start, length = luck.randrange(len(whole)), luck.randrange(1, 4096)
    content = bytes(length) if luck.random() < 0.5 else luck.randbytes(length)
    return (whole[:start] + content + whole[start + length :])[: len(whole)]


def _forged_settings(whole: bytes, luck: random.Random) -> bytes:
    header, data = parts(whole)
    texts = header["__metadata__"]
    name = luck.choice(("config", "grid", "time", "provenance"))
    values = json.loads(texts[name])
    place = values
    while True:
        key = luck.choice(list(place))
        if not isinstance(place[key], dict) or luck.random() < 0.2:
            break
        place = place[key]
    place[key] = luck.choice((*HUGE, [1e-9] * 5000, [4.0, 0.0], "x" * 1000))
    texts[name] = json.dumps(values)
    if luck.random() < 0.5:
        texts["version"] = "1"
        texts.pop("checksum", None)
    return joined(header, data)


def _forged_header(whole: bytes, luck: random.Random) -> bytes:
    header, data = parts(whole)
    name = luck.choice(list(header))
    action = luck.randrange(5)
    if action == 0:
        del header[name]
    elif action == 1:
        header[name] = luck.choice(HUGE)
    elif action == 2:
        header["__metadata__"][luck.choice(list(header["__metadata__"]))] = luck.choice(
            ("", "9", "null", "[]", "{}", "[" * 100_000, '{"a":' * 100_000, "9" * 5000, "x" * 2**21)
        )
    elif action == 3:
        entry = header[luck.choice([name for name in header if name != "__metadata__"])]
        entry[luck.choice(list(entry))] = luck.choice((*HUGE, [2**40, 2**40], [0, 2**63], "F64", "BF16", "U8", "X"))
    else:
        header |= {f"training.more{k}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for k in range(1000)}
    return joined(header, data)


def _forged_version_1(whole: bytes, luck: random.Random) -> bytes:
    header, data = parts(whole)
    header["__metadata__"]["version"] = "1"
    header["__metadata__"].pop("checksum")
    return _forged_header(joined(header, data), luck)


def fields_of(content: bytes, path: Path) -> list[bytes]:
    """Return the volumes that a run gives at three times."""
    path.write_bytes(content)
    run = load_reconstruction(path)
    return [run.render(t).tobytes() for t in (0.0, 0.5, 1.0)]


def main() -> int:
    """Run, print the counts and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    refused, loaded, faults = Counter[str](), Counter[str](), []
    slowest = 0.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        wholes = [whole_file(folder, preset) for preset in ("growth", "static", "paper")]
        right = [fields_of(whole, folder / "whole.stinr") for whole in wholes]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number, (kind, content) in enumerate(inputs(wholes, options.inputs, options.seed)):
            path = folder / "forged.stinr"
            path.write_bytes(content)
            start = time.perf_counter()
            try:
                load_reconstruction(path)
                loaded[kind] += 1
                is_checked = not kind.startswith(("forged", "version 1"))
                if is_checked and fields_of(content, path) not in right:
                    faults.append(f"{number} ({kind}): loaded with other values")
            except StinrError as error:
                refused[kind] += 1
                if str(path) not in str(error) or "\n" in str(error):
                    faults.append(f"{number} ({kind}): {error}")
            except Exception as error:
                faults.append(f"{number} ({kind}): {type(error).__name__}: {error}")
            seconds = time.perf_counter() - start
            slowest = max(slowest, seconds)
            if seconds > MOST_SECONDS:
                faults.append(f"{number} ({kind}): {seconds:.1f} s")
        # Kilobytes on Linux.
        memory = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if memory > MOST_BYTES:
        faults.append(f"{memory / 1e6:.0f} MB of memory")
    for kind in sorted(refused | loaded):
        print(f"{kind:<28}{refused[kind]:>6} refused{loaded[kind]:>6} loaded")
    print(f"{options.inputs} inputs, {len(faults)} faults, slowest {slowest:.3f} s, {memory / 1e6:.0f} MB more memory")
    print("\n".join(faults[:20]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
