"""Units of an image, converted to electrons at the door."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from astropy.io import fits

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import GAIN_KEYS, TIME_KEYS, as_number, gain_of, numbers, positive
from deepcr_lightning.exposures.remarks import remark

_SPELLINGS = {
    "ELECTRONS": ("ELECTRONS", "ELECTRON", "E-", "E", "PHOTOELECTRONS", "PHOTOELECTRON"),
    "COUNTS": ("COUNTS", "COUNT", "CT", "CTS", "DN", "DNS", "ADU", "ADUS"),
}
_PER = r"(?:\s*/\s*{0}|[\s.*]+{0}\s*(?:\^|\*\*)?\s*\(?-1\)?|\s+PER\s+{0})"
_PER_PIXEL = re.compile(_PER.format(r"PIX(?:EL)?S?") + r"(?![A-Z])")
_PER_SECOND = re.compile(_PER.format(r"S(?:EC(?:OND)?S?)?") + "$")
_NUMBERS = {"gain", "exposure_time", "saturation"}
UNITS = ("ELECTRONS", "ELECTRONS/S", "COUNTS", "COUNTS/S")
_ALIKE, _SAME_GAIN = 1e-3, 0.1
_MOST_GAIN = 20.0
"""Electrons per count of the coarsest CCD cameras; what is above is rather a setting of an amplifier."""


@dataclass(frozen=True)
class ReadSettings:
    """What the user says of the files; it wins over their headers.

    Attributes
    ----------
    units : str, optional
        One of `UNITS`; that of BUNIT by default.
    gain : float, optional
        Electrons per count; that of the header by default.
    exposure_time : float, optional
        Seconds; EXPTIME by default.
    saturation : float, optional
        Value of the file from which a pixel is saturated; SATURATE by default, where there is no DQ.
    extensions : tuple of str or int, optional
        Names or numbers of the extensions to read (`exposures.chips.find_chips`).
    trim : bool
        Leave out the overscan that DATASEC, TRIMSEC or BIASSEC names.

    Raises
    ------
    InputError
        If a value is not one of these.
    """

    units: str | None = None
    gain: float | None = None
    exposure_time: float | None = None
    saturation: float | None = None
    extensions: tuple[str | int, ...] | None = None
    trim: bool = False

    def __post_init__(self) -> None:
        if self.units is not None and canonical_unit(str(self.units)) is None:
            raise InputError(f"units={self.units}: not a known unit; choose one of {', '.join(UNITS)}")
        for name in sorted(_NUMBERS):
            value = getattr(self, name)
            if value is not None and (isinstance(value, str) or not (as_number(value) or 0) > 0):
                raise InputError(f"{name}={value}: must be a positive number")
        if not isinstance(self.trim, bool):
            raise InputError(f"trim={self.trim}: must be true or false")
        if self.extensions is not None and not (
            self.extensions and all(isinstance(one, str | int) and not isinstance(one, bool) for one in self.extensions)
        ):
            given = ", ".join(str(one) for one in self.extensions)
            raise InputError(f"extensions=[{given}]: give names or numbers of extensions")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ReadSettings:
        """Take the settings from the options of a command, which may have further ones.

        Parameters
        ----------
        options : mapping
            `extensions` is a name, a number, or a list of these.

        Returns
        -------
        ReadSettings
        """
        given = {field.name: options[field.name] for field in fields(cls) if options.get(field.name) is not None}
        if "extensions" in given:
            chosen = given["extensions"]
            several = isinstance(chosen, Sequence) and not isinstance(chosen, str)
            given["extensions"] = tuple(chosen) if several else (chosen,)
        texts = {name: given[name] for name in _NUMBERS if isinstance(given.get(name), str)}
        given |= {name: as_number(text) or text for name, text in texts.items()}
        return cls(**given)


@dataclass(frozen=True)
class Words:
    """What the options are called where an image comes in.

    Attributes
    ----------
    units, gain, exposure_time : str
        Names of the options.
    unit_card : str
        Where an image has its unit.
    said : str
        Begins what it says itself.
    prefix : str
        What stands before these names in train.py; empty where they are no options.
    """

    units: str = "units"
    gain: str = "gain"
    exposure_time: str = "exposure_time"
    unit_card: str = "BUNIT"
    said: str = "the header says"
    prefix: str = "data."


FILES = Words()
ARRAYS = Words("unit", "gain", "exptime", "its unit", "the image says", "")


@dataclass(frozen=True)
class Signal:
    """How the values of an image become electrons.

    Attributes
    ----------
    electrons_per_unit : float
        Electrons that a value of 1 stands for.
    exposure_time : float
        Seconds; NaN where nobody says, and nothing needs it.
    """

    electrons_per_unit: float
    exposure_time: float


def canonical_unit(unit: str) -> str | None:
    """Find which of `UNITS` a BUNIT means.

    Parameters
    ----------
    unit : str
        As in a header, in any spelling and case: ``"electrons/s"``, ``"e-"``, ``"DN"``, ``"ct s^-1"``,
        ``"adu/pixel"``.

    Returns
    -------
    str or None
        None if it means none of them.
    """
    text = _PER_PIXEL.sub("", unit.strip().upper()).strip()
    base = _PER_SECOND.sub("", text).strip()
    rate = "/S" if base != text else ""
    return next((name + rate for name, spellings in _SPELLINGS.items() if base in spellings), None)


def read_signal(
    where: str,
    headers: Sequence[fits.Header],
    settings: ReadSettings,
    words: Words = FILES,
    broken: Sequence[str] = (),
    timed: bool = False,
) -> Signal:
    """Find the number of electrons that one unit of an image stands for, and how long it was exposed.

    Parameters
    ----------
    where : str
        File and extension, for messages.
    headers : sequence of fits.Header
        That of the image and the primary one; the first that says something counts.
    settings : ReadSettings
        What the user says, which wins; a remark tells what the header had said.
    words : Words
        What the options are called, for messages.
    broken : sequence of str
        Keywords of cards that could not be understood.
    timed : bool
        Whether the exposure time is needed even where no unit is per second.

    Returns
    -------
    Signal

    Raises
    ------
    InputError
        If the unit is missing or unknown, counts come without a gain, or a time that is needed is not there. All that
        is missing is named at once.
    """
    short = where.rpartition("/")[2]
    raw = next((header["BUNIT"] for header in headers if header.get("BUNIT")), None)
    said = canonical_unit(str(raw)) if raw else None
    typed = canonical_unit(settings.units) if settings.units is not None else None
    unit = typed or said
    seconds, gain = _time(short, headers, settings, words), _gain(short, headers, settings, words, unit or "")
    if typed and raw and typed != said:
        remark(short, f"{words.units}={settings.units} is used; {words.said} {words.unit_card} is {str(raw)!r}")
    missing, cures = [], []
    if unit is None:
        found = f"is {str(raw)!r}" if raw else "is not a valid card" if "BUNIT" in broken else "is missing"
        missing.append(f"{words.unit_card} {found}")
        cures.append(f"{words.units}=ELECTRONS (or {', '.join(UNITS[1:])})")
    if not gain and (unit is None or unit.startswith("COUNTS")):
        missing.append(_found(headers, sum(GAIN_KEYS, ()), broken) or "no card has a gain")
        cures.append(f"{words.gain}=VALUE (electrons per count)" + (" for counts" if unit is None else ""))
    if not seconds and (timed or unit is None or unit.endswith("/S")):
        missing.append(_found(headers, TIME_KEYS, broken) or "EXPTIME is missing")
        needed = timed or (unit is not None and unit.endswith("/S"))
        cures.append(f"{words.exposure_time}=SECONDS" + ("" if needed else " for a unit per second"))
    if missing:
        names = ", ".join(f"{words.prefix}{cure.partition('=')[0]}=" for cure in cures)
        hint = f" (train: {names})" if words.prefix else ""
        raise InputError(f"{where}: {_listed(missing)}; give {_listed(cures)}{hint}")
    assert unit is not None
    factor = (gain if unit.startswith("COUNTS") else 1.0) * (seconds if unit.endswith("/S") else 1.0)
    return Signal(factor, seconds or math.nan)


def _found(headers: Sequence[fits.Header], keys: Sequence[str], broken: Sequence[str]) -> str:
    """Say what stands under the first of some keys that is there, and is of no use."""
    key = next((key for key in keys if key in broken or any(key in header for header in headers)), "")
    said = next((header[key] for header in headers if key in header), None)
    what = "not a valid card" if key in broken else "empty" if said is None else repr(said)
    return key and f"{key} is {what}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _time(where: str, headers: Sequence[fits.Header], settings: ReadSettings, words: Words) -> float:
    said = positive(headers, *TIME_KEYS)
    typed = settings.exposure_time
    if typed is not None and said and not math.isclose(typed, said, rel_tol=_ALIKE):
        remark(where, f"{words.exposure_time}={typed:g} is used; {words.said} {said:g} seconds")
    return said if typed is None else typed


def _gain(where: str, headers: Sequence[fits.Header], settings: ReadSettings, words: Words, unit: str) -> float:
    said, key = gain_of(headers)
    typed = settings.gain
    if not unit.startswith("COUNTS"):
        return said if typed is None else typed
    if typed is not None:
        if said and not math.isclose(typed, said, rel_tol=_ALIKE):
            remark(where, f"{words.gain}={typed:g} is used; {words.said} {key} is {said:g}")
        return typed
    setting = next((value for value in numbers(headers, "GAIN") if value > 0), said)
    if key == "EGAIN" and abs(setting - said) > _SAME_GAIN * said:
        remark(
            where,
            f"EGAIN {said:g} is used as electrons per count, not GAIN {setting:g}, which is a setting of the "
            f"camera; give {words.gain}=VALUE to override this",
        )
    elif said > _MOST_GAIN:
        remark(
            where,
            f"{key} {said:g} is used as electrons per count, but is unusually high; if it is a setting of the "
            f"camera, give {words.gain}=VALUE",
        )
    return said
