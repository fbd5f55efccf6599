"""Data-quality (DQ) bits of the HST detectors, as named tables.

The tables follow the Data Handbooks of WFC3 (section 3, and the header ``wf3dq.h`` of calwf3), ACS (section 3), WFPC2
(table 3.4) and STIS (table 2.9). Bits that mean the same have the same name, whatever their value.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray


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


class WFPC2DQ(IntFlag):
    """DQ bits of WFPC2, whose ``_c1m`` files hold them beside ``_c0m``."""

    REED_SOLOMON = 1
    BAD_REFERENCE = 2
    BAD_DETECTOR = 4
    AD_SATURATED = 8
    FILL = 16
    BAD_PIXEL = 32
    CHARGE_TRAP = 128
    ABOVE_TRAP = 256
    HOT = 512  # "unrepaired warm pixel": its dark current is not subtracted
    WARM = 1024  # "repaired warm pixel"
    MASKED = 2048
    CR_DRIZZLE = 4096


class STISDQ(IntFlag):
    """DQ bits of STIS/CCD."""

    REED_SOLOMON = 1
    FILL = 2
    BAD_DETECTOR = 4
    MASKED = 8
    # More than five sigma above the median dark; in late years that may be a large part of the chip.
    WARM = 16
    LARGE_BLEMISH = 32
    VIGNETTED = 64
    OVERSCAN = 128
    SATURATED = 256
    AD_SATURATED = 256  # the same bit
    BAD_REFERENCE = 512
    SMALL_BLEMISH = 1024
    BACKGROUND_REJECTED = 2048
    BAD_EXTRACTION = 4096
    CR_COMBINED = 8192
    NO_CTI_CORRECTION = 16384


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
    "BAD_PIXEL",
    "OVERSCAN",
)
"""Names of the bits that make a pixel unusable, for labels and for masks alike.

Warm pixels, charge traps and blemishes stay: their dark current is subtracted, they are flat-fielded, and their light
is real. The CR bits stay too: they are what the network is to find.
"""

SATURATION = ("SATURATED", "AD_SATURATED")
"""Names of those of them that say a pixel is saturated."""


def renamed(dq: NDArray[np.int16], given: type[IntFlag], wanted: type[IntFlag]) -> NDArray[np.int16]:
    """Write DQ with the bits that another detector has for the same names.

    Parameters
    ----------
    dq : ndarray of int16, shape (H, W)
        DQ whose bits are those of `given`.
    given, wanted : type of IntFlag
        Tables of the two detectors.

    Returns
    -------
    ndarray of int16, shape (H, W)
        DQ whose bits are those of `wanted`; a bit whose name that table lacks is dropped.
    """
    made = np.zeros_like(dq)
    for name in given.__members__.keys() & wanted.__members__.keys():
        made[(dq & given[name].value) != 0] |= wanted[name].value
    return made
