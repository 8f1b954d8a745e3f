"""What a stack file gives before angles, times and pixel size are settled, and the checks that every format shares.

Every reader returns a :class:`Stack`, whose pixels are read when they are wanted. Files come from strangers: see
:mod:`napari_stinr.io.formats.limits`.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES, check_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.formats.stamps import FileStamp

NUMERIC_KINDS = "biuf"
"""NumPy kinds of data type that are real numbers."""


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a file, read one at a time: a stack larger than the memory can then be binned.

    Parameters
    ----------
    shape : tuple of int
        Numbers of images, rows and columns: (n_tilts, height, width).
    read : callable
        Returns an iterator over the `(height, width)` images in the order of the stack, of any real data type [the
        unit of the file]. The file is open while it runs, and it may be called again.
    choose : callable, optional
        Takes positions of images, ascending, and slices of rows, and returns an iterator over these rows of the first
        image, of the second, ...; little else is read. None: an image is reached by reading those before it.
    plain_itemsize : int
        Size of a pixel where all lie in the file as they are, so that they are read as fast as any bytes, and rows by
        themselves; 0 where they may have to be unpacked [byte].
    """

    shape: tuple[int, int, int]
    read: Callable[[], Iterator[NDArray[Any]]]
    choose: Callable[[Sequence[int], Sequence[slice]], Iterator[NDArray[Any]]] | None = field(
        default=None, kw_only=True
    )
    plain_itemsize: int = field(default=0, kw_only=True)

    def __len__(self) -> int:
        return self.shape[0]

    def changed(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Images:
        """Return the same images, each changed pixel by pixel while it is read; the shape stays."""
        choose = self.choose
        return Images(
            self.shape,
            lambda: (change(image) for image in self.read()),
            choose=None if choose is None else lambda *which: (change(rows) for rows in choose(*which)),
            plain_itemsize=self.plain_itemsize,
        )

    def chosen(self, positions: Sequence[int], bands: Sequence[slice]) -> Iterator[NDArray[Any]]:
        """Yield rows of some images, in the order of ascending positions."""
        if self.choose is not None:
            yield from self.choose(positions, bands)
            return
        for k, image in enumerate(self.read()):
            if k in positions:
                yield from in_bands(image, bands)
            if k == positions[-1]:
                return


@dataclass(frozen=True, eq=False)
class Stack:
    """Content of a stack file.

    Parameters
    ----------
    images : Images
        `(n_tilts, height, width)` pixel values [the unit of the file].
    tilt_angles : ndarray, optional
        `(n_tilts,)` tilt angles found in the file [degrees].
    times : ndarray, optional
        `(n_tilts,)` times found in the file that are no dates: dose, order, seconds since the first [time_unit].
    timestamps : ndarray, optional
        `(n_tilts,)` dates found in the file, as seconds since 1970 [s]; they come before `times`.
    pixel_size : float, optional
        Width of a pixel found in the file [Å].
    pixel_height : float, optional
        The same for its height, where the file states both [Å].
    mask : ndarray, optional
        `(n_tilts, height, width)` bool, True where a pixel counts.
    mask_images : Images, optional
        The same, not read yet: :func:`napari_stinr.io.formats.isolation.read_isolated` makes the mask of it.
    time_unit : str
        Unit of `times`, "" where it is not known.
    place : str
        Where in the file the values were found, for the notes, e.g. ``"FEI extended header"``.
    angle_place : str
        The same for the tilt angles, where they stand elsewhere than the rest.
    angle_remark : str
        A sentence on what stands beside the tilt angles, "" where there is nothing to say.
    complete : bool
        Angles and times were stored on purpose in this very file, so files beside it do not come before them.
    notes : tuple of str
        What was changed or assumed, one sentence each.
    stamps : tuple of FileStamp
        The files as they were when their headers were read.
    """

    images: Images
    tilt_angles: NDArray[np.float64] | None = None
    times: NDArray[np.float64] | None = None
    timestamps: NDArray[np.float64] | None = None
    pixel_size: float | None = None
    pixel_height: float | None = None
    mask: NDArray[np.bool_] | None = None
    mask_images: Images | None = None
    time_unit: str = ""
    place: str = "file header"
    angle_place: str = ""
    angle_remark: str = ""
    complete: bool = False
    notes: tuple[str, ...] = ()
    stamps: tuple[FileStamp, ...] = ()


def image_shape(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> tuple[int, int, int]:
    """Return declared axes as (n_tilts, height, width); a StinrError says why they cannot be images."""
    if dtype.kind not in NUMERIC_KINDS:
        kind = "complex numbers" if dtype.kind == "c" else f"the data type {dtype}"
        raise StinrError(
            f"{path.name} holds {kind}",
            expected="real numbers",
            cure="Save the phase (or the amplitude) of the projections as floating-point numbers.",
        )
    lengths = tuple(int(length) for length in shape)
    if len(lengths) > 3:
        lengths = tuple(length for length in lengths if length != 1)
        lengths = (1,) * (2 - len(lengths)) + lengths
    if len(lengths) == 2:
        lengths = (1, *lengths)
    if len(lengths) != 3 or min(lengths) < 1:
        raise StinrError(
            f"{path.name} has the shape {tuple(shape)}",
            expected="three axes, none of them empty: (projections, height, width) or, for a volume, (z, y, x)",
            cure="Save the images as one stack.",
        )
    if lengths[0] > MAXIMUM_IMAGES:
        raise StinrError(
            f"{path.name} declares {lengths[0]} images",
            expected=f"at most {MAXIMUM_IMAGES}",
            cure="It is damaged, or no tilt series: the first axis is that of the projections.",
        )
    return lengths[0], lengths[1], lengths[2]


def read_images(images: Images, path: Path) -> NDArray[np.float32]:
    """Read all images into memory.

    Parameters
    ----------
    images : Images
        Images of a file.
    path : Path
        The file, for messages.

    Returns
    -------
    ndarray
        `(n_tilts, height, width)` float32 [the unit of the file].

    Raises
    ------
    StinrError
        The memory does not suffice, or the file is damaged.
    """
    check_memory(4 * math.prod(images.shape), path, shape=images.shape)
    values = np.empty(images.shape, dtype=np.float32)
    for k, image in enumerate(checked_images(images, path)):
        with np.errstate(over="ignore"):  # numbers beyond single precision become infinite
            values[k] = image
    return values


def checked_images(images: Images, path: Path) -> Iterator[NDArray[Any]]:
    """Read images one by one; whatever a damaged file brings ends in one sentence.

    Parameters
    ----------
    images : Images
        Images of a file.
    path : Path
        The file, for messages.

    Yields
    ------
    ndarray
        `(height, width)` image [the unit of the file].

    Raises
    ------
    StinrError
        The file is damaged, or has other images than it declares.
    """
    n_read = 0
    try:
        for image in images.read():
            if n_read == images.shape[0] or image.shape != images.shape[1:]:
                raise damaged(path, f"images of the shape {images.shape}", f"image {n_read + 1} is {image.shape}")
            yield image
            n_read += 1
    except (StinrError, MemoryError):
        raise
    except OSError as error:
        raise damaged(path, "a file that can be read", error.strerror or error) from error
    # Damaged files end in almost any exception inside the libraries.
    except Exception as error:
        raise damaged(path, "images that can be read", error) from error
    if n_read < images.shape[0]:
        raise damaged(path, f"{images.shape[0]} images", f"it ends after {n_read}")


def in_bands(image: NDArray[Any], bands: Sequence[slice]) -> Iterator[NDArray[Any]]:
    """Yield some rows of an image `(height, width)` after the other."""
    return (image[rows] for rows in bands)


def checked_bands(
    images: Images, positions: Sequence[int], bands: Sequence[slice], path: Path
) -> Iterator[tuple[int, slice, NDArray[Any]]]:
    """Read rows of some images; as :func:`checked_images`.

    Parameters
    ----------
    images : Images
        Images of a file.
    positions : sequence of int
        Which of them, ascending.
    bands : sequence of slice
        Which of their rows, in pieces.
    path : Path
        The file, for messages.

    Yields
    ------
    position : int
        Of the image.
    rows : slice
        Which of its rows.
    values : ndarray
        `(rows, width)` pixels [the unit of the file].

    Raises
    ------
    StinrError
        The file is damaged, or has other images than it declares.
    """
    wanted = [(k, rows) for k in positions for rows in bands]
    n_read = 0
    with refusing(path):
        for (k, rows), values in zip(wanted, images.chosen(positions, bands), strict=False):
            if values.shape != (rows.stop - rows.start, images.shape[2]):
                raise damaged(path, f"images of the shape {images.shape}", f"image {k + 1} is another")
            yield k, rows, values
            n_read += 1
        if n_read < len(wanted):
            raise damaged(path, f"{images.shape[0]} images", f"it ends within image {wanted[n_read][0] + 1}")


def damaged(path: Path, expected: str, reason: object) -> StinrError:
    """Return the error for a file whose content is not what its ending says.

    Parameters
    ----------
    path : Path
        The file.
    expected : str
        What it should hold.
    reason : object
        What the reader found instead, see :func:`printable`.

    Returns
    -------
    StinrError
        To be raised.
    """
    return StinrError(
        f"{path.name} cannot be read ({printable(str(reason)) or type(reason).__name__})",
        expected=printable(expected),
        cure="Copy or export the file again; it may be incomplete or of another kind than its ending says.",
    )


def short_of_memory(path: Path) -> StinrError:
    """Return the error for a file that takes more memory than there is, or than it may."""
    return damaged(path, "a stack that fits into free memory", "there is not enough memory")


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file brings inside the block into one sentence."""
    try:
        yield
    except StinrError:
        raise
    except OSError as error:
        raise damaged(path, "a file that can be read", error.strerror or error) from error
    except MemoryError as error:
        raise short_of_memory(path) from error
    # Damaged files end in almost any exception inside the libraries.
    except Exception as error:
        raise damaged(path, "a stack of images", error) from error


def printable(text: str) -> str:
    """Return what may be shown of a text from a file.

    Parameters
    ----------
    text : str
        A name or message that the file decides.

    Returns
    -------
    str
        Its first 200 characters, without those that a terminal would obey.
    """
    return "".join(letter if letter.isprintable() else " " for letter in text[:200]).strip()


def is_file(path: Path) -> bool:
    """Return whether there is a file of a name; there is none of a name that is too long or in a forbidden folder.

    Parameters
    ----------
    path : Path
        Any name, also one that a file from a stranger gives.

    Returns
    -------
    bool
        True for ordinary files and links to them, not for folders, pipes and devices.
    """
    try:
        return path.is_file()
    except OSError:
        return False
