"""The header of a file is parsed once while a series is opened, by whatever way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile

from helpers.places import SHARED_DATA
from napari_stinr.cli.describe import describe_files
from napari_stinr.io import write_tilt_angles, write_tilt_series
from napari_stinr.io.formats.registry import READERS
from napari_stinr.io.series.sources import find_sources
from napari_stinr.plugin.hooks.readers import CLAIMED, get_reader
from napari_stinr.plugin.session.dropped import Dropped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STACK = np.random.default_rng(0).random((5, 6, 8), dtype=np.float32)
ANGLES = np.arange(5.0)


def write(path: Path) -> list[Path]:
    """Write a series in a format, and return the files to be given."""
    ending = path.suffix
    if ending in (".mrc", ".st"):
        write_tilt_series(path, STACK, pixel_size=0.5)
    elif ending == ".tif":
        tifffile.imwrite(path, STACK, photometric="minisblack")
    elif ending == ".mat":
        scipy.io.savemat(path, {"projections": STACK.transpose(1, 2, 0)})
    elif ending == ".npy":
        np.save(path, STACK)
    elif ending == ".npz":
        np.savez(path, projections=STACK)
    elif ending == ".nxs":
        with h5py.File(path, "w") as file:
            file["exchange/data"] = STACK
    else:
        path = SHARED_DATA / "etspy" / "HAADF.dm3"
    if ending != ".dm3":
        write_tilt_angles(path.with_suffix(".rawtlt"), ANGLES)
    return [path]


def write_many(folder: Path) -> list[Path]:
    """Write one file for every tilt, each with its `.mdoc`, and a list."""
    paths = []
    for number, image in enumerate(STACK):
        paths.append(folder / f"t_{number}.mrc")
        write_tilt_series(paths[-1], image[None], pixel_size=0.5)
        paths[-1].with_name(f"t_{number}.mrc.mdoc").write_text(f"[ZValue = 0]\nTiltAngle = {ANGLES[number]}\n")
    return paths


def drop(paths: list[Path]) -> None:
    Dropped.of(paths).draft(None)


def ask_reader(paths: list[Path]) -> None:
    given = str(paths[0]) if len(paths) == 1 else [str(path) for path in paths]
    reader = get_reader(given)
    assert reader is not None
    assert len(reader(given)) == 1


WAYS = {"drop": drop, "reader": ask_reader, "info": describe_files}
ENDINGS = [".mrc", ".st", ".tif", ".mat", ".npy", ".npz", ".nxs", ".dm3"]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often the header of each file is parsed, by its name."""
    counts: Counter[str] = Counter()

    def counted(read: Callable[[Path], object]) -> Callable[[Path], object]:
        def parse(path: Path) -> object:
            counts[path.name] += 1
            return read(path)

        return parse

    for ending, read in READERS.items():
        monkeypatch.setitem(READERS, ending, counted(read))
    return counts


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_stack(tmp_path, parsed, ending, way):
    if ending == ".dm3" and not SHARED_DATA.is_dir():
        pytest.skip("the shared folder with third-party test data is not here")
    paths = write(tmp_path / f"rod{ending}")
    if way == "reader" and ending not in CLAIMED:
        paths.append(paths[0].with_suffix(".rawtlt"))
    WAYS[way](paths)
    assert parsed == {paths[0].name: 1}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", [".npy", ".mat"])
def test_stack_with_a_list_of_the_same_ending(tmp_path, parsed, ending, way):
    (stack,) = write(tmp_path / f"rod{ending}")
    angles = tmp_path / f"tilts{ending}"
    np.save(angles, ANGLES) if ending == ".npy" else scipy.io.savemat(angles, {"theta": ANGLES})
    other = [] if way != "reader" else [tmp_path / "none.rawtlt"]
    if other:
        stack.with_suffix(".rawtlt").rename(other[0])
        angles.unlink()
    WAYS[way]([*([] if other else [angles]), stack, *other])
    assert max(parsed.values()) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("as_folder", [False, True])
def test_one_file_for_every_tilt(tmp_path, parsed, way, as_folder):
    paths = write_many(tmp_path)
    if as_folder and way == "reader":
        pytest.skip("napari is not asked for folders")
    WAYS[way]([tmp_path] if as_folder else paths)
    assert parsed == {path.name: 1 for path in paths}


def test_notes_of_the_microscope_are_read_once(tmp_path, monkeypatch):
    from napari_stinr.io.series import headers

    read, counts = headers.read_mdoc, Counter()

    def counted(path):
        counts[path.name] += 1
        return read(path)

    monkeypatch.setattr(headers, "read_mdoc", counted)
    paths = write_many(tmp_path)
    Dropped.of([*paths, *(path.with_name(f"{path.name}.mdoc") for path in paths)]).draft(None)
    assert counts == {f"{path.name}.mdoc": 1 for path in paths}
    assert len(find_sources(paths)) == 5


def test_lists_for_the_series_that_is_open(tmp_path, parsed):
    (stack,) = write(tmp_path / "rod.mrc")
    draft = Dropped.of([stack]).draft(None)
    scipy.io.savemat(tmp_path / "tilts.mat", {"theta": ANGLES + 1})
    parsed.clear()
    changed = Dropped.of([tmp_path / "tilts.mat"]).draft(draft)
    np.testing.assert_array_equal(changed.tilt_angles, ANGLES + 1)
    assert changed.preview is draft.preview
    # That it is no stack is found out once; the stack that is open is not looked at again.
    assert parsed == {"tilts.mat": 1}
