"""Scripts of `benchmarks/` and `tools/`, which are no package, as modules."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from helpers.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType


def load_scripts(folders: Mapping[str, str]) -> list[ModuleType]:
    """Import scripts by name and folder, each after those that it imports by name, and leave no such names behind."""
    modules = []
    for name, folder in folders.items():
        spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        modules.append(importlib.util.module_from_spec(spec))
        sys.modules[name] = modules[-1]
        spec.loader.exec_module(modules[-1])
    for name in folders:
        del sys.modules[name]
    return modules
