"""One CCD exposure in electrons, whatever file it came in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.array import finite_electrons
from deepcr_lightning.exposures.instruments import (
    Instrument,
    cosmic_ray_time,
    instrument_of,
    say_dq_is_not_read,
    unusable_bits,
)
from deepcr_lightning.exposures.layout import (
    binning_of,
    check_whole,
    dq_image,
    filter_of,
    number,
    opened,
    science_images,
    text,
)
from deepcr_lightning.exposures.paths import as_path
from deepcr_lightning.exposures.units import ReadSettings, electrons_per_unit
from deepcr_lightning.exposures.wcs_cards import wcs_cards

_SUFFIX = re.compile(r"(_(?:fl[ct]|raw|ima|crj|crc|dr[zc]|c0m|d0m|cal))?\.(?:fits|fit|fts)(?:\.(?:gz|fz))?$", re.I)
_HST_ROOTNAME = re.compile(r"[a-z][a-z0-9]{8}")


@dataclass(frozen=True, eq=False)
class Chip:
    """One chip of an exposure.

    Attributes
    ----------
    extver : int
        EXTVER of its SCI extension (1 for a plain image).
    number : int
        CCDCHIP, which chip of the detector it is; EXTVER where the header does not say.
    corner : (float, float)
        Place of its first pixel on the detector, as LTV1 and LTV2 give it; (0, 0) for a full frame.
    electrons : ndarray of float32, shape (H, W)
        Signal in electrons, finite everywhere.
    dq : ndarray of uint16, shape (H, W)
        DQ bits as they stand in the file, 0 where it has none.
    unusable : ndarray of bool, shape (H, W)
        Pixels that DQ calls unusable (`dq.UNUSABLE`) or that were NaN or infinite.
    electrons_per_unit : float
        Electrons per unit of the file's SCI array.
    wcs : fits.Header
        Cards of the WCS of its SCI (`wcs_cards.wcs_cards`); empty where it has none.
    """

    extver: int
    number: int
    corner: tuple[float, float]
    electrons: NDArray[np.float32]
    dq: NDArray[np.uint16]
    unusable: NDArray[np.bool_]
    electrons_per_unit: float
    wcs: fits.Header


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
        EXPTIME in seconds, positive.
    cr_time : float
        Seconds during which the pixels collected cosmic rays (`cosmic_ray_time`).
    visit : str
        First six characters of an HST rootname, else the root: exposures that share it share a field.
    image_type : str
        ``"dark"`` or ``"science"``.
    binning : str
        Such as ``"1x1"``, columns first.
    header : fits.Header
        The primary header.
    chips : tuple of Chip
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


def read_exposure(path: str | Path, settings: ReadSettings | None = None) -> Exposure:
    """Read an HST or plain FITS image into electrons.

    HST files are read by their SCI and DQ extensions, wherever these stand; any other file by its first
    2-D image (primary or extension), without DQ. ``.fits.gz`` and ``.fits.fz`` are read as they are.

    Parameters
    ----------
    path : str or Path
        The file, or its address. It is never modified.
    settings : ReadSettings, optional
        Units, gain and exposure time for headers that do not say.

    Returns
    -------
    Exposure

    Raises
    ------
    InputError
        If the file cannot be read, holds no image, does not say its units or exposure time, or has a
        chip without a single usable pixel.
    """
    path = as_path(path)
    settings = settings or ReadSettings()
    try:
        with opened(path) as data, fits.open(data, memmap=False) as hdus:
            check_whole(hdus, data)
            return _exposure(path, hdus, settings)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # astropy and its decompressors raise a dozen kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as FITS, it may be truncated ({reason})") from error


def _exposure(path: Path, hdus: fits.HDUList, settings: ReadSettings) -> Exposure:
    header = hdus[0].header
    images = science_images(hdus)
    if not images:
        raise InputError(f"{path}: holds no 2-D image; remove it from the list of files")
    instrument, detector = text(header, "INSTRUME"), text(header, "DETECTOR")
    row = instrument_of(instrument, detector)
    exposure_time = number((header, images[0].header), "EXPTIME", "EXPOSURE", "TEXPTIME")
    if not exposure_time > 0:
        exposure_time = settings.exposure_time or 0.0
    if not exposure_time > 0:
        raise InputError(
            f"{path}: EXPTIME is missing or zero; give it with exposure_time=SECONDS (train.py: data.exposure_time=)"
        )
    if len({image.ver for image in images}) < len(images):
        raise InputError(f"{path}: two SCI extensions have the same EXTVER; give each its own")
    chips = tuple(_chip(path, hdus, image, row, exposure_time, settings) for image in images)
    if row.dq is None and any(chip.dq.any() for chip in chips):
        say_dq_is_not_read(instrument, detector)
    flash_time = max(number((header, images[0].header), "FLASHDUR"), 0.0)
    rootname = text(header, "ROOTNAME").lower()
    root = root_of(path)
    visit = next((name[:6] for name in (rootname, root.lower()) if _HST_ROOTNAME.fullmatch(name)), root)
    dark = "DARK" in text(header, "IMAGETYP") or text(header, "TARGNAME").startswith("DARK")
    return Exposure(
        path=path,
        root=root,
        instrument=instrument,
        detector=detector,
        filter=filter_of(header),
        exposure_time=exposure_time,
        cr_time=cosmic_ray_time(exposure_time, flash_time, row, chips[0].electrons.shape),
        visit=visit,
        image_type="dark" if dark else "science",
        binning=binning_of((images[0].header, header)),
        header=header.copy(),
        chips=chips,
    )


def _chip(
    path: Path,
    hdus: fits.HDUList,
    image: fits.ImageHDU,
    instrument: Instrument,
    exposure_time: float,
    settings: ReadSettings,
) -> Chip:
    where = f"{path}[{image.name or 'PRIMARY'},{image.ver}]"
    factor = electrons_per_unit(where, hdus[0].header, image.header, exposure_time, settings)
    dq_hdu = dq_image(hdus, image)
    dq = np.zeros(image.shape, np.uint16)
    if dq_hdu is not None:
        if dq_hdu.shape != image.shape:
            raise InputError(f"{where}: DQ is {dq_hdu.shape}, SCI is {image.shape}; the file is damaged")
        dq = np.asarray(dq_hdu.data).astype(np.uint16)
    electrons, unusable = finite_electrons(where, image.data, factor, (dq & unusable_bits(instrument)) != 0)
    return Chip(
        extver=int(image.ver),
        number=int(number((image.header,), "CCDCHIP")) or int(image.ver),
        corner=(number((image.header,), "LTV1"), number((image.header,), "LTV2")),
        electrons=electrons,
        dq=dq,
        unusable=unusable,
        electrons_per_unit=factor,
        wcs=wcs_cards(image.header),
    )
