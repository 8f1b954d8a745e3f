"""Put the one real ``napari.yaml`` (at the top of the repository) into every kind of install.

npe2 looks for the manifest inside the package. Wheels and sdists get a copy at build time; an editable install
gets a link, or a copy where the file system has no links, so that there is never a second file to keep in step.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface):
    """Hatchling hook that adds the manifest to the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the manifest: by force-include for a wheel, by link for an editable install."""
        source = Path(self.root, "napari.yaml")
        if version == "editable":
            target = Path(self.root, "src", "napari_stinr", "napari.yaml")
            target.unlink(missing_ok=True)
            try:
                target.symlink_to(os.path.relpath(source, target.parent))
            except OSError:
                shutil.copyfile(source, target)
        else:
            build_data["force_include"][str(source)] = "napari_stinr/napari.yaml"
