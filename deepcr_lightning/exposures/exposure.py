"""One CCD exposure in electrons, whatever file it came in."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.dq import unusable_bits
from deepcr_lightning.exposures.units import ReadSettings, electrons_per_unit

READOUT_WAIT = 50.0
"""Mean seconds that a pixel of a full HST chip waits for its read-out, still collecting CRs.

The effective time of HSTcosmicrays (Miles et al. 2021, ApJ 918, 86): EXPTIME + FLASHDUR + 50 s.
"""
FULL_CHIP_PIXELS = 2051 * 4096
FITS_BLOCK = 2880

GZIP_MAGIC = b"\x1f\x8b"

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
    """

    extver: int
    number: int
    corner: tuple[float, float]
    electrons: NDArray[np.float32]
    dq: NDArray[np.uint16]
    unusable: NDArray[np.bool_]
    electrons_per_unit: float


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
    header: fits.Header
    chips: tuple[Chip, ...]


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


def cosmic_ray_time(exposure_time: float, flash_time: float, instrument: str, shape: tuple[int, int]) -> float:
    """Seconds during which the pixels of a frame collected cosmic rays.

    Parameters
    ----------
    exposure_time, flash_time : float
        EXPTIME and FLASHDUR in seconds.
    instrument : str
        INSTRUME; the read-out counts for WFC3 and ACS, whose full chips take about 100 s.
    shape : (int, int)
        Rows and columns of the chip; a subarray is read in proportion to its area.

    Returns
    -------
    float
        Exposure, post-flash and mean wait in the read-out, in seconds.
    """
    wait = 0.0
    if instrument in ("WFC3", "ACS"):
        wait = READOUT_WAIT * min(1.0, shape[0] * shape[1] / FULL_CHIP_PIXELS)
    return exposure_time + flash_time + wait


