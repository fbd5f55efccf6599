"""What an exposure looks like: how wide its stars are, whether they are trailed, whether it is a spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.exposures.cards import text
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.instruments import SPECTROGRAPHS
from deepcr_lightning.exposures.sky import sky_noise_and_floor
from deepcr_lightning.sights.light_peaks import joined, light_peaks
from deepcr_lightning.sights.star_widths import Stars, are_drawn_out, stars_of

_SKY_SAMPLE = 65_536
_RUN, _EVERY, _MIDDLE = 64, 4, 512
_LINES = 0.1


@dataclass(frozen=True)
class Sight:
    """What an exposure looks like.

    Attributes
    ----------
    stars : Stars
        None are counted in a spectrum or where stars are trailed.
    spectrum, trailed : bool
        Whether it is a spectrum, or an image whose stars are all long in one direction.
    at_floor : bool
        Whether the noise of a chip is not to be measured, since most neighbours are equal (`sky.sky_noise_and_floor`).
    """

    stars: Stars
    spectrum: bool
    trailed: bool
    at_floor: bool


def look_at(exposure: Exposure, masks: Sequence[NDArray[np.bool_]] | None = None) -> Sight:
    """Measure what an exposure looks like.

    Parameters
    ----------
    exposure : Exposure
    masks : sequence of ndarray of bool, shape (H, W), optional
        Pixels of each chip that are flagged as cosmic rays. They decide how many stars are flagged, and nothing else.

    Returns
    -------
    Sight
    """
    found, lost, spectrum = [], False, is_of_spectrum(exposure)
    masks = [np.zeros(chip.electrons.shape, bool) for chip in exposure.chips] if masks is None else masks
    for chip, mask in zip(exposure.chips, masks, strict=True):
        usable = ~chip.unusable
        sky, noise, floor = sky_noise_and_floor(chip.electrons, usable, _SKY_SAMPLE)
        found.append(light_peaks(chip.electrons, usable, mask, sky, noise))
        lost = lost or noise <= floor
        spectrum = spectrum or has_lines(chip.electrons, noise)
    scales = [joined(parts) for parts in zip(*found, strict=True)]
    trailed = not spectrum and are_drawn_out(scales)
    stars = Stars(math.nan, 0, 0, scales[0].peaks) if spectrum or trailed else stars_of(scales)
    return Sight(stars, spectrum, trailed, lost)


def is_of_spectrum(exposure: Exposure) -> bool:
    """Tell from its header (OBSTYPE, INSTRUME) whether an exposure is a spectrum."""
    return text(exposure.header, "OBSTYPE").startswith("SPECTR") or exposure.instrument in SPECTROGRAPHS


def has_lines(electrons: NDArray[np.float32], noise: float) -> bool:
    """Tell whether light is constant along rows or columns, as in the spectrum of a slit.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
        Chip in electrons.
    noise : float
        Noise of a pixel in electrons.

    Returns
    -------
    bool
        True if at 10 % of the places the median of a run of 64 pixels differs by more than the noise of a pixel from
        that of the run two pixels aside, and so does that of the next run, in the same sense.

    Notes
    -----
    Places where the two differ in opposite senses are taken off, since in a crowd of stars half of them do. The middle
    512 x 512 pixels are looked at.
    """
    starts = [max(0, (length - _MIDDLE) // 2) for length in electrons.shape]
    middle = electrons[tuple(slice(start, start + _MIDDLE) for start in starts)]
    return any(_share_of_lines(image, noise) > _LINES for image in (middle, middle.T))


def _share_of_lines(image: NDArray[np.float32], noise: float) -> float:
    rows, columns = image.shape
    runs = rows // _RUN
    if runs < 2 or columns < 3:
        return 0.0
    profiles = np.median(image[: runs * _RUN : _EVERY].reshape(runs, -1, columns), axis=1)
    steps = (profiles[:, 2:] - profiles[:, :-2]) / noise
    here, beyond = steps[:-1], steps[1:]
    differ = (np.abs(here) > 1) & (np.abs(beyond) > 1)
    return float(np.mean(differ * np.sign(here * beyond)))
