"""The shape of the source tree (design section 5): imports point one way, some things are done in one place only."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers import places

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "napari_stinr"
SOURCE = places.SOURCE / PACKAGE

# A room may import its own modules and those of the rooms above it; a new room goes into the highest line it can.
# Modules of the top that are no rooms stand here, too.
FLOORS = (
    {"errors", "cores", "pace", "lazy"},
    {"config", "devices"},
    {"data"},
    {"io.formats", "fields"},
    {"io.series", "io.output"},
    {"io"},
    {"simulation", "projection", "alignment"},
    {"reconstruction"},
    {"training", "analysis"},
    {"api"},
    {"cli", "plugin.session", "plugin.widgets"},
    {"plugin.canvas"},
    {"plugin.hooks"},
    {"plugin.docks"},
    {"plugin", "__main__"},
)
# Neighbours that do not know each other.
STRANGERS = (
    {"io.formats", "fields"},
    {"io.series", "io.output"},
    {"simulation", "projection", "alignment"},
    {"training", "analysis"},
    {"cli", "plugin"},
    {"plugin.session", "plugin.widgets"},
    {"plugin.canvas", "plugin.widgets"},
    {"plugin.hooks", "plugin.widgets"},
)
# The package itself hands out names of its modules: it may import all but these, and they take only its version.
ROOT_LEAVES_ALONE = {"cli", "plugin"}

# Where a library may be imported: everything else goes through that module.
GUI_LIBRARIES = ("qtpy", "napari", "magicgui", "superqt", "pyqtgraph", "vispy", "PyQt5", "PyQt6", "PySide6")
HOMES = {
    **dict.fromkeys(GUI_LIBRARIES, "plugin"),
    "abtem": "simulation",
    "ase": "simulation",
    "matplotlib": "figure",
}
# They run code that a file brings along.
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}

MAX_LINES = 400


@dataclass(frozen=True)
class Module:
    """One module as text; `name` is dotted and relative to the package, "" for the package itself."""

    name: str
    source: str

    @property
    def room(self) -> str:
        """The name that stands in `FLOORS`."""
        return room_of(self.name)

    @property
    def house(self) -> str:
        """First part of the name."""
        return self.name.partition(".")[0]


def read_modules() -> dict[str, Module]:
    """Every module of the package by name."""
    modules = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        modules[name] = Module(name, path.read_text(encoding="utf-8"))
    return modules


MODULES = read_modules()
EVERY_MODULE = pytest.mark.parametrize("module", MODULES.values(), ids=[name or "__init__" for name in MODULES])


def imported_names(module: Module) -> Iterator[str]:
    """Dotted names of everything imported, at the top, inside functions and under TYPE_CHECKING alike."""
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            yield from (f"{dots}{node.module or ''}.{alias.name}" for alias in node.names)


def own_imports(module: Module, modules: dict[str, Module]) -> set[str]:
    """Names of the package's modules that `module` imports; "" is the package itself."""
    found = set()
    for name in imported_names(module):
        head, _, inside = name.partition(".")
        if head != PACKAGE or inside == "__version__":
            continue
        # The longest part that is a module: the rest is a function or class in it.
        target = inside
        while target not in modules:
            target = target.rpartition(".")[0]
        part = inside.partition(".")[0]
        found.add(part if not target and any(part in floor for floor in FLOORS) else target)
    return found - {module.name}


def room_of(name: str) -> str:
    """Longest part of the name of a module that stands in `FLOORS`, else its first part."""
    rooms = {room for floor in FLOORS for room in floor}
    while name and name not in rooms:
        if "." not in name:
            return name
        name = name.rpartition(".")[0]
    return name


def floor_of(room: str) -> int:
    """Position in `FLOORS`."""
    for number, floor in enumerate(FLOORS):
        if room in floor:
            return number
    raise AssertionError(f"{PACKAGE}.{room} has no floor yet: add {room!r} to FLOORS in {Path(__file__).name}")


def are_strangers(one: str, other: str) -> bool:
    """Whether two rooms, or the houses that they are in, do not know each other."""
    either = {one, one.partition(".")[0]}, {other, other.partition(".")[0]}
    return any({a, b} in STRANGERS for a in either[0] for b in either[1] if a != b)


def direction_faults(module: Module, modules: dict[str, Module]) -> list[str]:
    """List the imports inside the package that point the wrong way."""
    faults = []
    for target in sorted(own_imports(module, modules)):
        room = room_of(target)
        if room == module.room:
            continue
        if not module.name:
            wrong = room in ROOT_LEAVES_ALONE
        elif not room:
            wrong = True
        else:
            wrong = floor_of(room) > floor_of(module.room) or are_strangers(room, module.room)
        if wrong:
            faults.append(f"{module.name or PACKAGE} imports {target or PACKAGE}")
    return faults


