"""The package as other people get it: built, installed, found by napari, cheap to import; and how hosts test it."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from npe2 import PluginManifest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from helpers.places import ROOT, SOURCE

GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = sorted(path for path in GITHUB.glob("ISSUE_TEMPLATE/*.yml") if path.stem != "config")
MANIFEST = ROOT / "napari.yaml"
NAME = "napari-stinr"
CONTRIBUTIONS = PluginManifest.from_file(MANIFEST).contributions
HEAVY = {"torch", "numba", "scipy", "abtem", "ase", "matplotlib", "h5py", "zarr", "yaozarrs"}
DESCRIBE_PLUGIN = f"""
import importlib.util, json
from npe2 import PluginManifest
manifest = PluginManifest.from_distribution({NAME!r})
package = importlib.util.find_spec("napari_stinr").origin
print(json.dumps([manifest.name, manifest.display_name, manifest.package_metadata.version, package]))
"""

IMPORT_COMMANDS = f"""
import importlib.util, json
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
manifest = PluginManifest.from_distribution({NAME!r})
manifest.validate_imports()
# One by one as well: validate_imports stops at the first list of a manifest that it comes to.
print(json.dumps([[command.id, import_python_name(command.python_name).__module__] for command in
                  manifest.contributions.commands]))
print(importlib.util.find_spec("napari_stinr").origin)
"""
DISCOVER = """
import sys
from npe2 import PluginManager
pm = PluginManager.instance()
pm.discover()
assert "napari-stinr" in pm
from napari_stinr.plugin.hooks import readers, samples, writers
from napari_stinr.plugin.session import preferences
print(*sys.modules)
"""


def run_python(code: str, *, path: Path | None = None) -> str:
    """Output of a fresh interpreter that sees `path` before everything else, and not the folder of this checkout."""
    if path is not None:
        code = f"import sys; sys.path.insert(0, {str(path)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(sys.prefix))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build an sdist of this checkout, and the wheel built from the unpacked sdist, both without the network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def test_the_manifest_is_valid():
    manifest = PluginManifest.from_file(MANIFEST)
    assert manifest.name == NAME  # npe2 drops a manifest whose name is not the distribution's


def test_npe2_accepts_the_manifest():
    done = subprocess.run([sys.executable, "-m", "npe2", "validate", str(MANIFEST)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_is_contributed_where_a_person_finds_it():
    used = {entry.command for entry in (*CONTRIBUTIONS.readers, *CONTRIBUTIONS.writers, *CONTRIBUTIONS.sample_data)}
    widgets = [entry.command for entry in CONTRIBUTIONS.widgets]
    assert widgets == ["napari-stinr.dock"]
    # What opens the dock on one of its pages is for the palette.
    pages = {command.id for command in CONTRIBUTIONS.commands if ".open_page:" in command.python_name}
    in_menus = {item.command for items in CONTRIBUTIONS.menus.values() for item in items}
    assert {command.id for command in CONTRIBUTIONS.commands} == used | in_menus | set(widgets) | pages
    # The command palette offers every command; these do nothing without a file that napari hands to them.
    for_napari = {entry.command for entry in (*CONTRIBUTIONS.readers, *CONTRIBUTIONS.writers)}
    assert {command.id for command in CONTRIBUTIONS.commands if command.enablement == "False"} == for_napari


def test_napari_lets_plugins_into_these_menus():
    from napari._app_model.constants._menus import is_menu_contributable

    # napari passes over others without a word.
    assert all(is_menu_contributable(menu) for menu in CONTRIBUTIONS.menus)


def test_sdist_holds_the_manifest_once_and_what_the_build_needs(built):
    with tarfile.open(built[0]) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"napari.yaml", "hatch_build.py", "pyproject.toml", "README.md", "LICENSE", "CITATION.cff"} <= set(names)
    # The link of an editable install must not be packed: it would be a second manifest, and broken on Windows.
    assert not {"src/napari_stinr/napari.yaml", "src/napari_stinr/guide.md"} & set(names)
    assert not [name for name in names if name.startswith((".venv", "demo/", "dist/")) or "__pycache__" in name]


def test_an_index_would_take_sdist_and_wheel(built):
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wheel_holds_the_manifest_and_every_module(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = archive.namelist()
        assert archive.read("napari_stinr/napari.yaml") == MANIFEST.read_bytes()
        assert archive.read("napari_stinr/guide.md") == (ROOT / "docs" / "guide.md").read_bytes()
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert len(names) == len(set(names))
    assert "[napari.manifest]\nnapari-stinr = napari_stinr:napari.yaml" in entry_points
    assert "stinr = napari_stinr.cli.main:main" in entry_points
    source = ROOT / "src"
    modules = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    assert modules | {"napari_stinr/py.typed"} <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"napari_stinr"}


def test_napari_finds_the_manifest_of_an_installed_wheel(built, tmp_path):
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(tmp_path)
    found = run_python(DESCRIBE_PLUGIN, path=tmp_path)
    name, display_name, version, package = json.loads(found)
    expected = PluginManifest.from_file(MANIFEST)
    assert (name, display_name) == (expected.name, expected.display_name)
    assert version == project()["version"]
    assert Path(package).is_relative_to(tmp_path)  # and not the checkout


@pytest.mark.qt
def test_every_command_of_an_installed_wheel_can_be_imported(built, tmp_path):
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(tmp_path)
    commands, package = run_python(IMPORT_COMMANDS, path=tmp_path).splitlines()
    expected = [[command.id, command.python_name.partition(":")[0]] for command in CONTRIBUTIONS.commands]
    assert json.loads(commands) == expected
    assert Path(package).is_relative_to(tmp_path)


def test_napari_finds_the_manifest_of_this_environment():
    skip_unless_installed()
    manifest = PluginManifest.from_distribution(NAME)
    assert manifest.contributions == PluginManifest.from_file(MANIFEST).contributions


def test_import_costs_no_heavy_library():
    loaded = run_python("import sys, napari_stinr; print(*sys.modules)", path=ROOT / "src").split()
    assert "napari_stinr" in loaded
    assert not (HEAVY | {"napari", "qtpy", "PyQt6", "PySide6"}) & set(loaded)


def test_napari_starts_without_a_heavy_library():
    loaded = run_python(DISCOVER, path=ROOT / "src").split()
    assert "napari_stinr.plugin.hooks.samples" in loaded
    assert not HEAVY & set(loaded)


def test_one_version():
    skip_unless_installed()
    printed = run_python("import napari_stinr; print(napari_stinr.__version__)").strip()
    assert printed == importlib.metadata.version(NAME) == project()["version"]


def test_everything_that_is_imported_is_declared_and_nothing_else():
    homes = importlib.metadata.packages_distributions()
    imported = {name for path in SOURCE.rglob("*.py") for name in top_names(path)} - {"napari_stinr"}
    used = {canonicalize_name(homes[name][0]) for name in imported - sys.stdlib_module_names}
    assert used == {canonicalize_name(need.name) for need in requirements("formats", "movies", "zarr")}


def test_every_requirement_has_a_tested_release_that_it_allows():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    releases = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    assert len(releases) == len(pins)
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in pins)
    for need in requirements(*project()["optional-dependencies"]):
        assert need.specifier.contains(releases[canonicalize_name(need.name)]), need


def test_citation_is_that_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (citation["version"], citation["license"]) == (project()["version"], project()["license"])
    assert citation["authors"] == project()["authors"]
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Chien", "Ophus", "Waller"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_name_what_exists(path):
    text = path.read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    for job in jobs.values():
        assert {*as_list(job.get("needs", []))} <= jobs.keys()
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()
            continue
        assert {"runs-on", "steps", "timeout-minutes"} <= job.keys()
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[\w./-]+", step.get("uses", "a/b@v1"))
    commands = "\n".join(step.get("run", "") for job in jobs.values() for step in job.get("steps", []))
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*re.findall(r"\bmake (\w+)", commands)} <= {*targets}
    assert all((ROOT / name).is_file() for name in re.findall(r"\btools/[\w.]+|\bconstraints\.txt", text))
    extras = {name for group in re.findall(r"\.\[([\w,]+)\]", commands) for name in group.split(",")}
    assert extras <= project()["optional-dependencies"].keys()
    # What only one machine or one index has.
    assert not re.search(r"https?://|index-url|/(work|root|home|tmp)/", text)


def test_workflows_run_every_python_that_is_promised():
    pythons = {name for path in WORKFLOWS for name in pythons_of(path)}
    allowed = SpecifierSet(project()["requires-python"])
    assert all(allowed.contains(python) for python in pythons)
    prefix = "Programming Language :: Python :: 3."
    promised = {kind.rpartition(" ")[2] for kind in project()["classifiers"] if kind.startswith(prefix)}
    assert pythons == promised
    assert min(promised, key=lambda python: int(python.split(".")[1])) == str(allowed).removeprefix(">=")


def test_what_a_matrix_excludes_is_in_it():
    matrices = [job["strategy"]["matrix"] for path in WORKFLOWS for job in jobs_of(path) if "strategy" in job]
    assert matrices
    for matrix in matrices:
        for entry in matrix["exclude"]:
            assert all(value in matrix[axis] for axis, value in entry.items()), entry
        assert {f"napari[{qt}]" for qt in matrix["qt"]} == {"napari[pyqt6]", "napari[pyside6]"}


def test_a_release_needs_no_password_and_every_check():
    jobs = yaml.safe_load((GITHUB / "workflows" / "release.yml").read_text(encoding="utf-8"))["jobs"]
    publish = jobs["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert {*publish["needs"]} == jobs.keys() - {"publish"}
    assert "secrets" not in str(jobs)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_can_be_filled_in(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_a_bug_comes_with_versions_and_with_what_stinr_says_of_the_data():
    text = (GITHUB / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8")
    assert "`stinr --version`" in text
    assert "`stinr info " in text


def requirements(*extras: str) -> list[Requirement]:
    optional = project()["optional-dependencies"]
    lines = [*project()["dependencies"], *(line for extra in extras for line in optional[extra])]
    return [need for need in map(Requirement, lines) if need.name != NAME]


def top_names(path: Path) -> set[str]:
    nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    found = {alias.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return found | {(node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}


def jobs_of(path: Path) -> list[dict[str, Any]]:
    return [*yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()]


def pythons_of(path: Path) -> set[str]:
    found = set()
    for job in jobs_of(path):
        found |= {*job.get("strategy", {}).get("matrix", {}).get("python", [])}
        versions = [step.get("with", {}).get("python-version", "") for step in job.get("steps", [])]
        found |= {version for version in versions if version and "matrix" not in version}
    return found


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def skip_unless_installed() -> None:
    try:
        importlib.metadata.distribution(NAME)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("napari-stinr is not installed in this environment (pip install -e .)")
