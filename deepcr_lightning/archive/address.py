"""Exposures of the archive as a path option names them: mast:16801?filter=F336W."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deepcr_lightning.archive.wanted import Wanted, wanted_by
from deepcr_lightning.errors import InputError

PREFIX = "mast:"
_ROOT = re.compile(r"[a-z][a-z0-9]{8}", re.I)
_EXAMPLE = "mast:16801?filter=F336W or mast:idsj02axq"


def is_address(value: object) -> bool:
    """Tell whether a path option names exposures of the archive."""
    return isinstance(value, str) and value.startswith(PREFIX)


@dataclass(frozen=True)
class Address:
    """Exposures of the archive as a path option names them.

    Attributes
    ----------
    wanted : Wanted
    share : (int, int)
        Which share of them, from 1, and of how many.
    cloud : bool or str
        Whether they come from the public bucket, or the address of a copy of it.
    """

    wanted: Wanted
    share: tuple[int, int] = (1, 1)
    cloud: bool | str = False


def read_address(address: str) -> Address:
    """Make sense of an address.

    Parameters
    ----------
    address : str
        ``mast:ROOTNAME`` or ``mast:PROPOSAL``, then ``?name=value&name=value`` of the options of `wanted_by`; in place
        of a proposal ``target=`` or ``cone=`` may be given. ``share=3/40`` takes the third of forty shares,
        ``cloud=true`` the files of the public bucket.

    Returns
    -------
    Address

    Raises
    ------
    InputError
        If it is no such address.
    """
    place, _, query = address.removeprefix(PREFIX).partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    options: dict[str, Any] = {name.strip(): value for name, _, value in pairs}
    known = ("target", "cone", "filter", "camera", "dates", "product", "max", "share", "cloud")
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"{address}: {unknown[0]} is not known; after ? come {', '.join(known)}")
    share, cloud = _share(address, options.pop("share", "1/1")), options.pop("cloud", "false")
    place = place.strip("/ ")
    if place.isdigit():
        options["proposal"] = place
    elif _ROOT.fullmatch(place):
        options["root"] = place
    elif place or not {"target", "cone"} & set(options):
        raise InputError(f"{address}: is not an address of the archive; give one such as {_EXAMPLE}")
    try:
        return Address(wanted_by(options), share, {"true": True, "false": False}.get(cloud.lower(), cloud))
    except InputError as error:
        raise InputError(f"{address}: {error}") from error


def archive_addresses(option: str, value: object) -> list[str]:
    """Find the addresses in a path option.

    Parameters
    ----------
    option : str
        Name of the option, for messages.
    value : object
        What a user gave.

    Returns
    -------
    list of str
        Empty if it names no exposures of the archive.

    Raises
    ------
    InputError
        If it names files as well.
    """
    parts = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    addresses = [str(part) for part in parts if is_address(part)]
    if addresses and len(addresses) < len(parts):
        raise InputError(f"{option}: names files and exposures of the archive; give one kind at a time")
    return addresses


def _share(address: str, text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise InputError(f"{address}: share={text} must be such as 3/40, from 1/40 to 40/40")
    return int(number), int(of)
