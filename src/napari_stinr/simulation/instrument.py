"""What a microscope does to a tilt series: its stage moves, its axis is off, its detector is not perfect.

A point of the specimen at (u, v), measured from the tilt axis and the middle row in pixels, is recorded at

    R(psi) (u + axis offset, v) + (dx, dy),

measured from the centre of the frame, with `R` the rotation by the axis rotation psi that takes x towards y, and its
intensity is the gain times the projection. All of it moves atoms before they are projected, so nothing is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from napari_stinr.data.checks import MINIMUM_TILTS
from napari_stinr.errors import StinrError
from napari_stinr.simulation.checked import CheckedSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

Exposure = Literal["constant", "1/cos"]

STEEPEST_TILT = 80.0
"""Largest tilt at which an exposure of 1/cos(tilt) is possible: 5.8 times that at 0 [degrees]."""
HOT_LEVEL = 10.0
"""What a hot pixel always shows, in units of the mean foreground."""
# Every quantity has a stream of its own, so that none changes when another is switched on.
_JITTER, _ANGLE, _GAIN, _HOT, _BLANK = range(1, 6)


class Instrument(CheckedSettings):
    """What the microscope does to the images; nothing by default.

    Parameters
    ----------
    drift_x, drift_y : float
        Shift of the image, 0 in the first projection and in proportion to the time up to this one in the last [px].
    jitter : float
        Standard deviation of a random shift of every image along x and along y [px].
    axis_offset : float
        Distance of the tilt axis from the centre of the image, along its x before the image is turned [px].
    axis_rotation : float
        Angle by which the image is turned, from x towards y [degrees].
    angle_error : float
        Standard deviation of true minus nominal tilt angle [degrees].
    gain_error : float
        Standard deviation of the intensity of every image, as a fraction.
    background : float
        Added to every pixel, as a fraction of the mean foreground, see `measurement_noise`.
    hot_pixels : float
        Fraction of the pixels that show `HOT_LEVEL` times the mean foreground in every image.
    blank_images : int
        Number of images for which the beam was off, any but the first in time: background and noise alone.
    exposure : {"constant", "1/cos"}
        ``1/cos``: the intensity follows 1 / cos(tilt), as where the dose follows the thickness.

    Raises
    ------
    StinrError
        A value is not possible.
    """

    drift_x: float = 0.0
    drift_y: float = 0.0
    jitter: float = Field(default=0.0, ge=0)
    axis_offset: float = 0.0
    axis_rotation: float = Field(default=0.0, ge=-45, le=45)
    angle_error: float = Field(default=0.0, ge=0, le=10)
    gain_error: float = Field(default=0.0, ge=0, le=0.3)
    background: float = Field(default=0.0, ge=0)
    hot_pixels: float = Field(default=0.0, ge=0, le=0.2)
    blank_images: int = Field(default=0, ge=0)
    exposure: Exposure = "constant"


@dataclass(frozen=True, eq=False)
class TruePose:
    """Where and how bright every image really was.

    Parameters
    ----------
    dx, dy : ndarray
        `(n_tilts,)` shift of the image [px].
    angle_error : ndarray
        `(n_tilts,)` true minus nominal tilt angle [degrees].
    gain : ndarray
        `(n_tilts,)` factor of the projection, exposure included; 0 in a blank image.
    is_blank : ndarray
        `(n_tilts,)` the beam was off.
    axis_offset : float
        Distance of the tilt axis from the centre of the image [px].
    axis_rotation : float
        Angle by which the images are turned [degrees].
    """

    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    angle_error: NDArray[np.float64]
    gain: NDArray[np.float64]
    is_blank: NDArray[np.bool_]
    axis_offset: float = 0.0
    axis_rotation: float = 0.0

    @property
    def moves_rows(self) -> bool:
        """Whether a detector row holds anything but its own slice, so that images do not repeat along y."""
        return bool(self.axis_rotation or self.dy.any())

    def placed(
        self, positions: NDArray[np.float64], index: int, shape: tuple[int, int], pixel_size: float
    ) -> NDArray[np.float64]:
        """Move image positions `(n_atoms, 2)` (u, v) [Å] to where projection `index` shows them."""
        height, width = shape
        shift = np.array([self.dx[index], self.dy[index]]) * pixel_size
        offset = np.array([self.axis_offset * pixel_size, 0.0])
        if not self.axis_rotation:
            return positions + (offset + shift)
        centre = np.array([width - 1, height - 1]) / 2 * pixel_size
        psi = np.deg2rad(self.axis_rotation)
        turn = np.array([[np.cos(psi), -np.sin(psi)], [np.sin(psi), np.cos(psi)]])
        return np.asarray((positions - centre + offset) @ turn.T + centre + shift)


def draw_pose(
    instrument: Instrument, tilt_angles: NDArray[np.float64], times: NDArray[np.float64], *, seed: int
) -> TruePose:
    """Draw what happens to every projection of a series.

    Parameters
    ----------
    instrument : Instrument
        How much of each.
    tilt_angles : ndarray
        `(n_tilts,)` nominal tilt angles [degrees].
    times : ndarray
        `(n_tilts,)` time of every projection, 0 to 1.
    seed : int
        Seed of all that is random.

    Returns
    -------
    TruePose
        One value for every projection.
    """
    n_tilts = len(tilt_angles)
    jitter = instrument.jitter * _stream(seed, _JITTER).standard_normal((2, n_tilts))
    is_blank = np.zeros(n_tilts, dtype=bool)
    # Never the first: it is the only one that shows the clean specimen.
    after = np.flatnonzero(times > times.min())
    is_blank[_stream(seed, _BLANK).permutation(after)[: instrument.blank_images]] = True
    gain = 1 + instrument.gain_error * _stream(seed, _GAIN).standard_normal(n_tilts)
    if instrument.exposure == "1/cos":
        gain = gain / np.cos(np.deg2rad(tilt_angles))
    return TruePose(
        dx=instrument.drift_x * times + jitter[0],
        dy=instrument.drift_y * times + jitter[1],
        angle_error=instrument.angle_error * _stream(seed, _ANGLE).standard_normal(n_tilts),
        gain=np.where(is_blank, 0.0, gain),
        is_blank=is_blank,
        axis_offset=instrument.axis_offset,
        axis_rotation=instrument.axis_rotation,
    )


def detect(
    images: NDArray[np.float32],
    noise: NDArray[np.float32],
    instrument: Instrument,
    *,
    foreground: float,
    seed: int,
) -> NDArray[np.float32]:
    """Return what a detector makes of images.

    Parameters
    ----------
    images : ndarray
        `(n_tilts, height, width)` projections, gain included [V·Å].
    noise : ndarray
        `(n_tilts, height, width)` noise [V·Å].
    instrument : Instrument
        Background and hot pixels.
    foreground : float
        Mean foreground that both are measured against [V·Å].
    seed : int
        Seed of which pixels are hot.

    Returns
    -------
    ndarray
        `(n_tilts, height, width)` what is recorded [V·Å].
    """
    recorded = images + noise
    if instrument.background:
        recorded += np.float32(instrument.background * foreground)
    n_pixels = recorded[0].size
    hot = _stream(seed, _HOT).permutation(n_pixels)[: round(instrument.hot_pixels * n_pixels)]
    recorded.reshape(len(recorded), n_pixels)[:, hot] = HOT_LEVEL * foreground
    return recorded


def check_instrument(instrument: Instrument, tilt_angles: NDArray[np.float64]) -> None:
    """Refuse, with a StinrError, more blank images than a series can do without, and an exposure without end."""
    steepest = float(np.abs(tilt_angles).max())
    if instrument.exposure == "1/cos" and steepest > STEEPEST_TILT:
        raise StinrError(
            f"the exposure follows 1/cos(tilt) up to {steepest:g} degrees",
            expected=f"tilt angles within {STEEPEST_TILT:g} degrees of 0",
            cure="Give a smaller tilt range, such as -70 70 2, or a constant exposure.",
        )
    most = max(0, len(tilt_angles) - MINIMUM_TILTS)
    if instrument.blank_images > most:
        raise StinrError(
            f"{instrument.blank_images} of {len(tilt_angles)} images shall be blank",
            expected=f"at most {most}",
            cure="Give fewer blank images, or more tilts.",
        )


def _stream(seed: int, quantity: int) -> np.random.Generator:
    return np.random.default_rng([quantity, seed])
