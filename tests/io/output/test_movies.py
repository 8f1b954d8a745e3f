"""Movies: every player can show them, and there is a whole one or none."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from napari_stinr.errors import StinrError
from napari_stinr.io.output.movies import write_movie

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="movies need napari-stinr[movies]")

# The library that reads them back forgets to close its pipes.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]


def frames(n: int = 6, height: int = 41, width: int = 53) -> list[np.ndarray]:
    return [np.full((height, width, 3), COLOURS[k % 3], dtype=np.uint8) for k in range(n)]


def read(path) -> tuple[dict, list[np.ndarray]]:
    images = imageio_ffmpeg.read_frames(path)
    facts = next(images)
    width, height = facts["size"]
    return facts, [np.frombuffer(image, np.uint8).reshape(height, width, 3) for image in images]


@pytest.mark.parametrize("name", ["m.mp4", "m.gif"])
def test_every_frame_is_in_the_movie_in_its_order_and_colour(tmp_path, name):
    write_movie(tmp_path / name, frames(), frames_per_second=10)
    facts, images = read(tmp_path / name)
    assert (facts["fps"], facts["size"], len(images)) == (10, (52, 40), 6)
    for image, colour in zip(images, COLOURS * 2, strict=True):
        np.testing.assert_allclose(image.mean(axis=(0, 1)), colour, atol=12)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_mp4_is_one_that_every_player_shows(tmp_path):
    write_movie(tmp_path / "m.mp4", frames(), frames_per_second=20)
    facts, _ = read(tmp_path / "m.mp4")
    assert facts["codec"] == "h264"
    assert facts["pix_fmt"].startswith("yuv420p")


def test_frames_of_other_sizes_are_brought_to_the_first(tmp_path):
    write_movie(tmp_path / "m.mp4", [*frames(1), *frames(1, 61, 21)], frames_per_second=20)
    facts, images = read(tmp_path / "m.mp4")
    assert facts["size"] == (52, 40)
    np.testing.assert_allclose(images[1][:, -10:], 0, atol=20)


def test_wide_gif_is_made_smaller(tmp_path):
    write_movie(tmp_path / "m.gif", frames(2, 100, 1280), frames_per_second=20)
    assert read(tmp_path / "m.gif")[0]["size"] == (640, 50)


def test_one_that_is_cancelled_leaves_what_was_there(tmp_path):
    (tmp_path / "m.mp4").write_bytes(b"old")

    def cancelled():
        yield from frames(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(tmp_path / "m.mp4", cancelled(), frames_per_second=20)
    assert [path.name for path in tmp_path.iterdir()] == ["m.mp4"]
    assert (tmp_path / "m.mp4").read_bytes() == b"old"


def test_what_is_wrong_is_said_with_its_cure(tmp_path, monkeypatch):
    with pytest.raises(StinrError, match=r"one of \.mp4, \.gif"):
        write_movie(tmp_path / "m.avi", frames(), frames_per_second=20)
    with pytest.raises(StinrError, match="no frame"):
        write_movie(tmp_path / "m.mp4", [], frames_per_second=20)
    monkeypatch.setattr("napari_stinr.io.output.movies._OPTIONS", {".mp4": ["-c:v", "nothing"]})
    with pytest.raises(StinrError, match=r"FFmpeg could not write m\.mp4 .*nothing"):
        write_movie(tmp_path / "m.mp4", frames(), frames_per_second=20)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(StinrError, match=r"napari-stinr\[movies\]"):
        write_movie(tmp_path / "m.mp4", frames(), frames_per_second=20)
    assert not list(tmp_path.iterdir())
