"""What is known of cameras: one row for each detector, which INSTRUME and DETECTOR name."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from functools import cache

from deepcr_lightning.exposures.dq import ACSDQ, STISDQ, UNUSABLE, WFC3DQ, WFC3IRDQ, WFPC2DQ

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instrument:
    """What is known of a detector.

    Attributes
    ----------
    dq : type of IntFlag, or None
        Meaning of its DQ bits; None where this package does not know it.
    gain, read_noise : float
        Usual gain in electrons per count, and read noise in electrons; 0 where they are not known. Cards of the header
        win over both.
    nominal_gains : mapping of float to float
        Electrons per count by the value of ATODGAIN, where that card has a nominal value that is far from the truth.
    readout_wait : float
        Mean time in seconds that a pixel of a full chip waits for its read-out, still collecting CRs.
    full_chip : int
        Number of pixels of a full chip; a subarray is read in proportion to its area.
    filter_keys : tuple of str
        Cards with the filter, the first that names one; `cards.FILTER_KEYS` follow.
    zeropoints : mapping of str to float
        AB magnitude that gives 1 electron / s, by filter. Magnitudes in other filters are instrumental.
    pipeline : str
        Program of hstcal that calibrates its raw files, where the archive delivers its ``_flt`` files in units that are
        read; empty for the others.
    """

    dq: type[IntFlag] | None = None
    gain: float = 0.0
    read_noise: float = 0.0
    nominal_gains: Mapping[float, float] = field(default_factory=dict)
    readout_wait: float = 0.0
    full_chip: int = 1
    filter_keys: tuple[str, ...] = ()
    zeropoints: Mapping[str, float] = field(default_factory=dict)
    pipeline: str = ""


# Read-out waits are those of HSTcosmicrays (Miles et al. 2021, ApJ 918, 86), half of the time of a read-out; an IR
# detector is read up the ramp while it is exposed. Gains and read noises are those of the Instrument Handbooks of WFC3
# (tables 5.1 and 5.2), STIS (table 7.1) and WFPC2 (table 4.2, mean of the four chips), and of the ACS Data Handbook
# (tables 4.1 and 4.3).
INSTRUMENTS: dict[tuple[str, str], Instrument] = {
    ("WFC3", "UVIS"): Instrument(
        dq=WFC3DQ,
        gain=1.56,
        read_noise=3.1,
        readout_wait=50.0,
        full_chip=2051 * 4096,
        filter_keys=("FILTER",),
        # STScI, UVIS1, infinite aperture, rounded to 0.01 mag. Those of ACS and STIS change with the date.
        zeropoints={
            "F225W": 24.04,
            "F275W": 24.13,
            "F336W": 24.67,
            "F350LP": 26.96,
            "F390W": 25.36,
            "F438W": 24.82,
            "F475W": 25.68,
            "F555W": 25.79,
            "F606W": 26.07,
            "F814W": 25.10,
        },
        pipeline="calwf3",
    ),
    ("WFC3", "IR"): Instrument(dq=WFC3IRDQ, gain=2.4, read_noise=12.0, filter_keys=("FILTER",), pipeline="calwf3"),
    ("ACS", "WFC"): Instrument(
        dq=ACSDQ,
        gain=2.0,
        read_noise=4.3,
        readout_wait=50.0,
        full_chip=2051 * 4096,
        filter_keys=("FILTER1", "FILTER2"),
        pipeline="calacs",
    ),
    ("ACS", "HRC"): Instrument(
        dq=ACSDQ,
        gain=2.2,
        read_noise=4.7,
        readout_wait=15.0,
        full_chip=1024 * 1024,
        filter_keys=("FILTER1", "FILTER2"),
        pipeline="calacs",
    ),
    # Its primary header has no DETECTOR, its extensions have the number of the chip. The simulator's WF and PC are
    # other detectors, read as plain FITS.
    ("WFPC2", "NONE"): Instrument(
        dq=WFPC2DQ,
        gain=7.1,
        read_noise=5.3,
        nominal_gains={15.0: 14.1},
        readout_wait=30.0,
        full_chip=800 * 800,
        filter_keys=("FILTNAM1", "FILTNAM2"),
    ),
    ("STIS", "CCD"): Instrument(
        dq=STISDQ,
        gain=1.0,
        read_noise=6.2,
        readout_wait=15.0,
        full_chip=1024 * 1024,
        filter_keys=("FILTER", "APERTURE"),  # FILTER is Clear for most, and the filters of images are apertures
        pipeline="calstis",
    ),
}
"""Detectors by INSTRUME and DETECTOR."""
OTHER = Instrument()
"""Any other camera: plain FITS, whose DQ bits are not read."""

_OTHER_THAN_CCD = ("IR", "SBC", "FUV-MAMA", "NUV-MAMA", "NICMOS", "COS", "NIRCAM", "NIRISS", "MIRI")
SPECTROGRAPHS = (
    "FOS",
    "GHRS",
    "HRS",
    "HARPS",
    "UVES",
    "FEROS",
    "XSHOOTER",
    "ESPRESSO",
    "HIRES",
    "ESI",
    "MUSE",
    "NIRSPEC",
)
"""INSTRUME of instruments that take spectra alone."""
CAMERAS_OF_HUBBLE = (*dict.fromkeys(name for name, _ in INSTRUMENTS), "WFPC")
"""INSTRUME of the cameras of HST."""


def instrument_of(instrument: str, detector: str) -> Instrument:
    """Find the row of a detector.

    Parameters
    ----------
    instrument, detector : str
        INSTRUME and DETECTOR as in the header, upper case, ``"NONE"`` where it has none. What follows a dash, as in
        ``"UVIS-RESAMPLED"``, is a variant of the detector.

    Returns
    -------
    Instrument
        `OTHER` for a detector without a row.
    """
    return INSTRUMENTS.get((instrument, detector.partition("-")[0]), OTHER)


def is_ccd(instrument: str, detector: str) -> bool:
    """Tell whether a detector is a CCD; one that nothing is known of counts as one.

    Parameters
    ----------
    instrument, detector : str
        INSTRUME and DETECTOR as in the header, upper case.

    Returns
    -------
    bool
    """
    return not {instrument, detector}.intersection(_OTHER_THAN_CCD)


@cache
def say_dq_is_not_read(instrument: str, detector: str) -> None:
    """Log, once for each detector, that it has no row and its DQ bits are not read."""
    name = instrument if detector == "NONE" else f"{instrument}/{detector}"
    log.info("%s: read as plain FITS; the meaning of its DQ bits is not known, so they are ignored", name)


def unusable_bits(instrument: Instrument, names: Iterable[str] = UNUSABLE) -> int:
    """Combine named DQ bits into one integer.

    Parameters
    ----------
    instrument : Instrument
        Row of the detector; one without a DQ table gives 0.
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
    """Sum up the seconds during which the pixels of a frame collected cosmic rays.

    Parameters
    ----------
    exposure_time, flash_time : float
        EXPTIME and FLASHDUR in seconds.
    instrument : Instrument
        Row of the detector, which tells how long a pixel waits for its read-out.
    shape : (int, int)
        Rows and columns of the chip.

    Returns
    -------
    float
        Exposure, post-flash and mean wait for the read-out, in seconds.
    """
    share = min(1.0, shape[0] * shape[1] / instrument.full_chip)
    return exposure_time + flash_time + instrument.readout_wait * share
