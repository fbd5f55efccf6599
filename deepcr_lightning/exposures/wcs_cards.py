"""The cards of a header that say where its image points, for the products made of it."""

from __future__ import annotations

import re

from astropy.io import fits

_CARDS = re.compile(
    r"WCSAXES|WCSNAME|(?:CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[12]|(?:CD|PC)[12]_[12]|PV[12]_\d+|PS[12]_\d+|WAT\d_\d+"
    r"|(?:A|B|AP|BP)_(?:ORDER|DMAX|\d+_\d+)|LONPOLE|LATPOLE|RADESYS|RADECSYS|EQUINOX|EPOCH|MJD-OBS|DATE-OBS"
    r"|LTV[12]|LTM[12]_[12]|CCDCHIP"
)


def wcs_cards(header: fits.Header) -> fits.Header:
    """Copy the cards of the primary WCS, with SIP, TPV and TNX distortions, and those of the place on the detector.

    Parameters
    ----------
    header : fits.Header
        Header of an image.

    Returns
    -------
    fits.Header
        Empty where the image has none. Cards that point to look-up tables in other extensions of the file
        (``CPDIS``, ``D2IMDIS``) are left out, since the extensions stay there.
    """
    return fits.Header([card for card in header.cards if _CARDS.fullmatch(card.keyword)])
