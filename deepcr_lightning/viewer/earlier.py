"""Masks that were written before, read back with what their headers say of how they were made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import name_in_card
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.layout import open_fits, primary_header
from deepcr_lightning.exposures.product_names import STAMP
from deepcr_lightning.exposures.products import Provenance


@dataclass(frozen=True, eq=False)
class EarlierMask:
    """The mask file of an exposure.

    Attributes
    ----------
    provenance : Provenance
        How it was made.
    masks : list of ndarray of bool, shape (H, W)
        One a chip.
    maps : list of ndarray of float32, shape (H, W), or None
        The probabilities, where the file has them.
    marks : list of ndarray of uint8, shape (H, W), or None
        What was changed by hand (`viewer.hand`), where the file says.
    """

    provenance: Provenance
    masks: list[NDArray[np.bool_]]
    maps: list[NDArray[np.float32]] | None
    marks: list[NDArray[np.uint8]] | None


def read_mask_file(path: Path, exposure: Exposure) -> EarlierMask:
    """Read the mask file of an exposure.

    Parameters
    ----------
    path : Path
        ``<root>_crmask.fits`` of predict.py or of the page.
    exposure : Exposure
        Whose mask it is.

    Returns
    -------
    EarlierMask

    Raises
    ------
    InputError
        If it cannot be read, is no mask file of ours, or is of another exposure.
    """
    try:
        with open_fits(path) as (hdus, _):
            header = hdus[0].header
            if STAMP not in header or "CRMASK" not in hdus:
                raise InputError(f"{path}: was not written by this package; move it away or choose another output_dir")
            _refuse_other(path, header, exposure)
            masks = [plane > 0 for plane in _planes(path, hdus, "CRMASK", exposure) or []]
            maps = _planes(path, hdus, "CRPROB", exposure)
            marks = _planes(path, hdus, "CRHAND", exposure)
            provenance = Provenance(
                model=str(header["DCRMODEL"]),
                sha256=str(header["DCRSHA"]),
                threshold=float(header["DCRTHR"]),
                grow=int(header["DCRGROW"]),
                plateau=float(header.get("DCRPLAT", 1.0)),
                precision=str(header.get("DCRPREC", "float32")),
            )
    except InputError:
        raise
    except Exception as error:  # astropy raises a dozen kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as a mask file ({reason}); move it away") from error
    return EarlierMask(
        provenance,
        masks,
        maps and [np.ascontiguousarray(plane, np.float32) for plane in maps],
        marks and [np.array(plane, np.uint8) for plane in marks],
    )


def flagged_before(path: Path) -> float | None:
    """Read the flagged share from the header of a mask file; None where there is no such file or it does not say."""
    try:
        share = primary_header(path).get("DCRFRAC")
    except (OSError, ValueError):
        return None
    return float(share) if isinstance(share, int | float) else None


def _refuse_other(path: Path, header: fits.Header, exposure: Exposure) -> None:
    for key, mine in (("DCRINPUT", name_in_card(exposure.path.name)), ("ROOTNAME", exposure.header.get("ROOTNAME"))):
        theirs = header.get(key)
        if theirs is not None and mine is not None and str(theirs).strip() != str(mine).strip():
            raise InputError(
                f"{path}: is the mask of {theirs}, not of {mine}; move it away or choose another output_dir"
            )


def _planes(path: Path, hdus: fits.HDUList, name: str, exposure: Exposure) -> list[NDArray] | None:
    if name not in hdus:
        return None
    found = []
    for chip in exposure.chips:
        if (name, chip.extver) not in hdus or hdus[name, chip.extver].shape != chip.electrons.shape:
            rows, columns = chip.electrons.shape
            raise InputError(
                f"{path}: has no {name},{chip.extver} of {rows} x {columns} pixels, as {exposure.path.name} has; is it "
                "of another exposure?"
            )
        found.append(hdus[name, chip.extver].data)
    return found
