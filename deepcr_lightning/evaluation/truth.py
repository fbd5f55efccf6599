"""Masks of true cosmic rays, and which pixels count."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.errors import InputError


@dataclass(frozen=True, eq=False)
class ChipTruth:
    """What is known of one chip.

    Attributes
    ----------
    cr : ndarray of bool, shape (H, W)
        True CR pixels.
    ignore : ndarray of bool, shape (H, W)
        Pixels of which nothing is known.
    """

    cr: NDArray[np.bool_]
    ignore: NDArray[np.bool_]

    def counted(self) -> NDArray[np.bool_]:
        """Pixels that count: known, and not on the rim of a CR.

        Where a CR ends is a matter of definition; the pixels that touch one from outside count neither as
        right nor as wrong.
        """
        rim = ndimage.binary_dilation(self.cr, structure=np.ones((3, 3), bool)) & ~self.cr
        return ~self.ignore & ~rim


def read_truth(path: Path) -> dict[int, ChipTruth]:
    """Read a truth file: ``CRTRUTH`` and ``IGNORE`` a chip.

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
        with fits.open(path) as hdus:
            versions = [hdu.ver for hdu in hdus if hdu.name == "CRTRUTH"]
            chips = {v: ChipTruth(hdus["CRTRUTH", v].data > 0, hdus["IGNORE", v].data > 0) for v in versions}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a truth file ({error})") from error
    if not chips:
        raise InputError(f"{path}: has no CRTRUTH extension")
    return chips
