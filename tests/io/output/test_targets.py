"""What can be written where, found out before anything is computed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import check_folder, check_output

if TYPE_CHECKING:
    from pathlib import Path


def test_what_cannot_be_written_is_found_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, found in (
        (tmp_path / "missing" / "run.stinr", "cannot be written"),
        (tmp_path, "is a folder"),
        (tmp_path / "run.mrc", r"run\.mrc ends in '\.mrc'; expected \.stinr"),
        (tmp_path / "file" / "run.stinr", "cannot be written"),
    ):
        with pytest.raises(StinrError, match=found):
            check_output(path)
    with pytest.raises(StinrError, match="is a file"):
        check_folder(tmp_path / "file" / "out")
    check_folder(tmp_path / "new" / "out")
    check_output(tmp_path / "run.stinr")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
