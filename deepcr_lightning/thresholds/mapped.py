"""An exposure with the maps of a network and, if known, its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.truth import ENDING, read_matching_truth

Planes = Sequence[NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Mapped:
    """An exposure, its CR probability, and what is known of it otherwise.

    Attributes
    ----------
    exposure : Exposure
    maps : sequence of ndarray of float32, shape (H, W)
        One a chip.
    classic : sequence of ndarray of bool, shape (H, W), optional
        CRs found by comparing several exposures.
    stars : astropy.table.Table, optional
        The true stars: ``extver``, ``y``, ``x`` and ``magnitude``.
    cosmic_rays : sequence of ndarray of bool, shape (H, W), optional
        The true CR pixels.
    """

    exposure: Exposure
    maps: Sequence[NDArray[np.float32]]
    classic: Planes | None = None
    stars: Table | None = None
    cosmic_rays: Planes | None = None

    def chip_stars(self, number: int) -> Table | None:
        """Return the true stars on the chip of that place in the exposure."""
        if self.stars is None:
            return None
        return self.stars[np.asarray(self.stars["extver"]) == self.exposure.chips[number].extver]


def read_simulated(folder: Path, exposure: Exposure) -> tuple[Table, Planes]:
    """Read the true stars and cosmic rays of a simulated exposure.

    Parameters
    ----------
    folder : Path
        That the simulation wrote, with ``stars`` and ``truth``.
    exposure : Exposure

    Returns
    -------
    stars : astropy.table.Table
    cosmic_rays : sequence of ndarray of bool, shape (H, W)
        One a chip.

    Raises
    ------
    InputError
        If there are none.
    """
    stars, truth = folder / "stars" / f"{exposure.root}_stars.ecsv", folder / "truth" / f"{exposure.root}{ENDING}"
    for path in (stars, truth):
        if not path.is_file():
            raise InputError(
                f"truth={folder}: holds no {path.relative_to(folder)}; name the folder that the simulation wrote"
            )
    known = read_matching_truth(truth, exposure)
    return Table.read(stars, format="ascii.ecsv"), [known[chip.extver].cr for chip in exposure.chips]
