"""Simulated exposures as FITS files in the layout of the WFC3 pipeline, and their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.exposures.dq import WFC3DQ, renamed
from deepcr_lightning.exposures.instruments import INSTRUMENTS, instrument_of, unusable_bits
from deepcr_lightning.simulation.plan import CHIP_GAP, FLASH_RATE, PlannedExposure, SetSettings
from deepcr_lightning.simulation.readout import ChipFrame

TRUTH_SIGMA = 3.0
"""A pixel belongs to a cosmic ray if its charge exceeds this many times the local noise."""

_PIXEL_DEGREES = 0.0396 / 3600


@dataclass(frozen=True)
class SimulatedChip:
    """One chip of a simulated exposure.

    Attributes
    ----------
    frame : ChipFrame
        Calibrated images.
    cosmic_rays : ndarray of float32, shape (H, W)
        True cosmic-ray charge in electrons.
    """

    frame: ChipFrame
    cosmic_rays: NDArray[np.float32]


def exposure_hdus(planned: PlannedExposure, settings: SetSettings, chips: Sequence[SimulatedChip]) -> fits.HDUList:
    """Lay an exposure out as calwf3 does: SCI, ERR and DQ for each chip, with the DQ bits of its camera.

    Parameters
    ----------
    planned : PlannedExposure
        The exposure.
    settings : SetSettings
        The settings of its set.
    chips : sequence of SimulatedChip
        Its chips in the order of EXTVER: chip 2 first.

    Returns
    -------
    astropy.io.fits.HDUList
        Primary header and 3 extensions per chip.
    """
    hdus = fits.HDUList([fits.PrimaryHDU(header=_primary_header(planned, settings))])
    # A detector without a row has the bits of UVIS, which nobody reads.
    table = instrument_of(planned.conditions.instrument, planned.conditions.detector).dq or WFC3DQ
    for version, chip in enumerate(chips, start=1):
        science = fits.ImageHDU(chip.frame.science, _chip_header(version, planned, settings))
        error = fits.ImageHDU(chip.frame.error)
        quality = fits.ImageHDU(renamed(chip.frame.dq, WFC3DQ, table))
        error.header["BUNIT"] = "ELECTRONS"
        for name, hdu in (("SCI", science), ("ERR", error), ("DQ", quality)):
            hdu.name, hdu.ver = name, version
            hdus.append(hdu)
    return hdus


def truth_hdus(planned: PlannedExposure, chips: Sequence[SimulatedChip]) -> fits.HDUList:
    """Lay out the truth of an exposure: CRTRUTH, IGNORE and CRCHARGE for each chip.

    Parameters
    ----------
    planned : PlannedExposure
        The exposure.
    chips : sequence of SimulatedChip
        Its chips in the order of EXTVER.

    Returns
    -------
    astropy.io.fits.HDUList
        CRTRUTH (uint8; 1 = cosmic ray), IGNORE (uint8; 1 = unusable by its DQ) and CRCHARGE
        (float32, electrons, compressed without loss).
    """
    primary = fits.PrimaryHDU()
    primary.header["ROOTNAME"] = planned.root
    primary.header["FILTER"] = planned.filter_name
    primary.header["FIELDTYP"] = (planned.field, "simulated field type")
    primary.header["CRSIGMA"] = (TRUTH_SIGMA, "CRTRUTH: charge above this times noise")
    primary.header["SIMULATE"] = (True, "simulated data")
    hdus = fits.HDUList([primary])
    bits = unusable_bits(INSTRUMENTS["WFC3", "UVIS"])
    for version, chip in enumerate(chips, start=1):
        truth = chip.cosmic_rays > TRUTH_SIGMA * chip.frame.noise
        ignore = (chip.frame.dq & bits) != 0
        hdus.append(fits.ImageHDU(truth.astype(np.uint8), name="CRTRUTH", ver=version))
        hdus.append(fits.ImageHDU(ignore.astype(np.uint8), name="IGNORE", ver=version))
        charge = fits.CompImageHDU(chip.cosmic_rays, name="CRCHARGE", compression_type="GZIP_1", quantize_level=0)
        charge.ver = version
        charge.header["BUNIT"] = "ELECTRONS"
        hdus.append(charge)
    return hdus


def _primary_header(planned: PlannedExposure, settings: SetSettings) -> fits.Header:
    header = fits.Header()
    amplifiers = "C" if settings.chips == 1 else "ABCD"
    flash_seconds = round(planned.flash / FLASH_RATE, 1)
    cards: list[tuple[str, str | float | int | bool, str]] = [
        ("FILENAME", f"{planned.root}_flc.fits", "name of file"),
        ("TELESCOP", "HST", "telescope used to acquire data"),
        ("INSTRUME", planned.conditions.instrument, "identifier for instrument used to acquire data"),
        ("ROOTNAME", planned.root, "rootname of the observation set"),
        ("IMAGETYP", "DARK" if planned.is_dark else "EXT", "type of exposure identifier"),
        ("TARGNAME", "DARK" if planned.is_dark else f"SIM-{planned.field.upper()}", "target"),
        ("EXPSTART", planned.mjd, "exposure start time (Modified Julian Date)"),
        ("EXPEND", planned.mjd + planned.seconds / 86400, "exposure end time (MJD)"),
        ("EXPTIME", planned.seconds, "exposure duration (seconds)"),
        ("DETECTOR", planned.conditions.detector, "detector in use"),
        ("OBSMODE", "ACCUM", "operating mode"),
        ("SUBARRAY", settings.subarray, "data from a subarray (T) or full frame (F)"),
        ("FILTER", planned.filter_name, "element selected from filter wheel"),
        ("FLASHDUR", flash_seconds, "post-flash exposure time in seconds"),
        ("FLASHLVL", round(planned.flash), "post-flash level (electrons)"),
        ("FLSHCORR", "COMPLETE" if flash_seconds > 0 else "OMIT", "post-flash correction"),
        ("DARKCORR", "OMIT" if planned.is_dark else "COMPLETE", "subtract dark image"),
        ("PCTECORR", "COMPLETE", "CTE correction"),
        ("CCDAMP", amplifiers, "CCD amplifier readout configuration"),
        ("CCDGAIN", 1.5, "commanded gain of CCD"),
    ]
    for amplifier in "ABCD":
        used = amplifier in amplifiers
        cards.append((f"ATODGN{amplifier}", planned.conditions.gain if used else 0.0, "calibrated gain"))
        cards.append((f"READNSE{amplifier}", planned.conditions.read_noise if used else 0.0, "read noise"))
    cards.append(("FIELDTYP", planned.field, "simulated field type"))
    cards.append(("SIMULATE", True, "simulated data"))
    for card in cards:
        header.append(card)
    header["HISTORY"] = "Simulated by deepcr_lightning.simulation."
    return header


def _chip_header(version: int, planned: PlannedExposure, settings: SetSettings) -> fits.Header:
    header = fits.Header()
    height, width = settings.size
    header["BUNIT"] = ("ELECTRONS", "brightness units")
    header["CCDCHIP"] = (3 - version, "CCD chip (1 or 2)")
    header["LTV1"] = (0.0, "offset in X to subsection start")
    header["LTV2"] = (0.0, "offset in Y to subsection start")
    header["CENTERA1"] = (width // 2, "subarray axis1 center pt in unbinned dect. pix")
    header["CENTERA2"] = (height // 2, "subarray axis2 center pt in unbinned dect. pix")
    header["SIZAXIS1"] = (width, "subarray axis1 size in unbinned detector pixels")
    header["SIZAXIS2"] = (height, "subarray axis2 size in unbinned detector pixels")
    if not planned.is_dark:
        _add_wcs(header, version, planned, settings)
    return header


def _add_wcs(header: fits.Header, version: int, planned: PlannedExposure, settings: SetSettings) -> None:
    """Point at the sky: one direction a visit, which a dither moves over the chip; north is up."""
    rows, columns = settings.pointing
    # A dither is in pixels before they are added up.
    down, along = planned.conditions.binning
    origin = (planned.dither[0] / down + (version - 1) * (settings.size[0] + CHIP_GAP), planned.dither[1] / along)
    cards = {
        "WCSAXES": 2,
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRPIX1": columns / 2 - origin[1],
        "CRPIX2": rows / 2 - origin[0],
        "CRVAL1": 15.0 * planned.visit % 360,
        "CRVAL2": 41.0,
        "CD1_1": -_PIXEL_DEGREES * along,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": _PIXEL_DEGREES * down,
        "RADESYS": "ICRS",
    }
    header.update(cards)
