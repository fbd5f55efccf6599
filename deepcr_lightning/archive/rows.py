"""Rows of the archive's tables, as far as they are wanted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Observation:
    """A row of the archive's table of observations: an exposure, or an association of several.

    Attributes
    ----------
    obsid : str
        The archive's own number.
    name : str
        Rootname of the exposure or association, lower case.
    camera : str
        Such as ``WFC3/UVIS``.
    filters : tuple of str
        Without clear positions.
    target, proposal : str
    start : float
        MJD.
    exposure_time : float
        Seconds, of an association in all.
    """

    obsid: str
    name: str
    camera: str
    filters: tuple[str, ...]
    target: str
    proposal: str
    start: float
    exposure_time: float


@dataclass(frozen=True)
class ArchiveFile:
    """A row of the archive's table of products.

    Attributes
    ----------
    obsid : str
        Number of the observation that it was found by.
    name, uri : str
    size : int
        Bytes, as the table has it; not above 0 where it does not know.
    public : bool
    """

    obsid: str
    name: str
    uri: str
    size: int
    public: bool
