"""The texts by which OME readers and ImageJ know the axes and the voxel size of a TIFF."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Sequence

OME_CREATOR = b'Creator="napari-stinr"'
"""By this a file is known as one that this program wrote."""
_OME_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def ome_description(
    name: str,
    shape: tuple[int, int, int, int],
    voxel_size: float,
    length_unit: str,
    *,
    times: Sequence[float] | None = None,
) -> str:
    """Return the OME-XML, in ASCII and without random identifiers, of volumes of float32 `(t, z, y, x)`."""
    # OME has no field for a time without a unit, so the times go to the description.
    n_frames, depth, height, width = shape
    size = (
        ""
        if length_unit == "pixel"
        else "".join(
            f' PhysicalSize{axis}="{voxel_size!r}" PhysicalSize{axis}Unit={quoteattr(length_unit)}' for axis in "XYZ"
        )
    )
    described = "" if times is None else f"<Description>times={_joined(times)}</Description>"
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{_OME_NAMESPACE}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{_OME_NAMESPACE} {_OME_NAMESPACE}/ome.xsd" {OME_CREATOR.decode()}>'
        f'<Image ID="Image:0" Name={quoteattr(name)}>{described}'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="float" SizeX="{width}" SizeY="{height}" SizeZ="{depth}" '
        f'SizeC="1" SizeT="{n_frames}"{size}><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="{n_frames * depth}"/></Pixels></Image></OME>'
    )
    return text.encode("ascii", errors="xmlcharrefreplace").decode("ascii")


def imagej_description(
    shape: tuple[int, int, int, int], voxel_size: float, unit: str, *, times: Sequence[float] | None = None
) -> str:
    """Return the ``key=value`` lines by which ImageJ knows a hyperstack `(t, z, y, x)`; the unit is ASCII."""
    n_frames, depth = shape[:2]
    lines = ["ImageJ=1.11a", f"images={n_frames * depth}", f"slices={depth}"]
    if n_frames > 1:
        lines += [f"frames={n_frames}", "hyperstack=true", "mode=grayscale"]
    lines += [f"spacing={voxel_size!r}", f"unit={unit}", "loop=false"]
    if times is not None:
        lines.append(f"times={_joined(times)}")
    return "\n".join(lines) + "\n"


def resolution(pixel_size: float) -> tuple[int, int]:
    """Return the pixels per unit as a fraction of two numbers that ImageJ reads, signed 32-bit integers."""
    limit = max(1, int(2**30 / max(pixel_size, 1.0 / pixel_size)))
    if pixel_size >= 1:
        fraction = Fraction(pixel_size).limit_denominator(min(limit, 10**6))
        return fraction.denominator, fraction.numerator
    fraction = Fraction(1.0 / pixel_size).limit_denominator(min(limit, 10**6))
    return fraction.numerator, fraction.denominator


def _joined(times: Sequence[float]) -> str:
    return " ".join(repr(float(time)) for time in times)
