"""One chip of an exposure in electrons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.exposures.array import finite_electrons
from deepcr_lightning.exposures.blanks import undefined_integers
from deepcr_lightning.exposures.cards import number, text
from deepcr_lightning.exposures.chips import ChipPlace, dq_plane, is_null, plane
from deepcr_lightning.exposures.dq import SATURATION
from deepcr_lightning.exposures.instruments import cosmic_ray_time, instrument_of, unusable_bits
from deepcr_lightning.exposures.saturation import saturated_pixels
from deepcr_lightning.exposures.sections import overscan
from deepcr_lightning.exposures.units import ReadSettings, read_signal
from deepcr_lightning.exposures.wcs_cards import wcs_cards


@dataclass(frozen=True, eq=False)
class Chip:
    """One chip of an exposure.

    Attributes
    ----------
    place : ChipPlace
        Where it stands in its file.
    number : int
        CCDCHIP, which chip of the detector it is; EXTVER where the header does not say.
    corner : (float, float)
        Place of its first pixel on the detector, as LTV1 and LTV2 give it; (0, 0) for a full frame.
    electrons : ndarray of float32, shape (H, W)
        Signal in electrons, finite everywhere.
    dq : ndarray of uint16, shape (H, W)
        DQ bits as they stand in the file, 0 where it has none.
    unusable : ndarray of bool, shape (H, W)
        Pixels that DQ calls unusable (`dq.UNUSABLE`), that are saturated, in a block of zeros or in trimmed overscan,
        or that were NaN or infinite.
    saturated : ndarray of bool, shape (H, W)
        Those of them that are unusable for saturation alone.
    electrons_per_unit : float
        Electrons per unit of the file's SCI array.
    exposure_time : float
        EXPTIME in seconds; NaN where nobody says and the caller does not need it.
    cr_time : float
        Seconds during which the pixels collected cosmic rays (`instruments.cosmic_ray_time`).
    wcs : fits.Header
        Cards of the WCS of its image (`wcs_cards.wcs_cards`); empty where it has none.
    """

    place: ChipPlace
    number: int
    corner: tuple[float, float]
    electrons: NDArray[np.float32]
    dq: NDArray[np.uint16]
    unusable: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    electrons_per_unit: float
    exposure_time: float
    cr_time: float
    wcs: fits.Header

    @property
    def extver(self) -> int:
        """EXTVER of its image, or its place among the chips of a file whose extensions have none of their own."""
        return self.place.extver


def read_chip(
    path: Path,
    hdus: fits.HDUList,
    place: ChipPlace,
    heads: tuple[tuple[fits.Header, list[str]], tuple[fits.Header, list[str]]],
    settings: ReadSettings,
    timed: bool,
) -> Chip:
    """Read one chip of an open file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    hdus : fits.HDUList
    place : ChipPlace
        Place of the chip in the file, from `chips.find_chips`.
    heads : (fits.Header, list of str), (fits.Header, list of str)
        Its header and the primary one, each with the keywords of its broken cards (`cards.sound`).
    settings : ReadSettings
    timed : bool
        Whether the exposure time is needed even where no unit is per second.

    Returns
    -------
    Chip

    Raises
    ------
    InputError
        As `exposure.read_exposure`.
    """
    hdu = hdus[place.image]
    where = f"{path}[{hdu.name or place.image},{place.extver}]"
    (header, broken), (primary, more_broken) = heads
    headers = (header, primary)
    signal = read_signal(where, headers, settings, broken=[*broken, *more_broken], timed=timed)
    image, row = plane(hdu), instrument_of(text(primary, "INSTRUME"), text(primary, "DETECTOR"))
    quality = None if place.dq is None else hdus[place.dq]
    bits = np.zeros(image.shape, np.uint16) if quality is None else dq_plane(where, quality, image.shape)
    dq = np.asarray(bits).astype(np.uint16)
    unusable, saturation = unusable_bits(row), unusable_bits(row, SATURATION)
    told = row.dq is not None and quality is not None and not is_null(quality)
    full = saturated_pixels(path.name, image, headers, settings.saturation, told) | ((dq & saturation) != 0)
    bad = ((dq & (unusable & ~saturation)) != 0) | overscan(where, header, image.shape, settings.trim)
    bad |= undefined_integers(image, header)
    electrons, lost = finite_electrons(where, image, signal.electrons_per_unit, bad | full)
    flash = max(number(headers[::-1], "FLASHDUR"), 0.0)
    return Chip(
        place=place,
        number=int(number((header,), "CCDCHIP")) or place.extver,
        corner=(number((header,), "LTV1"), number((header,), "LTV2")),
        electrons=electrons,
        dq=dq,
        unusable=lost,
        saturated=_but_finite(full, bad, image) if full.any() else full,
        electrons_per_unit=signal.electrons_per_unit,
        exposure_time=signal.exposure_time,
        cr_time=cosmic_ray_time(signal.exposure_time, flash, row, image.shape),
        wcs=wcs_cards(header),
    )


def _but_finite(full: NDArray[np.bool_], bad: NDArray[np.bool_], image: NDArray) -> NDArray[np.bool_]:
    """Pixels that are full and not bad, and hold a number; looked at in these few alone."""
    found: NDArray[np.bool_] = full & ~bad
    found[found] = np.isfinite(image[found])
    return found
