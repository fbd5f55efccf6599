"""What header cards say, in the many ways in which cameras write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from astropy.io import fits

from deepcr_lightning.exposures.instruments import Instrument, instrument_of
from deepcr_lightning.exposures.remarks import remark

TIME_KEYS = ("EXPTIME", "EXPOSURE", "TEXPTIME")
"""Cards with the exposure time in seconds; the first that is positive counts. TEXPTIME is that of several images."""
FILTER_KEYS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2")
GAIN_KEYS = (("ATODGNA", "ATODGNB", "ATODGNC", "ATODGND"), ("ATODGAIN",), ("EGAIN",), ("GAIN",), ("CCDGAIN",))
"""Cards with electrons per count; of a group the mean, of the groups the first that is positive.

Those of HST that are measured come first: raw files carry zeros there, and the commanded gain beside. Amateur cameras
have electrons per count in EGAIN, and a setting without a unit in GAIN.
"""
_NEEDED = {"BUNIT", "SATURATE", "IMAGETYP", "INSTRUME", *TIME_KEYS, *FILTER_KEYS, *sum(GAIN_KEYS, ())}
_HOLE = re.compile(r"(CLEAR|OPEN|AIR|EMPTY|NONE|HOLE|NO[ _]?FILTER)([\d\s_(-].*|[LS])?|CLEAR.*|N/?A|-+")
_PLAIN = re.compile(
    r"(?=.{80}\Z)(?:(?:COMMENT |HISTORY )[ -~]*|(?=.{8}= )[A-Z0-9_-]+ *= +"
    r"(?:'(?:[ -&(-~]|'')*'|[TF]|[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[DE][+-]?\d+)?) *(?:/[ -~]*)?)"
)
"""Cards of 80 signs, without CONTINUE, as the standard wants them: text, a truth value or a number, and a comment."""


def sound(where: str, header: fits.Header) -> tuple[fits.Header, list[str]]:
    """Copy a header without the cards that cannot be understood.

    Parameters
    ----------
    where : str
        Name of the file, for a remark on those that this package reads.
    header : fits.Header
        Header as it was read.

    Returns
    -------
    header : fits.Header
        The copy.
    broken : list of str
        Keywords of the cards that were left out.
    """
    copy, broken = header.copy(), []
    for place in reversed([place for place, card in enumerate(copy.cards) if not _is_sound(card)]):
        broken.append(copy.cards[place].keyword)
        del copy[place]
    for key in sorted(_NEEDED.intersection(broken)):
        remark(where, f"{key} is not a valid card and is treated as missing")
    return copy, broken


def _is_sound(card: fits.Card) -> bool:
    # Most of reading a small file would go into understanding cards that nobody asks for. Where astropy no longer keeps
    # their text there, all of them are understood.
    if _PLAIN.fullmatch(getattr(card, "_image", None) or ""):
        return True
    try:
        said = str(card.value) + card.comment
    except fits.VerifyError:
        return False
    # Signs that the standard forbids could not be copied into a product.
    return said.isascii() and said.isprintable()


def text(header: fits.Header, key: str) -> str:
    """Read a text card, upper case; ``"NONE"`` where the header is silent.

    Parameters
    ----------
    header : fits.Header
    key : str

    Returns
    -------
    str
    """
    value = header.get(key)
    return str(value).strip().upper() if isinstance(value, str) and value.strip() else "NONE"


def row_of(headers: Sequence[fits.Header]) -> Instrument:
    """Find what is known of the detector that some headers name.

    Parameters
    ----------
    headers : sequence of fits.Header
        Headers of one image; the first that has INSTRUME counts, and the first that has DETECTOR.

    Returns
    -------
    Instrument
    """
    said = [[name for header in headers if (name := text(header, key)) != "NONE"] for key in ("INSTRUME", "DETECTOR")]
    return instrument_of(*(names[0] if names else "NONE" for names in said))


def in_ascii(value: str) -> str:
    """Write a name so that it may stand in a header card: without accents, and ``?`` for what is not ASCII then.

    Parameters
    ----------
    value : str
        Any text.

    Returns
    -------
    str
        Text of printable ASCII characters alone.
    """
    apart = (sign for sign in unicodedata.normalize("NFKD", value) if not unicodedata.combining(sign))
    return "".join(sign if " " <= sign <= "~" else "?" for sign in apart)


def as_number(value: Any) -> float | None:
    """Understand a value as a finite number.

    Parameters
    ----------
    value : Any
        A number of any type but bool, or one that is written as text, such as ``"300.0"`` or ``"3.0D2"``.

    Returns
    -------
    float or None
        None if it is not a finite number.
    """
    if isinstance(value, str):
        try:
            value = float(value.strip().upper().replace("D", "E"))
        except ValueError:
            return None
    if not isinstance(value, Real) or isinstance(value, bool) or not np.isfinite(float(value)):
        return None
    return float(value)


def numbers(headers: Iterable[fits.Header], *keys: str) -> list[float]:
    """List the finite numbers that some headers hold under some keys.

    Parameters
    ----------
    headers : iterable of fits.Header
        The first that has a key counts most.
    *keys : str
        The first key counts most of all.

    Returns
    -------
    list of float
        Those of the first key come first, and of these that of the first header.
    """
    headers = list(headers)
    found = (as_number(header[key]) for key in keys for header in headers if key in header)
    return [value for value in found if value is not None]


def number(headers: Iterable[fits.Header], *keys: str) -> float:
    """Read the first finite number that any of some headers holds under any of some keys; 0 where there is none."""
    return next(iter(numbers(headers, *keys)), 0.0)


def positive(headers: Iterable[fits.Header], *keys: str) -> float:
    """Read the first positive number that any of some headers holds under any of some keys; 0 where there is none."""
    return next((value for value in numbers(headers, *keys) if value > 0), 0.0)


def gain_of(headers: Sequence[fits.Header]) -> tuple[float, str]:
    """Read the number of electrons per count.

    Parameters
    ----------
    headers : sequence of fits.Header
        The first that has a gain under one of the keys counts.

    Returns
    -------
    gain : float
        0 where there is none.
    key : str
        Where it stands.
    """
    nominal = row_of(headers).nominal_gains
    for keys in GAIN_KEYS:
        for header in headers:
            values = [nominal.get(value, value) for value in numbers((header,), *keys) if value > 0]
            if values:
                return float(np.mean(values)), keys[0]
    return 0.0, ""


def binning_of(headers: Sequence[fits.Header]) -> str:
    """Read how many detector pixels make one of the image.

    Parameters
    ----------
    headers : sequence of fits.Header

    Returns
    -------
    str
        Such as ``"2x1"``, columns first, from BINAXIS1 and BINAXIS2, XBINNING and YBINNING, or CCDSUM; ``"1x1"``
        where there is none.
    """
    sums = next((str(header["CCDSUM"]).split() for header in headers if "CCDSUM" in header), [])
    if len(sums) == 2 and all(value.isdigit() for value in sums):
        return "x".join(sums)
    across, down = number(headers, "BINAXIS1", "XBINNING"), number(headers, "BINAXIS2", "YBINNING")
    return f"{across or 1:g}x{down or 1:g}"


def filter_of(headers: Sequence[fits.Header]) -> str:
    """Read the filter: the first of the cards of its camera, or else of `FILTER_KEYS`, that is not a hole in its wheel.

    Parameters
    ----------
    headers : sequence of fits.Header

    Returns
    -------
    str
        Upper case; ``"NONE"`` where there is none.
    """
    keys = (*row_of(headers).filter_keys, *FILTER_KEYS)
    names = (text(header, key) for header in headers for key in keys)
    return next((name for name in names if not _HOLE.fullmatch(name)), "NONE")


def name_in_card(name: str) -> str:
    """Write the name of a file as cards of products hold it: in ASCII, and its end alone if it is long."""
    return in_ascii(name)[-60:].strip()
