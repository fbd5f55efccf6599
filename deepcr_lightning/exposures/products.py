"""What prediction leaves behind: mask files, DQ copies, cleaned copies; whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

import deepcr_lightning
from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import in_ascii, name_in_card
from deepcr_lightning.exposures.chip import Chip
from deepcr_lightning.exposures.chips import dq_plane, is_null, plane
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.layout import open_fits
from deepcr_lightning.exposures.product_names import STAMP

BY_HAND = "DCRADD"
"""The keyword that products of a mended mask have."""
_KEPT = ["TELESCOP", "INSTRUME", "DETECTOR", "ROOTNAME", "TARGNAME", "FILTER", "FILTER1", "FILTER2", "EXPTIME"]


@dataclass(frozen=True)
class Provenance:
    """How a mask was made; goes into the header of every product.

    Attributes
    ----------
    model : str
        File name of the checkpoint.
    sha256 : str
        SHA-256 of the checkpoint file.
    threshold : float
        On the probability.
    grow : int
        Pixels by which the mask was grown.
    plateau : float
        Value that the map was divided by.
    precision : str
        In which the network multiplied: float32, tf32, bfloat16 or float16.
    by_hand : (int, int), optional
        Pixels that somebody added to the mask and took from it, where somebody did.
    """

    model: str
    sha256: str
    threshold: float
    grow: int
    plateau: float = 1.0
    precision: str = "float32"
    by_hand: tuple[int, int] | None = None

    def stamp(self, header: fits.Header, flagged: float) -> None:
        """Write the keywords and HISTORY into a header.

        Parameters
        ----------
        header : fits.Header
            Changed in place.
        flagged : float
            Share of pixels in the mask.
        """
        version = deepcr_lightning.__version__
        header[STAMP] = ("deepcr-lightning", "software that found the cosmic rays")
        header["DCRVERS"] = (version, "its version")
        header["DCRMODEL"] = (name_in_card(self.model), "model")
        header["DCRSHA"] = self.sha256
        header["DCRTHR"] = (self.threshold, "threshold on the probability")
        if self.plateau != 1:
            header["DCRPLAT"] = (self.plateau, "the map was divided by this")
        header["DCRPREC"] = (self.precision, "precision of the network's arithmetic")
        header["DCRGROW"] = (self.grow, "[pix] growth of the mask")
        header["DCRFRAC"] = (round(flagged, 7), "share of pixels flagged as cosmic ray")
        if self.by_hand is not None:
            header[BY_HAND] = (self.by_hand[0], "pixels added to the mask by hand")
            header["DCRDEL"] = (self.by_hand[1], "pixels taken from the mask by hand")
        header.add_history(f"Cosmic rays found by deepcr-lightning {version}, network {in_ascii(self.model)}")
        header.add_history(f"SHA-256 {self.sha256}")
        header.add_history(f"Threshold {self.threshold:g}, grown by {self.grow} pixel(s), {flagged:.4%} flagged.")
        if self.by_hand is not None:
            header.add_history("Mended by hand: {} pixel(s) added, {} removed.".format(*self.by_hand))


def write_mask(
    path: Path,
    exposure: Exposure,
    masks: Sequence[NDArray[np.bool_]],
    provenance: Provenance,
    probabilities: Sequence[NDArray[np.float32]] | None = None,
    compress: bool = False,
    marks: Sequence[NDArray[np.uint8]] | None = None,
) -> None:
    """Write ``CRMASK`` (uint8, 1 = cosmic ray) and, if given, ``CRPROB`` (float32), one extension a chip with its WCS.

    Parameters
    ----------
    path : Path
    exposure : Exposure
        What was cleaned; gives EXTVER and the cards that identify it.
    masks : sequence of ndarray of bool, shape (H, W)
        One a chip.
    provenance : Provenance
    probabilities : sequence of ndarray of float32, shape (H, W), optional
        One a chip.
    compress : bool
        Tile-compress both, without loss.
    marks : sequence of ndarray of uint8, shape (H, W), optional
        One a chip, written as ``CRHAND``: 1 where a pixel was added by hand, 2 where one was removed.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    primary = fits.PrimaryHDU()
    for key in _KEPT:
        if key in exposure.header:
            primary.header[key] = (exposure.header[key], exposure.header.comments[key])
    primary.header["DCRINPUT"] = (name_in_card(exposure.path.name), "input")
    provenance.stamp(primary.header, flagged_share(masks))
    hdus = fits.HDUList([primary])
    for chip, mask in zip(exposure.chips, masks, strict=True):
        hdu = _image(mask.view(np.uint8), "CRMASK", chip, compress)
        hdu.header["DCRFRAC"] = (round(flagged_share([mask]), 7), "share of pixels flagged as cosmic ray")
        hdus.append(hdu)
    for chip, probability in zip(exposure.chips, probabilities or (), strict=probabilities is not None):
        hdus.append(_image(probability, "CRPROB", chip, compress))
    for chip, by_hand in zip(exposure.chips, marks or (), strict=marks is not None):
        hdus.append(_image(by_hand, "CRHAND", chip, compress=True))
    write_atomically(path, lambda partial: hdus.writeto(partial, overwrite=True))


def _image(data: NDArray, name: str, chip: Chip, compress: bool) -> fits.ImageHDU | fits.CompImageHDU:
    if compress:
        hdu = fits.CompImageHDU(data, name=name, compression_type="GZIP_2", quantize_level=0)
        hdu.ver = chip.extver
    else:
        hdu = fits.ImageHDU(data, name=name, ver=chip.extver)
    hdu.header.extend(chip.wcs)
    return hdu


