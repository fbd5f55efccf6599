"""What a user wants of the archive, as options."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from astropy.time import Time

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.instruments import INSTRUMENTS, is_ccd

CAMERAS = tuple(
    f"{name}/{detector}" for (name, detector), row in INSTRUMENTS.items() if row.pipeline and is_ccd(name, detector)
)
"""CCD cameras whose calibrated exposures are in electrons or counts with a gain that is read."""
PRODUCTS = ("flc", "flt")
"""Calibrated exposures with and without correction of the charge transfer; the first counts most."""


@dataclass(frozen=True)
class Wanted:
    """Which science exposures are wanted.

    Attributes
    ----------
    proposal : str, optional
        Number of the proposal.
    root : str, optional
        Rootname of one exposure, or of the association that it is part of.
    target : str, optional
        Name that the observers gave to the target; ``*`` stands for any letters.
    cone : (float, float, float), optional
        Right ascension, declination and radius in degrees.
    filters : tuple of str
        Upper case; all by default.
    camera : str, optional
        One of `CAMERAS`; all of them by default.
    dates : (float, float), optional
        Earliest and latest start of an exposure, as MJD.
    product : str, optional
        One of `PRODUCTS`; the best that there is by default.
    most : int, optional
        At most so many exposures, spread over the visits.

    Raises
    ------
    InputError
        If nothing narrows the search, or a value is not one of these.
    """

    proposal: str | None = None
    root: str | None = None
    target: str | None = None
    cone: tuple[float, float, float] | None = None
    filters: tuple[str, ...] = ()
    camera: str | None = None
    dates: tuple[float, float] | None = None
    product: str | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if not (self.proposal or self.root or self.target or self.cone):
            raise InputError("nothing narrows the search of the archive; give proposal=, target= or cone=")
        if self.proposal is not None and not self.proposal.isdigit():
            raise InputError(f"proposal={self.proposal}: must be a number, such as 16801")
        if self.camera is not None and self.camera not in CAMERAS:
            raise InputError(f"camera={self.camera}: choose from {', '.join(CAMERAS)}")
        if self.product is not None and self.product not in PRODUCTS:
            raise InputError(f"product={self.product}: choose from {', '.join(PRODUCTS)}")
        if self.most is not None and self.most < 1:
            raise InputError(f"max={self.most}: must be 1 or more")

    @property
    def words(self) -> str:
        """Say what narrows the search, for messages."""
        parts = (("proposal", self.proposal), ("exposure", self.root), ("target", self.target), ("cone", self.cone))
        return ", ".join(f"{name} {value}" for name, value in parts if value)

    @property
    def label(self) -> str:
        """Name for files that no other search has."""
        said = [str(value) for value in (self.root, self.proposal, *self.filters) if value] or ["search"]
        values = repr([getattr(self, field.name) for field in fields(self)])
        return "_".join(said) + "-" + hashlib.sha256(values.encode()).hexdigest()[:8]


def wanted_by(options: Mapping[str, Any]) -> Wanted:
    """Make sense of options as they are typed.

    Parameters
    ----------
    options : mapping
        Values of ``proposal``, ``root``, ``target``, ``cone``, ``filter``, ``camera``, ``dates``, ``product`` and
        ``max``; those that are None or missing do not count.

    Returns
    -------
    Wanted

    Raises
    ------
    InputError
        If a value cannot be what its option wants.
    """
    given = {name: value for name, value in options.items() if value is not None}

    def text(name: str) -> str | None:
        return str(given[name]).strip() if name in given else None

    filters = [str(name).upper() for name in _list(given.get("filter", []), ",")]
    camera, product = text("camera"), text("product")
    return Wanted(
        proposal=text("proposal"),
        root=(text("root") or "").lower() or None,
        target=text("target"),
        cone=_cone(given["cone"]) if "cone" in given else None,
        filters=tuple(filters),
        camera=camera and camera.upper(),
        dates=_dates(given["dates"]) if "dates" in given else None,
        product=product and product.lower().lstrip("_"),
        most=_whole("max", given["max"]) if "max" in given else None,
    )


def _list(value: Any, sign: str) -> list[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(sign)]
    return list(value) if isinstance(value, Sequence) else [value]


def _whole(name: str, value: Any) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise InputError(f"{name}={value}: must be a whole number") from None


def _cone(value: Any) -> tuple[float, float, float]:
    try:
        ra, dec, radius = (float(part) for part in _list(value, ","))
    except (TypeError, ValueError):
        raise InputError(f"cone={value}: must be [RA,DEC,RADIUS] in degrees, such as [10.68,41.27,0.1]") from None
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius <= 10):
        raise InputError(f"cone={value}: RA must be 0 to 360, DEC -90 to 90, RADIUS above 0 and at most 10 degrees")
    return ra, dec, radius


def _dates(value: Any) -> tuple[float, float]:
    try:
        first, last = (Time(str(part)) for part in _list(value, ".."))
    except (TypeError, ValueError):
        raise InputError(f"dates={value}: must be two dates, such as [2022-01-01,2022-12-31]") from None
    # The last day is meant whole.
    end = float(last.mjd) + (1.0 if float(last.mjd).is_integer() else 0.0)
    if end <= float(first.mjd):
        raise InputError(f"dates={value}: the second is before the first")
    return float(first.mjd), end
