"""Data-quality (DQ) bits of the HST CCDs, as named tables.

The tables follow the WFC3 Data Handbook (section 3) and the ACS Data Handbook
(section 3), and the header ``wf3dq.h`` of calwf3.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag


class WFC3DQ(IntFlag):
    """DQ bits of WFC3/UVIS."""

    REED_SOLOMON = 1
    FILL = 2
    BAD_DETECTOR = 4
    MASKED = 8
    HOT = 16
    UNSTABLE = 32
    WARM = 64
    BAD_BIAS = 128
    SATURATED = 256
    BAD_FLAT = 512
    CHARGE_TRAP = 1024
    AD_SATURATED = 2048
    CR_DRIZZLE = 4096
    CR_COMBINED = 8192
    CROSSTALK = 16384


class ACSDQ(IntFlag):
    """DQ bits of ACS/WFC, ACS/HRC and ACS/SBC."""

    REED_SOLOMON = 1
    FILL = 2
    BAD_DETECTOR = 4
    MASKED = 8
    HOT = 16
    UNSTABLE = 32
    WARM = 64
    BAD_BIAS = 128
    SATURATED = 256
    BAD_REFERENCE = 512
    CHARGE_TRAP = 1024
    AD_SATURATED = 2048
    CR_DRIZZLE = 4096
    CR_COMBINED = 8192
    MANUAL = 16384


DQ_TABLES: dict[str, type[IntFlag]] = {"WFC3": WFC3DQ, "ACS": ACSDQ}
"""The DQ table of each instrument, by the header's INSTRUME."""

UNUSABLE: tuple[str, ...] = (
    "REED_SOLOMON",
    "FILL",
    "BAD_DETECTOR",
    "MASKED",
    "HOT",
    "UNSTABLE",
    "BAD_BIAS",
    "SATURATED",
    "BAD_FLAT",
    "BAD_REFERENCE",
    "AD_SATURATED",
)
"""Names of the bits that make a pixel unusable, for labels and for masks alike.

Warm pixels and charge traps stay: their dark current is subtracted and their
light is real. The CR bits stay too: they are what the network is to find.
"""

SATURATION = ("SATURATED", "AD_SATURATED")
"""Names of those of them that say a pixel is saturated."""


def unusable_bits(instrument: str, names: Iterable[str] = UNUSABLE) -> int:
    """Combine named DQ bits into one integer for an instrument.

    Parameters
    ----------
    instrument : str
        INSTRUME of the header. Instruments without a table get 0: their DQ
        bits mean something this module does not know.
    names : iterable of str
        Names of bits; a name that the instrument's table lacks counts as 0.

    Returns
    -------
    int
        The bitwise OR of the named bits.
    """
    table = DQ_TABLES.get(instrument)
    if table is None:
        return 0
    bits = 0
    for name in names:
        bits |= int(table.__members__.get(name, 0))
    return bits
