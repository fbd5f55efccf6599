"""Masks of true cosmic rays, and which pixels count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import in_ascii
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.layout import open_fits, primary_header, refuse_large
from deepcr_lightning.exposures.paths import TRUTH, as_path, below, matches

ENDING = f"{TRUTH}.fits"
_PLANES = ("CRTRUTH", "IGNORE", "CRCHARGE")


@dataclass(frozen=True, eq=False)
class ChipTruth:
    """What is known of one chip.

    Attributes
    ----------
    cr : ndarray of bool, shape (H, W)
        True CR pixels.
    ignore : ndarray of bool, shape (H, W)
        Pixels of which nothing is known.
    charge : ndarray of float32, shape (H, W), or None
        True CR charge in electrons, where the file tells: simulations do.
    """

    cr: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    charge: NDArray[np.float32] | None = None

    def counted(self) -> NDArray[np.bool_]:
        """Pixels that count: known, and not on the rim of a CR.

        Where a CR ends is a matter of definition; the pixels that touch one from outside count neither as
        right nor as wrong.
        """
        rim = ndimage.binary_dilation(self.cr, structure=np.ones((3, 3), bool)) & ~self.cr
        return ~self.ignore & ~rim


def read_truth(path: Path) -> dict[int, ChipTruth]:
    """Read a truth file: ``CRTRUTH``, ``IGNORE`` and perhaps ``CRCHARGE`` a chip.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of int to ChipTruth
        By EXTVER.

    Raises
    ------
    InputError
        If the file cannot be read or has no ``CRTRUTH``.
    """
    try:
        with open_fits(path) as (hdus, data):
            refuse_large(path, data, [hdu for hdu in hdus if hdu.is_image and hdu.name in _PLANES])
            versions = [hdu.ver for hdu in hdus if hdu.name == "CRTRUTH"]
            chips = {v: _chip(hdus, v) for v in versions}
    except Exception as error:  # astropy raises a dozen kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as a truth file ({reason})") from error
    if not chips:
        raise InputError(f"{path}: has no CRTRUTH extension")
    return chips


def read_matching_truth(path: Path, exposure: Exposure) -> dict[int, ChipTruth]:
    """Read the truth of an exposure and see that it is of its shape.

    Parameters
    ----------
    path : Path
    exposure : Exposure

    Returns
    -------
    dict of int to ChipTruth
        By EXTVER.

    Raises
    ------
    InputError
        If it cannot be read, or a chip is missing or of another shape.
    """
    truth = read_truth(path)
    for chip in exposure.chips:
        rows, columns = chip.electrons.shape
        if chip.extver not in truth:
            raise InputError(f"{path}: has no CRTRUTH,{chip.extver} for SCI,{chip.extver} of {exposure.path.name}")
        if truth[chip.extver].cr.shape != (rows, columns):
            found = " x ".join(str(length) for length in truth[chip.extver].cr.shape)
            raise InputError(
                f"{path}: CRTRUTH,{chip.extver} has {found} pixels and {exposure.path.name} {rows} x {columns}"
            )
    return truth


def write_truth(path: Path, exposure: Exposure, chips: Mapping[int, ChipTruth], origin: str) -> None:
    """Write a truth file, whole or not at all.

    Parameters
    ----------
    path : Path
    exposure : Exposure
        Whose truth it is.
    chips : mapping of int to ChipTruth
        By EXTVER, with charge.
    origin : str
        Where the truth comes from, for the header.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    primary = fits.PrimaryHDU()
    for key, value in {"ROOTNAME": exposure.root, "FILTER": exposure.filter, "TRUTHOF": origin}.items():
        primary.header[key] = in_ascii(value)
    if "FIELDTYP" in exposure.header:
        primary.header["FIELDTYP"] = exposure.header["FIELDTYP"]
    hdus = fits.HDUList([primary])
    for version, chip in chips.items():
        hdus.append(fits.ImageHDU(chip.cr.astype(np.uint8), name="CRTRUTH", ver=version))
        hdus.append(fits.ImageHDU(chip.ignore.astype(np.uint8), name="IGNORE", ver=version))
        charge = fits.CompImageHDU(chip.charge, name="CRCHARGE", compression_type="GZIP_1", quantize_level=0)
        charge.ver = version
        charge.header["BUNIT"] = "ELECTRONS"
        hdus.append(charge)
    write_atomically(path, lambda partial: hdus.writeto(partial, overwrite=True))


def find_truths(option: str, value: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """List the truth files that a path option names.

    Parameters
    ----------
    option : str
        Name of the option, for messages.
    value : path, glob, or a list of these
        A directory stands for all ``<root>_truth.fits`` in and below it, linked directories included.

    Returns
    -------
    dict of str to Path
        By root.

    Raises
    ------
    InputError
        If there is none, or two of one root.
    """
    found: dict[str, Path] = {}
    for part in [value] if isinstance(value, str | Path) else list(value):
        files = (file for place in matches(as_path(part)) for file in (below(place) if place.is_dir() else [place]))
        # Hidden files are those that another process is writing.
        for path in sorted(file for file in files if file.name.endswith(ENDING) and not file.name.startswith(".")):
            other = found.setdefault(path.name.removesuffix(ENDING), path)
            if other.resolve() != path.resolve():
                raise InputError(f"{option}={value}: {other} and {path} have the same root; give only one of them")
    if not found:
        raise InputError(f"{option}={value}: no <root>{ENDING} there")
    return found


def field_type(path: Path) -> str:
    """Read what kind of field a truth file is of: FIELDTYP, lower case, or ``"unknown"``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
    """
    return str(primary_header(path).get("FIELDTYP", "unknown")).lower()


def _chip(hdus: fits.HDUList, version: int) -> ChipTruth:
    charge = hdus["CRCHARGE", version].data.astype(np.float32) if ("CRCHARGE", version) in hdus else None
    return ChipTruth(hdus["CRTRUTH", version].data > 0, hdus["IGNORE", version].data > 0, charge)
