"""Put the one real ``napari.yaml`` (at the top of the repository) and the guide into every kind of install.

npe2 looks for the manifest inside the package, and the window shows the guide from there. Wheels and sdists get a copy
at build time; an editable install gets links, or copies where the file system has no links, so that there is never a
second file to keep in step.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface):
    """Hatchling hook that adds both to the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them: by force-include for a wheel, by link for an editable install."""
        for place, name in (("napari.yaml", "napari.yaml"), ("docs/guide.md", "guide.md")):
            source = Path(self.root, place)
            if version == "editable":
                _link(source, Path(self.root, "src", "napari_stinr", name))
            else:
                build_data["force_include"][str(source)] = f"napari_stinr/{name}"


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(os.path.relpath(source, target.parent))
    except OSError:
        shutil.copyfile(source, target)