def library_faults(module: Module) -> list[str]:
    """Libraries imported outside the one place that may."""
    heads = {name.partition(".")[0] for name in imported_names(module)}
    strayed = [
        f"{head} belongs into {home}"
        for head, home in HOMES.items()
        # A figure may be drawn in a module of that name in any room.
        if head in heads and home not in (module.name, module.house, module.name.rpartition(".")[2])
    ]
    return strayed + [f"{head} runs code from files" for head in sorted(heads & UNPICKLERS)]


def habit_faults(module: Module) -> list[str]:
    """List the calls and forms of import that this package does not use."""
    faults = [f"relative import {name}" for name in imported_names(module) if name.startswith(".")]
    for node in ast.walk(ast.parse(module.source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called == "print":
            faults.append(f"line {node.lineno}: print; use logging, or the console of the command line")
        if keywords.get("allow_pickle", "False") != "False" or called in {"torch.load", "yaml.load"}:
            faults.append(f"line {node.lineno}: {called} may run code from a file")
    return faults


@EVERY_MODULE
def test_imports_point_one_way(module):
    if module.name:
        floor_of(module.room)
    faults = direction_faults(module, MODULES)
    assert not faults


@EVERY_MODULE
def test_libraries_stay_in_their_place(module):
    faults = library_faults(module)
    assert not faults


@EVERY_MODULE
def test_habits(module):
    faults = habit_faults(module)
    assert not faults


@EVERY_MODULE
def test_modules_are_short(module):
    n_lines = module.source.count("\n")
    assert n_lines <= MAX_LINES


def test_no_import_cycles():
    circle = cycle(MODULES)
    assert not circle


def cycle(modules: dict[str, Module]) -> list[str]:
    """Modules that import one another in a circle, [] where there is none."""
    try:
        TopologicalSorter({name: own_imports(module, modules) for name, module in modules.items()}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("io.formats.mrc", "from napari_stinr.simulation import room"),
        ("io.formats.mrc", "def f():\n    import napari_stinr.fields.growth"),
        ("io.formats.mrc", "from napari_stinr.io.output.atomic import atomic_output"),
        ("io.series.reading", "from napari_stinr.io.output.atomic import atomic_output"),
        ("cli.main", "from napari_stinr.plugin.session.session import Session"),
        ("plugin.session.session", "from napari_stinr.cli import main"),
        ("plugin.session.session", "from napari_stinr.plugin.canvas import layers"),
        ("plugin.docks.explore", "from napari_stinr.cli import main"),
        ("plugin.widgets.theme", "from napari_stinr.plugin.session.session import Session"),
        ("plugin.canvas.layers", "from napari_stinr.plugin.widgets import theme"),
        ("data.geometry", "if TYPE_CHECKING:\n    from napari_stinr.projection import Projector"),
        ("analysis.metrics", "from napari_stinr import read_tilt_series"),
        ("", "from napari_stinr.cli.main import main"),
    ],
)
def test_wrong_directions_are_seen(name, source):
    known = ["", "io", "io.formats.mrc", "io.series.reading", "io.output.atomic", "simulation", "simulation.room"]
    known += ["fields", "fields.growth", "cli", "cli.main", "plugin", "plugin.session.session", "plugin.canvas.layers"]
    known += ["plugin.widgets.theme", "plugin.docks.explore", "data.geometry", "projection", "analysis.metrics"]
    modules = {other: Module(other, "") for other in known}
    assert len(direction_faults(Module(name, source), modules)) == 1


@pytest.mark.parametrize("source", ["import napari", "def f():\n    import ase.io", "import pickle"])
def test_strayed_libraries_are_seen(source):
    assert library_faults(Module("io.mrc", source))
    assert not library_faults(Module("io.mrc", "from napari_stinr.errors import StinrError\nimport numpy"))


@pytest.mark.parametrize(
    "source",
    ["print(1)", "np.load(path, allow_pickle=True)", "torch.load(path)", "from . import mrc", "from ..a import b"],
)
def test_bad_habits_are_seen(source):
    assert habit_faults(Module("io.mrc", source))
    assert not habit_faults(Module("io.mrc", "console.print(1)\nnp.load(path, allow_pickle=False)"))


def test_a_new_room_is_told_where_to_go():
    with pytest.raises(AssertionError, match="add 'novelty' to FLOORS in test_layers"):
        floor_of("novelty")


def test_cycles_are_seen():
    sources = {"": "", "a": "from napari_stinr.b import f", "b": "def f():\n    from napari_stinr import a"}
    assert set(cycle({name: Module(name, source) for name, source in sources.items()})) == {"a", "b"}
