"""What in an exposure a network was not trained on, in words, with what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.prediction.light_peaks import joined, light_peaks
from deepcr_lightning.prediction.star_widths import CHANCE, Stars, are_drawn_out, stars_of
from deepcr_lightning.prediction.summary import ODD_FACTOR, Row
from deepcr_lightning.tiles.sky import sky_and_noise

_SKY_SAMPLE = 65_536
# The least that sky_and_noise says, where most neighbours are equal.
_NOISE_FLOOR = 0.1
_RUN, _EVERY, _MIDDLE = 64, 4, 512
_LINES = 0.1
_LEEWAY = 1.1
_STARS_FLAGGED, _FEWEST_FLAGGED = 0.05, 3
_PIXELS_FLAGGED = 0.3


@dataclass(frozen=True)
class Sight:
    """What an exposure looks like.

    Attributes
    ----------
    stars : Stars
        None are counted in a spectrum or where stars are trailed.
    spectrum, trailed : bool
        Whether it is a spectrum, or an image whose stars are all long in one direction.
    noise : float
        Noise in electrons of the chip that has the least.
    """

    stars: Stars
    spectrum: bool
    trailed: bool
    noise: float


def look_at(exposure: Exposure, masks: Sequence[NDArray[np.bool_]]) -> Sight:
    """Measure what an exposure looks like.

    Parameters
    ----------
    exposure : Exposure
    masks : sequence of ndarray of bool, shape (H, W)
        Pixels of each chip that are flagged as cosmic rays. They decide how many stars are flagged, and nothing else.

    Returns
    -------
    Sight
    """
    found, noises, spectrum = [], [], str(exposure.header.get("OBSTYPE", "")).upper().startswith("SPECTR")
    for chip, mask in zip(exposure.chips, masks, strict=True):
        usable = ~chip.unusable
        rows = slice(None, None, max(1, chip.electrons.size // _SKY_SAMPLE))
        sky, noise = sky_and_noise(chip.electrons[rows], usable[rows])
        found.append(light_peaks(chip.electrons, usable, mask, sky, noise))
        noises.append(noise)
        spectrum = spectrum or has_lines(chip.electrons, noise)
    scales = [joined(parts) for parts in zip(*found, strict=True)]
    trailed = not spectrum and are_drawn_out(scales)
    stars = Stars(math.nan, 0, 0, scales[0].peaks) if spectrum or trailed else stars_of(scales)
    return Sight(stars, spectrum, trailed, min(noises))


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


def unlike_training(sight: Sight, row: Row, widths: Sequence[float] | None) -> list[str]:
    """Say what in an exposure its network was not trained on, each with its cure.

    Parameters
    ----------
    sight : Sight
    row : Row
        Its row of the summary.
    widths : (float, float), optional
        FWHM in pixels of the narrowest and the widest stars that the network was trained on, if it knows them.

    Returns
    -------
    list of str
        Empty if nothing is odd.
    """
    found = []
    if sight.spectrum:
        found.append("it is a spectrum (look at its mask; a model trained on such spectra may do better)")
    if sight.trailed:
        found.append(
            "its stars are trailed (look at its mask; raise threshold= if they are flagged, or fine-tune with init=)"
        )
    if sight.noise <= _NOISE_FLOOR:
        found.append(
            f"its noise is {_NOISE_FLOOR} electrons or less, as of coarse integers or of wrong units (check units= and "
            "gain=, or take another model)"
        )
    return found + _of_stars(sight.stars, widths) + _of_pixels(row)


def _of_stars(stars: Stars, widths: Sequence[float] | None) -> list[str]:
    found = []
    if widths is not None and stars.count:
        low, high = widths
        kind = "sharper" if stars.width * _LEEWAY < low else "broader" if stars.width > _LEEWAY * high else ""
        if kind:
            found.append(
                f"its stars are {stars.width:.1f} pixels wide, {kind} than those of the training, {low:g} to {high:g} "
                "(fine-tune on such exposures, or take another model)"
            )
    # CRs that pass for stars are flagged, and rightly.
    if stars.flagged >= max(_FEWEST_FLAGGED, _STARS_FLAGGED * stars.count + CHANCE * stars.peaks):
        found.append(f"{stars.flagged} of {stars.count} stars are flagged (raise threshold=, or fine-tune)")
    return found


def _of_pixels(row: Row) -> list[str]:
    expected = row.expected > 0
    if not (row.oddity > ODD_FACTOR and row.flagged > row.expected if expected else row.flagged > _PIXELS_FLAGGED):
        return []
    beside = f" where {100 * row.expected:.2g} % are expected" if expected else ""
    return [f"{100 * row.flagged:.2g} % of its pixels are flagged{beside} (raise threshold=, or take another model)"]
