"""Seeded damage to valid files: bits, bytes, lengths, blocks and numbers, wherever headers are and anywhere else."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import load

from helpers.fuzzing_fixtures import TEXT_ENDINGS
from napari_stinr.reconstruction.run_file import checksum_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from helpers.fuzzing_fixtures import Fixture

LARGEST = 9_000_000
"""No input is larger [byte]: the files are small, what they declare is not."""
_LARGE_EVERY = 60
"""One in so many damages to text makes it very long."""

_SIGNATURES = (
    *(b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\x93NUMPY", b"{'descr'", b"%%%%", b"MATLAB"),
    *(b"OHDR", b"OCHK", b"TREE", b"SNOD", b"HEAP", b"GCOL", b"FRHP", b"FHDB", b"FHIB", b"BTHD", b"BTLF", b"FAHD"),
    *(b"FADB", b"EAHD", b"EAIB", b"EADB", b"FSHD", b"\x89HDF", b"deflate", b"Calibrations", b"Dimensions", b"DataType"),
)
_REACH = 64
"""Headers begin with a signature and go on for about so long [byte]."""
_SMALL = (0, 1, 2, 3, -1, -2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**20, 2**24, 2**31 - 1, 2**31)
_TELLING = (*_SMALL, 2**32 - 1, 2**33, 2**40, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63))
_NUMBERS = ("nan", "inf", "-inf", "1e308", "-1e400", "1e-320", "0x10", "1_000", "9" * 30, "9" * 400, "٣", "1,5", "-")
_LINES = (
    *("", "[", "=", "\0", "\x1b[2J", "[ZValue = 0]", "[ZValue = 99999999999999999999]", "[FrameSet = -1]", "[T = x]"),
    *("DateTime = 31-Feb-23 16:00:00", "TiltAngle = nan", "PieceCoordinates = 0 0 0", "PixelSpacing = -1"),
    *("ImageFile = ../../../etc/passwd", "SubFramePath = \\\\server\\share\\f.tif", "SubFramePath = \0"),
    *(f"{key} = {'a' * 400}{ending}" for key, ending in (("ImageFile", ".mrc"), ("SubFramePath", ".tif"))),
)
_WORDS = (*_NUMBERS, *_LINES)
_PIECES = (b"1,", b"[ = ", b"[ZValue = 1]\n", b"9", b"\n", b"1.5\n", b"a = b\n", b" ", b'"', b"#")


def damaged_content(name: str, content: bytes, others: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Return a file after one to several damages.

    Parameters
    ----------
    name : str
        Name of the file; its ending tells what it is.
    content : bytes
        The valid file.
    others : sequence of bytes
        Other valid files, of which pieces are put into this one.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    bytes
        At most :data:`LARGEST`.
    """
    n_damages = 1 + min(int(rng.geometric(0.5)) - 1, 6)
    other = others[int(rng.integers(len(others)))]
    change = _damage_text if name.endswith(TEXT_ENDINGS) else _damage_bytes
    unpack = _INSIDE.get(name.rpartition(".")[2])
    if unpack is not None and rng.random() < 0.5:
        # Damage to compressed data is mostly seen by a checksum; damage before the compression is not.
        return unpack(content, lambda inside: _times(n_damages, change, inside, other, rng), rng)[:LARGEST]
    return _times(n_damages, change, content, other, rng)[:LARGEST]


def make_input(fixtures: Sequence[Fixture], number: int, seed: int) -> tuple[Fixture, str, bytes]:
    """Return the damaged input of a number: always the same for the same fixtures and seed.

    Parameters
    ----------
    fixtures : sequence of Fixture
        They take turns.
    number : int
        Which input, from 0.
    seed : int
        Seed of all inputs.

    Returns
    -------
    fixture : Fixture
        The valid files.
    name : str
        The one of them that is damaged.
    content : bytes
        What it holds now.
    """
    rng = np.random.default_rng([seed, number])
    fixture = fixtures[number % len(fixtures)]
    name = fixture.damaged[int(rng.integers(len(fixture.damaged)))]
    like = [content for one in fixtures if one.format == fixture.format for content in one.files.values()]
    return fixture, name, damaged_content(name, fixture.files[name], like, rng)


