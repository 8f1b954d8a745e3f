"""TIFF stacks as programs write them page by page, behind thumbnails, and with white as 0."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from helpers.reading_cases import ANGLES, refused, stack
from napari_stinr.io import read_tilt_series


def read(path):
    return read_tilt_series(path, tilt_angles=ANGLES)


def said(series, words: str) -> bool:
    return any(words in note for note in series.notes)


def appended(path, images, **options) -> None:
    for k, image in enumerate(images):
        tifffile.imwrite(path, image, append=k > 0, **options)


@pytest.mark.parametrize("dtype", ["float32", "uint8", ">u2", "int16"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_that_were_appended_are_one_stack(tmp_path, dtype, compression):
    images = stack().astype(dtype)
    appended(tmp_path / "s.tif", images, compression=compression, photometric="minisblack")
    series = read(tmp_path / "s.tif")
    np.testing.assert_array_equal(series.projections, images)
    assert not said(series, "image series")


def test_appended_pages_that_differ_are_refused(tmp_path):
    path = tmp_path / "s.tif"
    appended(path, [*stack("uint8")[:3], *stack("uint16")[3:]], photometric="minisblack")
    refused(path, "differ in data type (uint8, uint16)")
    path.unlink()
    appended(path, [stack()[:2], stack()[2:4], stack()[4]], photometric="minisblack")
    refused(path, "3 series of images of the same size (2 and 2 and 1 images)")


@pytest.mark.parametrize("metadata", [None, {}])
def test_a_small_first_page_is_left_out(tmp_path, metadata):
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        file.write(stack()[0, ::2, ::2], metadata=metadata)
        for image in stack():
            file.write(image, metadata=metadata)
    series = read(tmp_path / "s.tif")
    np.testing.assert_array_equal(series.projections, stack())
    assert said(
        series, "begins with an image of 3 x 4 pixels, which was left out; 5 image(s) of 6 x 7 pixels were read"
    )


def test_an_overview_of_another_type_before_the_stack_is_left_out(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        file.write(np.zeros((30, 20, 3), np.uint8), photometric="rgb")
        file.write(stack("uint16"), photometric="minisblack")
    np.testing.assert_array_equal(read(tmp_path / "s.tif").projections, stack())


def test_a_thumbnail_of_every_page_is_left_out(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        for image in stack():
            file.write(image[::2, ::2], metadata=None)
            file.write(image, metadata=None)
    np.testing.assert_array_equal(read(tmp_path / "s.tif").projections, stack())


def test_single_images_behind_their_thumbnails(tmp_path):
    for k, image in enumerate(stack()):
        with tifffile.TiffWriter(tmp_path / f"t_{k}.tif") as file:
            file.write(image[::2, ::2], metadata=None)
            file.write(image, metadata=None)
    np.testing.assert_array_equal(read(tmp_path).projections, stack())


def test_the_first_of_two_stacks_of_different_sizes_is_read(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        file.write(stack(), photometric="minisblack")
        file.write(np.zeros((9, 12, 12), np.float32), photometric="minisblack")
    series = read(tmp_path / "s.tif")
    np.testing.assert_array_equal(series.projections, stack())
    assert said(series, "2 image series; the first was read")


@pytest.mark.parametrize(
    ("dtype", "largest"), [("uint8", 255), ("uint16", 65535), (">u2", 65535), ("uint32", 2**32 - 1)]
)
@pytest.mark.parametrize("by_page", [False, True])
def test_white_as_zero_is_turned_round(tmp_path, dtype, largest, by_page):
    images = stack().astype(dtype)
    if by_page:
        appended(tmp_path / "s.tif", images, photometric="miniswhite")
    else:
        tifffile.imwrite(tmp_path / "s.tif", images, photometric="miniswhite")
    series = read(tmp_path / "s.tif")
    np.testing.assert_array_equal(series.projections, (largest - images.astype(float)).astype(np.float32))
    assert said(series, f"every pixel is {largest} minus the number in the file")


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_white_as_zero_says_nothing_of_numbers_without_a_largest(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "s.tif", stack().astype(dtype), photometric="miniswhite")
    series = read(tmp_path / "s.tif")
    np.testing.assert_array_equal(series.projections, stack())
    assert said(series, "0 is white (WhiteIsZero)")
    assert said(series, "invert the contrast")


def test_pages_of_both_kinds_are_refused(tmp_path):
    path = tmp_path / "s.tif"
    for k, image in enumerate(stack("uint8")):
        tifffile.imwrite(path, image, append=k > 0, photometric="miniswhite" if k else "minisblack")
    refused(path, "differ in data type (uint8, uint8, white is 0)")
