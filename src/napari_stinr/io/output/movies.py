"""Write movies: frames go to FFmpeg one by one, and the file is there as a whole or not at all."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.output.atomic import atomic_output

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_GIF_WIDTH = 640
"""A GIF is as large as all its frames: wider ones would be of no use to anybody [pixel]."""
# yuv420p is what every player shows; what comes first lets a browser begin before the file is loaded.
_MP4 = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]
# Each frame has its own 256 colours: those of the whole movie would keep all frames in memory.
_GIF = [
    "-filter_complex",
    f"[0]scale='min({_GIF_WIDTH},iw)':-1:flags=lanczos,split[a][b];[a]palettegen=stats_mode=single[p];"
    "[b][p]paletteuse=new=1",
    # Or parts of a frame would keep the colours of the one before, which are not in its palette.
    "-gifflags",
    "-offsetting-transdiff",
    "-loop",
    "0",
    "-f",
    "gif",
]
_OPTIONS = {".mp4": _MP4, ".gif": _GIF}
MOVIE_ENDINGS = tuple(_OPTIONS)
"""Movies are written as these."""
_LAST_WORDS = 300
_WITHOUT_CONSOLE: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
"""Windows would open a black window for a program that has none."""


def ffmpeg() -> str:
    """Return the program that makes movies.

    Returns
    -------
    str
        Its full path.

    Raises
    ------
    StinrError
        It is not installed.
    """
    problem = "imageio-ffmpeg is not installed"
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except ImportError:
        pass
    except RuntimeError:
        problem = "imageio-ffmpeg has no FFmpeg for this computer"
    raise StinrError(
        problem,
        expected="FFmpeg, which makes the movie",
        cure='Install it with: pip install "napari-stinr[movies]", then try again.',
    )


def write_movie(path: Path, frames: Iterable[NDArray[np.uint8]], *, frames_per_second: float) -> None:
    """Write a movie, over one that is there.

    Parameters
    ----------
    path : Path
        File to write, ending in ``.mp4`` or ``.gif``.
    frames : iterable of ndarray
        `(height, width, 3)` colours, each asked for when the one before has been taken. All are brought to the size of
        the first, which for ``.mp4`` is even. An error that it raises ends the movie, and nothing is written.
    frames_per_second : float
        How fast it plays [1/s].

    Raises
    ------
    StinrError
        The ending is another one, FFmpeg is not installed or fails, there is no frame, or the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in _OPTIONS:
        raise StinrError(
            f"{path.name} ends in {path.suffix!r}",
            expected="one of " + ", ".join(MOVIE_ENDINGS),
            cure="Change the ending of the name.",
        )
    program, images = ffmpeg(), iter(frames)
    first = next(images, None)
    if first is None:
        raise StinrError("the movie has no frame", expected="at least one", cure="Make it longer.")
    height, width = (n - n % 2 for n in first.shape[:2])
    if min(height, width) < 2:
        raise StinrError(
            f"the frames have {first.shape[1]} x {first.shape[0]} pixels",
            expected="at least 2 x 2",
            cure="Make the canvas larger.",
        )
    with atomic_output(path) as temporary, tempfile.TemporaryFile() as words:
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{frames_per_second:g}"]
        command = [program, "-y", "-v", "error", *source, "-i", "-", "-an", *_OPTIONS[ending], str(temporary)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words, creationflags=_WITHOUT_CONSOLE
        )
        assert process.stdin is not None
        try:
            # Where it has ended early, its last words tell why.
            with suppress(BrokenPipeError):
                process.stdin.write(_fitted(first, height, width))
                for image in images:
                    process.stdin.write(_fitted(image, height, width))
            with suppress(BrokenPipeError):
                process.stdin.close()
            if process.wait() != 0:
                raise _failed(path, words)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            with suppress(OSError):
                process.stdin.close()


def _fitted(image: NDArray[np.uint8], height: int, width: int) -> bytes:
    """Return the pixels of an image from its top left corner, black beyond its edges."""
    part = image[:height, :width, :3]
    if part.shape != (height, width, 3):
        part = np.pad(part, ((0, height - part.shape[0]), (0, width - part.shape[1]), (0, 0)))
    return part.tobytes()


def _failed(path: Path, words: IO[bytes]) -> StinrError:
    words.seek(0)
    said = " ".join(words.read().decode(errors="replace").split())[-_LAST_WORDS:]
    return StinrError(
        f"FFmpeg could not write {path.name} ({said or 'no reason given'})",
        expected="a folder with enough free space",
        cure="Choose another folder, or a shorter movie.",
    )