def _times(
    n: int,
    change: Callable[[bytes, bytes, np.random.Generator], bytes],
    content: bytes,
    other: bytes,
    rng: np.random.Generator,
) -> bytes:
    for _ in range(n):
        content = change(content, other, rng)[:LARGEST]
    return content


def _damage_bytes(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    kind = int(rng.integers(12))
    if len(content) < 16:
        return content + rng.bytes(16)
    raw = bytearray(content)
    place, length = int(rng.integers(len(raw))), int(rng.integers(1, 1 + max(1, min(len(raw) // 2, 512))))
    if kind == 0:
        for bit in rng.integers(8 * len(raw), size=int(rng.integers(1, 9))):
            raw[bit // 8] ^= 1 << (bit % 8)
    elif kind == 1:
        raw[place : place + length] = rng.bytes(len(raw[place : place + length]))
    elif kind == 2:
        raw[place : place + length] = bytes([int(rng.choice([0, 255, 32, 65]))]) * len(raw[place : place + length])
    elif kind == 3:
        del raw[place:]
    elif kind == 4:
        raw += rng.bytes(length) if rng.random() < 0.5 else bytes(length * 16)
    elif kind == 5:
        raw[place:place] = raw[place : place + length]
    elif kind == 6:
        del raw[place : place + length]
    elif kind == 7:
        to = int(rng.integers(len(raw)))
        first, second = raw[place : place + length], raw[to : to + length]
        raw[to : to + len(second)], raw[place : place + len(first)] = first[: len(second)], second[: len(first)]
    elif kind == 8 and other:
        start = int(rng.integers(len(other)))
        raw[place : place + length] = other[start : start + length]
    elif kind == 9:
        raw = bytearray(_forged(raw, place, rng))
    else:
        hot = _header_places(content)
        raw = bytearray(_forged(raw, int(rng.choice(hot)), rng))
    return bytes(raw)


def _forged(raw: bytearray, place: int, rng: np.random.Generator) -> bytearray:
    """Write an integer that programs stumble over, of 1, 2, 4 or 8 bytes in either order."""
    width = int(rng.choice([1, 2, 4, 4, 8]))
    place = place // 2 * 2 if rng.random() < 0.8 else place
    value = int(_TELLING[int(rng.integers(len(_TELLING)))])
    if rng.random() < 0.25:  # near what is there, which passes more checks
        value = int.from_bytes(raw[place : place + width], "little") + int(rng.integers(-3, 4))
    new = (value % (1 << 8 * width)).to_bytes(width, "little" if rng.random() < 0.75 else "big")
    raw[place : place + width] = new[: len(raw[place : place + width])]
    return raw


def _header_places(content: bytes) -> np.ndarray:
    """Return where the numbers are that decide how the rest is read."""
    places = [np.arange(min(len(content), 256))]
    places += [start + np.arange(12) for start in _tiff_entries(content)]
    for signature in _SIGNATURES:
        start = content.find(signature)
        while start >= 0 and len(places) < 400:
            places.append(start + np.arange(_REACH))
            start = content.find(signature, start + 1)
    found = np.concatenate(places)
    return found[found < len(content)]


def _tiff_entries(content: bytes) -> list[int]:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    found: list[int] = []
    if order is None:
        return found
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    while 0 < start < len(content) - 6 and len(found) < 200:
        (n_entries,) = struct.unpack_from(f"{order}H", content, start)
        found += [start + 2 + 12 * k for k in range(min(n_entries, 30))]
        end = start + 2 + 12 * n_entries
        if end + 4 > len(content):
            break
        (start,) = struct.unpack_from(f"{order}I", content, end)
    return found


def _damage_text(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    if rng.random() < 0.25:
        return _damage_bytes(content, other, rng)
    if rng.integers(_LARGE_EVERY) == 0:
        return _long_text(content, rng)
    text = content.decode("utf-8", errors="replace")
    lines = text.split("\n")
    place, kind = int(rng.integers(len(lines))), int(rng.integers(7))
    word = _WORDS[int(rng.integers(len(_WORDS)))]
    if kind == 0:
        lines[place] = word
    elif kind == 1:
        lines.insert(place, word)
    elif kind == 2:
        cells = lines[place].split(",") if "," in lines[place] else lines[place].split(" ")
        cells[int(rng.integers(len(cells)))] = word
        lines[place] = ("," if "," in lines[place] else " ").join(cells)
    elif kind == 3:
        lines[place:place] = lines[place : place + int(rng.integers(1, 20))] * int(rng.integers(1, 5))
    elif kind == 4:
        del lines[place : place + int(rng.integers(1, 6))]
    elif kind == 5:
        other_place = int(rng.integers(len(lines)))
        lines[place], lines[other_place] = lines[other_place], lines[place]
    else:
        encoding = str(rng.choice(["utf-16", "utf-16-be", "utf-32", "utf-7", "cp1252", "utf-8-sig"]))
        return "\n".join(lines).encode(encoding, errors="replace")
    return (
        str(rng.choice(["\n", "\n", "\n", "\r\n", "\r", "\x0b", "\u2028"]))
        .join(lines)
        .encode("utf-8", errors="replace")
    )


def _long_text(content: bytes, rng: np.random.Generator) -> bytes:
    piece = (*_PIECES, content or b"0")[int(rng.integers(len(_PIECES) + 1))]
    length = int(rng.choice([20_000, 1_000_000, 7_900_000, 8_500_000]))
    return content + piece * (length // len(piece))


def _inside_zip(content: bytes, damage: Callable[[bytes], bytes], rng: np.random.Generator) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: (info.compress_type, archive.read(info)) for info in archive.infolist()}
    chosen = list(members)[int(rng.integers(len(members)))]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, (method, inside) in members.items():
            archive.writestr(name, damage(inside) if name == chosen else inside, method)
    return packed.getvalue()


def _inside_mat(content: bytes, damage: Callable[[bytes], bytes], rng: np.random.Generator) -> bytes:
    if content[124:128] != b"\x00\x01IM" or content[128:132] != b"\x0f\0\0\0":
        return damage(content)
    parts, position = [], 128
    while position + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, position + 4)
        parts.append(zlib.decompress(content[position + 8 : position + 8 + length]))
        position += 8 + length
    chosen = int(rng.integers(len(parts)))
    parts[chosen] = damage(parts[chosen])
    packed = [zlib.compress(part) for part in parts]
    return content[:128] + b"".join(struct.pack("<II", 15, len(part)) + part for part in packed)


def _inside_run(content: bytes, damage: Callable[[bytes], bytes], rng: np.random.Generator) -> bytes:
    """Damage the JSON at the beginning or a tensor, and put length and checksum right."""
    (length,) = struct.unpack_from("<Q", content, 0)
    header, tensors = content[8 : 8 + length], content[8 + length :]
    if rng.random() < 0.8:
        header = damage(header)
    else:
        tensors = damage(tensors)[: len(tensors)].ljust(len(tensors), b"\0")
    try:
        entries = json.loads(header)
        texts = entries["__metadata__"]
        texts["checksum"] = checksum_of(texts, load(struct.pack("<Q", len(header)) + header + tensors))
        header = json.dumps(entries).encode()
    except Exception:  # too damaged to have a checksum
        pass
    return struct.pack("<Q", len(header)) + header + tensors


_INSIDE = {"npz": _inside_zip, "mat": _inside_mat, "stinr": _inside_run}
