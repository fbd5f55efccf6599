"""Data-quality (DQ) bits of the HST detectors, as named tables.

The tables follow the WFC3 Data Handbook (section 3) and the ACS Data Handbook
(section 3), and the header ``wf3dq.h`` of calwf3.
"""

from __future__ import annotations

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
    """DQ bits of ACS/WFC and ACS/HRC."""

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


class WFC3IRDQ(IntFlag):
    """DQ bits of WFC3/IR."""

    REED_SOLOMON = 1
    FILL = 2
    BAD_DETECTOR = 4
    DEVIANT_ZERO_READ = 8
    HOT = 16
    UNSTABLE = 32
    WARM = 64
    BAD_REFERENCE_PIXEL = 128
    SATURATED = 256
    BAD_FLAT = 512
    CR_SPIKE = 1024
    ZERO_READ_SIGNAL = 2048
    CR_DRIZZLE = 4096
    CR_COMBINED = 8192
    CROSSTALK = 16384


UNUSABLE: tuple[str, ...] = (
    "REED_SOLOMON",
    "FILL",
    "BAD_DETECTOR",
    "MASKED",
    "DEVIANT_ZERO_READ",
    "HOT",
    "UNSTABLE",
    "BAD_BIAS",
    "BAD_REFERENCE_PIXEL",
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
