"""Where an exposure was taken, as its header says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepcr_lightning.exposures.instruments import CAMERAS_OF_HUBBLE

_IN_SPACE = ("HST", "HUBBLE", "EUCLID", "KEPLER", "TESS", "CHEOPS", "JWST", "CSST", "ROMAN")
_HUBBLE = ("HST", "HUBBLE")


def in_space(header: Mapping[str, Any]) -> bool:
    """Tell whether an exposure was taken in space.

    Parameters
    ----------
    header : mapping of str
        Header, or the ``meta`` of an array, in which keys of any case count.

    Returns
    -------
    bool
        True if TELESCOP names a space telescope, or INSTRUME a camera of HST.
    """
    return _says(header, "TELESCOP").startswith(_IN_SPACE) or by_hubble(header)


def by_hubble(header: Mapping[str, Any]) -> bool:
    """Tell whether an exposure was taken by HST.

    Parameters
    ----------
    header : mapping of str
        Header, or the ``meta`` of an array, in which keys of any case count.

    Returns
    -------
    bool
        True if TELESCOP names HST, or INSTRUME one of its CCD cameras and TELESCOP no other telescope.
    """
    telescope = _says(header, "TELESCOP")
    return telescope.startswith(_HUBBLE) or (not telescope and _says(header, "INSTRUME") in CAMERAS_OF_HUBBLE)


def _says(header: Mapping[str, Any], key: str) -> str:
    for name in (key, key.lower(), key.title()):
        if name in header:
            return str(header[name]).strip().upper()
    return ""