def read_exposure(path: str | Path, settings: ReadSettings | None = None) -> Exposure:
    """Read an HST or plain FITS image into electrons.

    HST files are read by their SCI and DQ extensions, wherever these stand; any other file by its first
    2-D image (primary or extension), without DQ. ``.fits.gz`` and ``.fits.fz`` are read as they are.

    Parameters
    ----------
    path : str or Path
        The file. It is never modified.
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
    path = Path(path)
    settings = settings or ReadSettings()
    try:
        with _opened(path) as data, fits.open(data, memmap=False) as hdus:
            _check_whole(hdus, data)
            return _exposure(path, hdus, settings)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # astropy and its decompressors raise a dozen kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as FITS, it may be truncated ({reason})") from error


def _opened(path: Path) -> BinaryIO:
    file = path.open("rb")
    if file.read(2) != GZIP_MAGIC:
        file.seek(0)
        return file
    with file:
        file.seek(0)
        return io.BytesIO(gzip.decompress(file.read()))


def _check_whole(hdus: fits.HDUList, data: BinaryIO) -> None:
    # astropy stops at the first header that it cannot read: a file cut between its chips would pass for a
    # file of fewer chips, or of chips without DQ. NEXTEND is no help, archive files carry stale ones.
    last = hdus[len(hdus) - 1].fileinfo()
    end = last["datLoc"] + last["datSpan"]
    size = data.seek(0, io.SEEK_END)
    data.seek(end)
    # Some programs leave the last block unfilled, or add empty ones.
    if size <= end - FITS_BLOCK or data.read().strip(b"\0"):
        raise OSError(f"byte {size} is not the end of an extension")


def _exposure(path: Path, hdus: fits.HDUList, settings: ReadSettings) -> Exposure:
    header = hdus[0].header
    images = science_images(hdus)
    if not images:
        raise InputError(f"{path}: holds no 2-D image; remove it from the list of files")
    instrument = _text(header, "INSTRUME")
    exposure_time = _number((header, images[0].header), "EXPTIME", "EXPOSURE", "TEXPTIME")
    if not exposure_time > 0:
        exposure_time = settings.exposure_time or 0.0
    if not exposure_time > 0:
        raise InputError(f"{path}: EXPTIME is missing or zero; give it with exposure_time=SECONDS")
    if len({image.ver for image in images}) < len(images):
        raise InputError(f"{path}: two SCI extensions have the same EXTVER; give each its own")
    chips = tuple(_chip(path, hdus, image, instrument, exposure_time, settings) for image in images)
    flash_time = max(_number((header, images[0].header), "FLASHDUR"), 0.0)
    rootname = _text(header, "ROOTNAME").lower()
    root = root_of(path)
    visit = next((name[:6] for name in (rootname, root.lower()) if _HST_ROOTNAME.fullmatch(name)), root)
    dark = "DARK" in _text(header, "IMAGETYP") or _text(header, "TARGNAME").startswith("DARK")
    return Exposure(
        path=path,
        root=root,
        instrument=instrument,
        detector=_text(header, "DETECTOR"),
        filter=_filter(header),
        exposure_time=exposure_time,
        cr_time=cosmic_ray_time(exposure_time, flash_time, instrument, chips[0].electrons.shape),
        visit=visit,
        image_type="dark" if dark else "science",
        header=header.copy(),
        chips=chips,
    )


def science_images(hdus: fits.HDUList) -> list[fits.ImageHDU]:
    """Find the image HDUs of an open file that hold its chips.

    Parameters
    ----------
    hdus : fits.HDUList

    Returns
    -------
    list of fits.ImageHDU
        All named SCI, else the first with two axes; empty where there is none.
    """
    flat = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2]
    return [hdu for hdu in flat if hdu.name == "SCI"] or flat[:1]


def dq_image(hdus: fits.HDUList, image: fits.ImageHDU) -> fits.ImageHDU | None:
    """Find the DQ HDU that belongs to a SCI HDU.

    Parameters
    ----------
    hdus : fits.HDUList
    image : fits.ImageHDU
        One of `science_images`.

    Returns
    -------
    fits.ImageHDU or None
        None where there is none or it is empty.
    """
    if image.name != "SCI" or ("DQ", image.ver) not in hdus:
        return None
    hdu = hdus["DQ", image.ver]
    return hdu if hdu.header.get("NAXIS") == 2 else None


def _chip(
    path: Path,
    hdus: fits.HDUList,
    image: fits.ImageHDU,
    instrument: str,
    exposure_time: float,
    settings: ReadSettings,
) -> Chip:
    where = f"{path}[{image.name or 'PRIMARY'},{image.ver}]"
    factor = electrons_per_unit(where, hdus[0].header, image.header, exposure_time, settings)
    electrons = np.asarray(image.data, dtype=np.float32) * np.float32(factor)
    dq_hdu = dq_image(hdus, image)
    dq = np.zeros(electrons.shape, np.uint16)
    if dq_hdu is not None:
        if dq_hdu.shape != electrons.shape:
            raise InputError(f"{where}: DQ is {dq_hdu.shape}, SCI is {electrons.shape}; the file is damaged")
        dq = np.asarray(dq_hdu.data).astype(np.uint16)
    finite = np.isfinite(electrons)
    unusable = ~finite | ((dq & unusable_bits(instrument)) != 0)
    if unusable.all():
        raise InputError(f"{where}: every pixel is unusable (DQ bits or NaN); leave this file out")
    if not finite.all():
        electrons[~finite] = np.median(electrons[finite])
    return Chip(
        extver=int(image.ver),
        number=int(_number((image.header,), "CCDCHIP")) or int(image.ver),
        corner=(_number((image.header,), "LTV1"), _number((image.header,), "LTV2")),
        electrons=electrons,
        dq=dq,
        unusable=unusable,
        electrons_per_unit=factor,
    )


def _text(header: fits.Header, key: str) -> str:
    value = header.get(key)
    return str(value).strip().upper() if isinstance(value, str) and value.strip() else "NONE"


def _number(headers: Sequence[fits.Header], *keys: str) -> float:
    values = [header[key] for key in keys for header in headers if key in header]
    return next((float(v) for v in values if isinstance(v, int | float) and np.isfinite(v)), 0.0)


def _filter(header: fits.Header) -> str:
    names = [_text(header, key) for key in ("FILTER", "FILTER1", "FILTER2")]
    named = [name for name in names if name != "NONE" and not name.startswith("CLEAR")]
    return named[0] if named else "NONE"
