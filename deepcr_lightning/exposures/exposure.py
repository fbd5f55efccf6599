"""One CCD exposure in electrons, whatever file it came in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy.io import fits

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import binning_of, filter_of, sound, text
from deepcr_lightning.exposures.chip import Chip, read_chip
from deepcr_lightning.exposures.chips import cubes_of, find_chips
from deepcr_lightning.exposures.instruments import Instrument, instrument_of, is_ccd, say_dq_is_not_read
from deepcr_lightning.exposures.layout import check_whole, open_fits, refuse_large
from deepcr_lightning.exposures.paths import as_path
from deepcr_lightning.exposures.remarks import remark
from deepcr_lightning.exposures.units import ReadSettings

__all__ = ["Chip", "Exposure", "read_exposure", "root_of"]

_SUFFIX = re.compile(r"(_(?:fl[ct]|raw|ima|crj|crc|dr[zc]|c0m|d0m|cal))?\.(?:fits|fit|fts)(?:\.(?:gz|fz))?$", re.I)
_HST_ROOTNAME = re.compile(r"[a-z][a-z0-9]{8}")


@dataclass(frozen=True, eq=False)
class Exposure:
    """One exposure: its chips and what its header says of them.

    Attributes
    ----------
    path : Path
        The file.
    root : str
        File name without ``_flc.fits`` and the like.
    instrument, detector, filter : str
        As in the header, upper case; ``"NONE"`` where the header is silent.
    exposure_time : float
        EXPTIME in seconds, positive; the mean where chips differ, as those of STIS do. NaN where nobody says it and
        the caller does not need it.
    cr_time : float
        Seconds during which the pixels collected cosmic rays (`instruments.cosmic_ray_time`).
    visit : str
        First six characters of an HST rootname, else the root: exposures that share it share a field.
    image_type : str
        ``"dark"`` or ``"science"``.
    binning : str
        Such as ``"1x1"``, columns first.
    header : fits.Header
        The primary header.
    chips : tuple of Chip
    changed : int or None
        When the file was last changed before it was read, in nanoseconds; None for an address.
    """

    path: Path
    root: str
    instrument: str
    detector: str
    filter: str
    exposure_time: float
    cr_time: float
    visit: str
    image_type: str
    binning: str
    header: fits.Header
    chips: tuple[Chip, ...]
    changed: int | None = None

    @property
    def row(self) -> Instrument:
        """What is known of its detector."""
        return instrument_of(self.instrument, self.detector)

    @property
    def camera(self) -> str:
        """Instrument, detector and binning; empty where the header names no instrument."""
        return "" if self.instrument == "NONE" else f"{self.instrument} {self.detector} {self.binning}"


def root_of(path: Path) -> str:
    """Strip a file name of its directory, its product suffix and its ending.

    Parameters
    ----------
    path : Path
        Such as ``/data/idsj02axq_flc.fits.gz``.

    Returns
    -------
    str
        Such as ``idsj02axq``.
    """
    return _SUFFIX.sub("", path.name)


def read_exposure(path: str | Path, settings: ReadSettings | None = None, timed: bool = True) -> Exposure:
    """Read an HST or plain FITS image into electrons.

    The extensions named SCI are its chips, each with the DQ of its EXTVER, wherever these stand; of any other file the
    images that are chips (`chips.find_chips`), without DQ. ``.fits.gz`` and ``.fits.fz`` are read as they are.

    Parameters
    ----------
    path : str or Path
        The file, or its address. It is never modified.
    settings : ReadSettings, optional
        Units, gain, exposure time and the like, which win over the header.
    timed : bool
        Whether the exposure time is needed. It is NaN where nobody says it and it is not needed.

    Returns
    -------
    Exposure

    Raises
    ------
    InputError
        If the file cannot be read, holds no image, does not say its units or an exposure time that is
        needed, or has a chip without a single usable pixel.
    """
    path = as_path(path)
    settings = settings or ReadSettings()
    try:
        changed = path.stat().st_mtime_ns if isinstance(path, Path) else None
        with open_fits(path) as (hdus, data):
            if spare := check_whole(hdus, data):
                remark(path.name, f"{spare} bytes after the last extension are not read")
            return replace(_exposure(path, hdus, data, settings, timed), changed=changed)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # astropy and its decompressors raise a dozen kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as FITS, it may be truncated ({reason})") from error


def _exposure(path: Path, hdus: fits.HDUList, data: BinaryIO, settings: ReadSettings, timed: bool) -> Exposure:
    header, broken = sound(path.name, hdus[0].header)
    places = find_chips(path, hdus, settings.extensions)
    if not places:
        cure = (
            ", only a cube; give each plane in a file of its own"
            if cubes_of(hdus)
            else "; remove it from the list of files"
        )
        raise InputError(f"{path}: contains no 2-D image{cure}")
    numbers = [number for place in places for number in (place.image, place.dq) if number is not None]
    refuse_large(path, data, [hdus[number] for number in numbers])
    instrument, detector = text(header, "INSTRUME"), text(header, "DETECTOR")
    heads = [sound(path.name, hdus[place.image].header) for place in places]
    chips = tuple(
        read_chip(path, hdus, place, (head, (header, broken)), settings, timed)
        for place, head in zip(places, heads, strict=True)
    )
    if instrument_of(instrument, detector).dq is None and any(chip.dq.any() for chip in chips):
        say_dq_is_not_read(instrument, detector)
    headers = (header, heads[0][0])
    rootname = text(header, "ROOTNAME").lower()
    root = root_of(path)
    visit = next((name[:6] for name in (rootname, root.lower()) if _HST_ROOTNAME.fullmatch(name)), root)
    dark = "DARK" in text(header, "IMAGETYP") or text(header, "TARGNAME").startswith("DARK")
    pixels = [chip.electrons.size for chip in chips]
    if not is_ccd(instrument, detector):
        remark(path.name, f"{instrument} {detector} is not a CCD, and the networks are made for CCDs; check its mask")
    return Exposure(
        path=path,
        root=root,
        instrument=instrument,
        detector=detector,
        filter=filter_of(headers),
        exposure_time=float(np.average([chip.exposure_time for chip in chips], weights=pixels)),
        cr_time=float(np.average([chip.cr_time for chip in chips], weights=pixels)),
        visit=visit,
        image_type="dark" if dark else "science",
        binning=binning_of(headers[::-1]),
        header=header,
        chips=chips,
    )
