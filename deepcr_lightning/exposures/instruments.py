"""What is known of cameras: one row for each detector, which INSTRUME and DETECTOR name."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from functools import cache

from deepcr_lightning.exposures.dq import ACSDQ, UNUSABLE, WFC3DQ, WFC3IRDQ

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instrument:
    """A detector, as far as reading its files goes.

    Attributes
    ----------
    dq : type of IntFlag, or None
        Meaning of its DQ bits; None where they mean something that this package does not know.
    readout_wait : float
        Mean seconds that a pixel of a full chip waits for its read-out, still collecting CRs.
    full_chip : int
        Pixels of a full chip; a subarray is read in proportion to its area.
    """

    dq: type[IntFlag] | None = None
    readout_wait: float = 0.0
    full_chip: int = 1


# The wait of WFC3/UVIS and ACS/WFC is that of HSTcosmicrays (Miles et al. 2021, ApJ 918, 86), whose effective time is
# EXPTIME + FLASHDUR + 50 s; the HRC is read in 30 s. An IR detector is read up the ramp while it is exposed. WFPC2 and
# STIS have no row: the DQ of the simulator's cameras of these names has the bits of UVIS.
INSTRUMENTS: dict[tuple[str, str], Instrument] = {
    ("WFC3", "UVIS"): Instrument(WFC3DQ, 50.0, 2051 * 4096),
    ("WFC3", "IR"): Instrument(WFC3IRDQ),
    ("ACS", "WFC"): Instrument(ACSDQ, 50.0, 2051 * 4096),
    ("ACS", "HRC"): Instrument(ACSDQ, 15.0, 1024 * 1024),
}
"""Detectors by INSTRUME and DETECTOR."""
OTHER = Instrument()
"""Any other camera: plain FITS, whose DQ bits are not read."""


def instrument_of(instrument: str, detector: str) -> Instrument:
    """Find the row of a detector.

    Parameters
    ----------
    instrument, detector : str
        INSTRUME and DETECTOR as in the header, upper case. What stands behind a dash, as in ``"UVIS-RESAMPLED"``, is a
        variant of the detector.

    Returns
    -------
    Instrument
        `OTHER` for a detector without a row.
    """
    return INSTRUMENTS.get((instrument, detector.partition("-")[0]), OTHER)


@cache
def say_dq_is_not_read(instrument: str, detector: str) -> None:
    """Log, once for each detector, that its DQ bits have no meaning here."""
    name = instrument if detector == "NONE" else f"{instrument}/{detector}"
    log.info("%s: the meaning of its DQ bits is not known, so they are ignored", name)


def unusable_bits(instrument: Instrument, names: Iterable[str] = UNUSABLE) -> int:
    """Combine named DQ bits into one integer.

    Parameters
    ----------
    instrument : Instrument
        Row of the detector; 0 comes of one without a DQ table.
    names : iterable of str
        Names of bits; a name that the table lacks counts as 0.

    Returns
    -------
    int
        The bitwise OR of the named bits.
    """
    bits = 0
    if instrument.dq is not None:
        for name in names:
            bits |= int(instrument.dq.__members__.get(name, 0))
    return bits


def cosmic_ray_time(exposure_time: float, flash_time: float, instrument: Instrument, shape: tuple[int, int]) -> float:
    """Seconds during which the pixels of a frame collected cosmic rays.

    Parameters
    ----------
    exposure_time, flash_time : float
        EXPTIME and FLASHDUR in seconds.
    instrument : Instrument
        Row of the detector, which says how long a pixel waits for its read-out.
    shape : (int, int)
        Rows and columns of the chip.

    Returns
    -------
    float
        Exposure, post-flash and mean wait in the read-out, in seconds.
    """
    share = min(1.0, shape[0] * shape[1] / instrument.full_chip)
    return exposure_time + flash_time + instrument.readout_wait * share
