"""One chip that is an array in memory, in electrons: its unit, mask and header read as those of a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.masked import Masked
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.array import finite_electrons
from deepcr_lightning.exposures.cards import GAIN_KEYS, TIME_KEYS, as_number, in_ascii, sound
from deepcr_lightning.exposures.saturation import saturated_pixels
from deepcr_lightning.exposures.units import ARRAYS, UNITS, ReadSettings, canonical_unit, read_signal

if TYPE_CHECKING:
    from astropy.nddata import NDData

_COUNTS = (u.adu, u.ct, u.Unit("DN"))
_GAINS = tuple(u.electron / count for count in _COUNTS)
_BASES = {
    "ELECTRONS": (u.electron,),
    "ELECTRONS/S": (u.electron / u.s,),
    "COUNTS": _COUNTS,
    "COUNTS/S": tuple(count / u.s for count in _COUNTS),
}
_LONGEST = 60
_CARD_UNITS: dict[str, tuple[u.UnitBase, ...]] = {
    **dict.fromkeys(TIME_KEYS, (u.s,)),
    **dict.fromkeys(sum(GAIN_KEYS, ()), (*_GAINS, u.dimensionless_unscaled)),
    **dict.fromkeys(("BUNIT", "SATURATE", "INSTRUME", "DETECTOR"), ()),
}


def electrons_of_array(
    image: Any,
    unit: str | u.UnitBase | None = None,
    gain: Any = None,
    exptime: Any = None,
    mask: Any = None,
    saturation: Any = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], float]:
    """Read an array as one chip in electrons.

    Parameters
    ----------
    image : array_like, Quantity, Masked, NDData or CCDData, shape (H, W)
        Its own unit, mask and header (``meta``) count. A plain array is in electrons.
    unit : str or Unit, optional
        What the values are, whatever the image says itself.
    gain, exptime, saturation : float or Quantity, optional
        Electrons per count, seconds, and the value at which a pixel is saturated, whatever its header says.
    mask : array_like of bool, shape (H, W), optional
        Pixels of no use, beside those that the image masks itself.

    Returns
    -------
    electrons : ndarray of float32, shape (H, W)
        Finite everywhere.
    unusable : ndarray of bool, shape (H, W)
    electrons_per_unit : float
        Electrons that a value of 1 in the image stands for.

    Raises
    ------
    InputError
        If the image is not two-dimensional and real, has no usable pixel, or its unit is not known.
    """
    broken: list[str] = []
    header, masks, own = fits.Header(), [] if mask is None else [mask], None
    plain = not (is_nddata(image) or isinstance(image, u.Quantity))
    if is_nddata(image):
        meta, broken = sound("image", image.meta) if isinstance(image.meta, fits.Header) else (image.meta, [])
        header.update(_cards(meta, image.unit))
        masks += [] if image.mask is None else [image.mask]
        own, image = image.unit, image.data
    if isinstance(image, Masked):
        masks.append(image.mask)
        image = image.unmasked
        plain = plain and not isinstance(image, u.Quantity)
    if np.ma.isMA(image):
        masks.append(np.ma.getmaskarray(image))
    if isinstance(image, u.Quantity):
        own, image = image.unit, image.value
    pixels = np.asarray(image)
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.kind not in "iuf":
        raise InputError(
            f"image: has shape {pixels.shape} and type {pixels.dtype}; give one chip, a 2-D array of real numbers"
        )
    typed, scale = _unit("unit", "ELECTRONS" if plain and unit is None else unit)
    if own is not None:
        known, scale = _unit("image", own) if typed is None else (str(own), scale)
        header["BUNIT"] = known
    settings = ReadSettings(
        typed,
        _plain("gain", gain, _CARD_UNITS["GAIN"]),
        _plain("exptime", exptime, (u.s,)),
        _plain("saturation", saturation, (own,) if own is not None else _BASES.get(typed or "", ())),
    )
    signal = read_signal("image", (header,), settings, ARRAYS, broken)
    unusable = saturated_pixels("image", pixels, (header,), settings.saturation, known=False)
    hidden = np.zeros(pixels.shape, bool)
    for given in masks:
        values = np.asarray(given)
        if values.dtype.kind not in "biuf" or values.shape not in ((), pixels.shape):
            raise InputError(
                f"mask: has shape {values.shape} and type {values.dtype}, but the image has shape {pixels.shape}; "
                "give a boolean mask of the same shape"
            )
        hidden |= values.astype(bool)
    factor = signal.electrons_per_unit * scale
    # What stands under a mask means nothing: a network that does not close gaps itself is not to see it.
    seen = np.where(hidden, np.float32(np.nan), pixels) if hidden.any() else pixels
    return *finite_electrons("image", seen, factor, unusable), factor


def is_nddata(image: Any) -> TypeGuard[NDData]:
    """Tell whether an image is an NDData or a CCDData.

    Parameters
    ----------
    image : Any

    Returns
    -------
    bool
        False without an import of astropy.nddata, which takes a third of PyTorch's time: where nothing has imported
        it, there is no such image.
    """
    nddata = sys.modules.get("astropy.nddata")
    return nddata is not None and isinstance(image, nddata.NDData)


def _unit(name: str, value: str | u.UnitBase | None) -> tuple[str | None, float]:
    """Find which of `UNITS` a unit is, and how many of that it is."""
    if value is None:
        return None, 1.0
    if isinstance(value, u.UnitBase):
        for known, bases in _BASES.items():
            for base in (*bases, *(base / u.pix for base in bases)):
                if value.is_equivalent(base):
                    return known, float(value.to(base))
    else:
        known_text = canonical_unit(str(value))
        if known_text is not None:
            return known_text, 1.0
    found = f"unit={value}" if name == "unit" else f"{name}: its unit {str(value) or '(none)'}"
    raise InputError(f"{found} cannot be converted to electrons; give unit= as one of {', '.join(UNITS)}")


def _plain(name: str, value: Any, units: tuple[u.UnitBase, ...]) -> float | None:
    """Make a positive number of what the user gives: a number of any type, text, or a quantity."""
    if value is None:
        return None
    if isinstance(value, u.Quantity) and units:
        fitting = next((unit for unit in units if value.unit.is_equivalent(unit)), None)
        if fitting is None:
            raise InputError(f"{name}={value}: is not in {units[0]}")
        value = value.to_value(fitting)
    found = as_number(value.item() if isinstance(value, np.ndarray) and value.size == 1 else value)
    if found is None or not found > 0:
        raise InputError(f"{name}={value}: must be a positive number")
    return found


def _cards(meta: Mapping[Any, Any], unit: u.UnitBase | None) -> dict[str, Any]:
    """Take the cards that tell units, gain, time and saturation, as plain values, whatever the case of their keys."""
    cards: dict[str, Any] = {}
    for key, value in meta.items():
        name = key.upper() if isinstance(key, str) else ""
        if name not in _CARD_UNITS or name in cards or value is None:  # of two of a name the first counts, as in files
            continue
        if isinstance(value, u.Quantity):
            value = _plain(f"meta[{key!r}]", value, _CARD_UNITS[name] or (() if unit is None else (unit,)))
        number = as_number(value.item() if isinstance(value, np.ndarray) and value.size == 1 else value)
        cards[name] = in_ascii(str(value))[:_LONGEST] if number is None else number
    return cards