def write_dq_copy(
    path: Path,
    exposure: Exposure,
    masks: Sequence[NDArray[np.bool_]],
    dq_bit: int,
    provenance: Provenance,
) -> None:
    """Write a copy of the input with `dq_bit` set in DQ where the mask is; all else stays as it is.

    Parameters
    ----------
    path : Path
    exposure : Exposure
        What was cleaned; its file is copied.
    masks : sequence of ndarray of bool, shape (H, W)
        One a chip.
    dq_bit : int
        A power of 2.
    provenance : Provenance

    Raises
    ------
    InputError
        If the input has no DQ that can hold the bit or was changed since, or the copy cannot be written.
    """

    def edit(hdus: fits.HDUList) -> list[fits.ImageHDU]:
        edited = []
        for chip, mask in zip(exposure.chips, masks, strict=True):
            image = hdus[chip.place.image]
            where = f"{exposure.path}[{image.name or chip.place.image},{chip.extver}]"
            if chip.place.dq is None:
                raise InputError(f"{where}: has no DQ array; leave dq_copy out of products=")
            hdu = hdus[chip.place.dq]
            if is_null(hdu):
                hdu.data = dq_plane(where, hdu, mask.shape)
                for key in ("NPIX1", "NPIX2", "PIXVALUE"):
                    hdu.header.remove(key, ignore_missing=True)
            if hdu.data.dtype.kind != "i" or hdu.data.dtype.itemsize < 2:
                raise InputError(f"{where}: DQ is {hdu.data.dtype.name}, below 16 bits; leave dq_copy out of products=")
            # Unsigned values stand in FITS as signed ones with an offset.
            zero = int(hdu.header.get("BZERO", 0))
            values = plane(hdu)
            bits = (values[mask].astype(np.int64) + zero) | dq_bit
            values[mask] = (bits - zero).astype(values.dtype)
            edited.append(hdu)
        hdus[0].header["DCRDQBIT"] = (dq_bit, "DQ bit of the cosmic rays")
        return edited

    _write_copy(path, exposure, masks, provenance, edit)


def write_clean_copy(
    path: Path,
    exposure: Exposure,
    filled: Sequence[NDArray[np.float32]],
    masks: Sequence[NDArray[np.bool_]],
    provenance: Provenance,
    fill: str = "median_5",
) -> None:
    """Write a copy of the input in which the pixels of the mask hold the filled values; all else stays as it is.

    Parameters
    ----------
    path : Path
    exposure : Exposure
    filled : sequence of ndarray of float32, shape (H, W)
        Images with the CR pixels filled, in electrons.
    masks : sequence of ndarray of bool, shape (H, W)
    provenance : Provenance
    fill : str
        How they were filled, for the header.

    Raises
    ------
    InputError
        If the input was changed since, or the copy cannot be written.
    """

    def edit(hdus: fits.HDUList) -> list[fits.ImageHDU]:
        edited = []
        for chip, electrons, mask in zip(exposure.chips, filled, masks, strict=True):
            image = hdus[chip.place.image]
            zero, scale = image.header.get("BZERO", 0.0), image.header.get("BSCALE", 1.0)
            values = (electrons[mask] / chip.electrons_per_unit - zero) / scale
            if image.data.dtype.kind in "iu":
                limits = np.iinfo(image.data.dtype)
                values = np.clip(np.rint(values), limits.min, limits.max)
            plane(image)[mask] = values.astype(image.data.dtype)
            edited.append(image)
            if isinstance(image, fits.CompImageHDU) and image.data.dtype.kind == "f":
                # Compressing a second time with loss would change every pixel.
                settings = {"compression_type": "GZIP_2", "quantize_level": 0}
                hdus[hdus.index(image)] = fits.CompImageHDU(image.data, image.header, image.name, **settings)
        hdus[0].header["DCRFILL"] = (in_ascii(fill), "how cosmic-ray pixels were filled")
        return edited

    _write_copy(path, exposure, masks, provenance, edit)


def _write_copy(
    path: Path,
    exposure: Exposure,
    masks: Sequence[NDArray[np.bool_]],
    provenance: Provenance,
    edit: Callable[[fits.HDUList], list[fits.ImageHDU]],
) -> None:
    if path.exists() and isinstance(exposure.path, Path) and path.samefile(exposure.path):
        raise InputError(f"{path}: would overwrite the input; choose another output_dir")
    if exposure.changed is not None and exposure.path.stat().st_mtime_ns != exposure.changed:
        raise InputError(f"{exposure.path}: has changed since it was read, so {path.name} is not written; run again")

    def write(partial: Path) -> None:
        # Raw values and raw headers: what is not edited goes through byte by byte.
        with open_fits(exposure.path, do_not_scale_image_data=True) as (hdus, _):
            for hdu in [*edit(hdus), hdus[0]]:
                if hdu is hdus[0]:
                    provenance.stamp(hdu.header, flagged_share(masks))
                if "CHECKSUM" in hdu.header:
                    hdu.add_checksum()
                elif "DATASUM" in hdu.header:
                    hdu.add_datasum()
            hdus.writeto(partial, overwrite=True, output_verify="ignore")

    try:
        write_atomically(path, write)
    except InputError:
        raise
    except (fits.VerifyError, ValueError) as error:  # cards that astropy reads and will not write
        raise InputError(
            f"{exposure.path}: its header cannot be copied ({str(error).splitlines()[0]}); correct it, or leave "
            "dq_copy and clean out of products="
        ) from error


def flagged_share(masks: Sequence[NDArray[np.bool_]]) -> float:
    """Share of the pixels of all chips that are in their masks.

    Parameters
    ----------
    masks : sequence of ndarray of bool, shape (H, W)

    Returns
    -------
    float
    """
    return sum(map(np.count_nonzero, masks)) / sum(mask.size for mask in masks)
