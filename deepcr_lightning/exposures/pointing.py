"""Where the chips of an exposure point: the WCS of their headers."""

from __future__ import annotations

import warnings

from astropy.wcs import WCS, FITSFixedWarning

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import sound
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.layout import open_fits


def read_pointings(exposure: Exposure) -> dict[int, WCS]:
    """Read the WCS of each chip, with distortions and look-up tables where the file has them.

    Parameters
    ----------
    exposure : Exposure

    Returns
    -------
    dict of int to WCS
        By EXTVER (1 for a plain image). A chip whose header has no celestial WCS is left out.

    Raises
    ------
    InputError
        If a WCS is there and cannot be understood.
    """
    found = {}
    with open_fits(exposure.path) as (hdus, _), warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # dates written in an old way
        for chip in exposure.chips:
            header, _ = sound(exposure.path.name, hdus[chip.place.image].header)
            if "CTYPE1" not in header:
                continue
            try:
                wcs = WCS(header, hdus)
            except Exception as error:  # wcslib raises a dozen kinds
                reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
                raise InputError(
                    f"{exposure.path}[SCI,{chip.extver}]: its WCS cannot be read ({reason}); correct or remove it"
                ) from error
            if wcs.has_celestial and wcs.naxis == 2:
                found[chip.extver] = wcs
    return found
