"""Units of a FITS image, converted to electrons at the door."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from deepcr_lightning.errors import InputError

_SPELLINGS = {
    "ELECTRONS": ("ELECTRONS", "ELECTRON", "E-", "E"),
    "COUNTS": ("COUNTS", "COUNT", "DN", "ADU"),
}
_PER_SECOND = ("/S", "/SEC", "/SECOND", " S-1", ".S-1", " S**-1")
UNITS = ("ELECTRONS", "ELECTRONS/S", "COUNTS", "COUNTS/S")


@dataclass(frozen=True)
class ReadSettings:
    """What to assume of a file whose header does not say; a header that does say always wins.

    Attributes
    ----------
    units : str, optional
        One of `UNITS`, where BUNIT is missing or unknown.
    gain : float, optional
        Electrons per count, where the header has no gain.
    exposure_time : float, optional
        Seconds, where EXPTIME is missing or zero.

    Raises
    ------
    InputError
        If a value is not one of these.
    """

    units: str | None = None
    gain: float | None = None
    exposure_time: float | None = None

    def __post_init__(self) -> None:
        if self.units is not None and canonical_unit(self.units) is None:
            raise InputError(f"units={self.units}: not a known unit; choose one of {', '.join(UNITS)}")
        for name in ("gain", "exposure_time"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name}={value}: must be positive")


def canonical_unit(unit: str) -> str | None:
    """Find which of `UNITS` a BUNIT means.

    Parameters
    ----------
    unit : str
        As in a header, in any spelling and case: ``"electrons/s"``, ``"e-"``, ``"DN"``.

    Returns
    -------
    str or None
        None if it means none of them.
    """
    text = unit.strip().upper().replace(" / ", "/")
    rate = ""
    for ending in _PER_SECOND:
        if text.endswith(ending):
            text, rate = text[: -len(ending)].strip(), "/S"
            break
    return next((name + rate for name, spellings in _SPELLINGS.items() if text in spellings), None)


def electrons_per_unit(
    where: str,
    primary: fits.Header,
    image: fits.Header,
    exposure_time: float,
    settings: ReadSettings,
) -> float:
    """Find the number of electrons that one unit of a SCI array stands for.

    Parameters
    ----------
    where : str
        File and extension, for messages.
    primary, image : fits.Header
        Primary header and the header of the image.
    exposure_time : float
        Seconds, for rates.
    settings : ReadSettings

    Returns
    -------
    float
        Electrons per unit.

    Raises
    ------
    InputError
        If BUNIT is missing or unknown, or counts come without a gain.
    """
    unit = image.get("BUNIT") or primary.get("BUNIT")
    known = canonical_unit(str(unit)) if unit else None
    if known is None and settings.units is not None:
        known = canonical_unit(settings.units)
    if known is None:
        found = f"BUNIT is {str(unit)!r}" if unit else "BUNIT is missing"
        raise InputError(
            f"{where}: {found}; say what it is with units=ELECTRONS or {', '.join(UNITS[1:])} (train.py: data.units=)"
        )
    factor = 1.0
    if known.startswith("COUNTS"):
        factor *= _gain(where, primary, image, settings)
    if known.endswith("/S"):
        factor *= exposure_time
    return factor


def _gain(where: str, primary: fits.Header, image: fits.Header, settings: ReadSettings) -> float:
    # ATODGN* are the measured gains of the amplifiers; raw files carry zeros there and the commanded gain beside.
    for keys in (("ATODGNA", "ATODGNB", "ATODGNC", "ATODGND"), ("GAIN", "EGAIN", "CCDGAIN")):
        values = [header[key] for header in (image, primary) for key in keys if key in header]
        positive = [float(value) for value in values if isinstance(value, int | float) and value > 0]
        if positive:
            return float(np.mean(positive))
    if settings.gain is not None:
        return settings.gain
    raise InputError(
        f"{where}: counts without a gain in the header; give electrons per count with gain=VALUE (train.py: data.gain=)"
    )
