"""From one entry of a file of jobs to its jobs: patterns, lists of seeds, <name> in names of files, relative paths."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stinr.config.yaml_text import read_settings_text
from napari_stinr.config.yaml_words import Verbatim
from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS
from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import RUN_ENDING
from napari_stinr.io.series.sidecars import parse_angle_range
from napari_stinr.training.jobs.asked import ALIGNMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_VOLUMES = ("clean", "contamination", "series")


def expanded(given: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the options of every job that an entry stands for.

    Parameters
    ----------
    given : dict
        Options with the defaults, as they are written.
    folder : Path
        Paths are relative to it.

    Yields
    ------
    dict
        Options of one job, to be validated.

    Raises
    ------
    StinrError
        A pattern fits nothing, or a file of settings cannot be read.
    """
    common = _with_paths(given, folder)
    seeds = given.get("seed")
    if seeds == []:
        raise StinrError("seed is an empty list", expected="a seed or more, such as [0, 1, 2]", cure="Leave it out.")
    for stack in _stacks(given.get("stack"), folder):
        for seed in seeds if isinstance(seeds, list) else [seeds]:
            made = common | {"stack": stack} | ({} if seed is None else {"seed": seed})
            several = isinstance(seeds, list) and len(seeds) > 1
            words = {"<stack>": _stem(stack), "<seed>": "0" if seed is None else str(seed)}
            name = given.get("name") or ("<stack>-seed<seed>" if several else "<stack>")
            words["<name>"] = made["name"] = _replaced(name, words)
            made["out"] = _path(_replaced(given.get("out", f"<name>{RUN_ENDING}"), words), folder)
            if "export" in given:
                made["export"] = _export(given["export"], words, folder)
            yield made


def _with_paths(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Resolve the files that options may name, and read the settings."""
    made = dict(given)
    words: dict[str, Callable[[str], bool]] = {
        "angles": lambda text: parse_angle_range(text, 1) is not None,
        "times": lambda text: text in ACQUISITION_ORDERS,
        "align": lambda text: text in ALIGNMENTS,
    }
    for name, is_word in words.items():
        value = given.get(name)
        if isinstance(value, str) and not is_word(value):
            made[name] = str(_path(value, folder))
    config = given.get("config")
    if isinstance(config, str) and not isinstance(config, Verbatim):
        made["config"] = read_settings_text(_path(config, folder))
    elif isinstance(config, Verbatim):
        made["config"] = str(config)
    return made


def _stacks(given: Any, folder: Path) -> list[tuple[Path, ...]]:
    """Return the files of every job: a pattern stands for as many, a list for the files of one."""
    if isinstance(given, list):
        return [tuple(_path(str(one), folder) for one in given)]
    if not isinstance(given, str):
        raise StinrError(
            "stack is not given", expected="a stack, a folder or a list of files", cure="Give `stack: FILE`."
        )
    path = _path(given, folder)
    if not glob.has_magic(given) or path.exists():
        return [(path,)]
    matches = sorted(glob.glob(str(path)))
    if not matches:
        raise StinrError(
            f"stack is {given}, which fits no file", expected="a file or more", cure="Correct the pattern."
        )
    return [(Path(match),) for match in matches]


def _export(given: Any, words: dict[str, str], folder: Path) -> Any:
    """Resolve the files of volumes; a file, or several, without more is the clean volume."""
    if not isinstance(given, dict):
        given = {"clean": given}
    made = {name: value for name, value in given.items() if value is not None}
    for name in _VOLUMES:
        value = made.get(name)
        if isinstance(value, str | list):
            files = [value] if isinstance(value, str) else value
            made[name] = tuple(_path(_replaced(str(one), words), folder) for one in files)
    return made


def _stem(stack: tuple[Path, ...]) -> str:
    if not stack:
        return ""  # which the options refuse
    first = stack[0]
    return first.name if first.is_dir() else first.stem


def _replaced(text: Any, words: dict[str, str]) -> str:
    replaced = str(text)
    for word, value in words.items():
        replaced = replaced.replace(word, value)
    return replaced


def _path(text: str, folder: Path) -> Path:
    return Path(os.path.abspath(folder / Path(text).expanduser()))
