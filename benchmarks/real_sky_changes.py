"""Real images as another camera or reduction would have had them: other pixels, gain or noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from zlib import crc32

import numpy as np
from astropy.nddata import block_reduce
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.exposures.chip import Chip
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import ChipTruth

Change = Callable[[Chip, ChipTruth], tuple[Chip, ChipTruth]]
_LENT = 0.01


def binned(binning: tuple[int, int]) -> Change:
    """Add pixels up.

    Parameters
    ----------
    binning : (int, int)
        Rows and columns that are added up; a CR, or what is ignored, among them makes the sum one.

    Returns
    -------
    callable
        Of a chip and its truth.
    """

    def change(chip: Chip, truth: ChipTruth) -> tuple[Chip, ChipTruth]:
        made = replace(
            chip,
            electrons=block_reduce(chip.electrons, binning),
            dq=block_reduce(chip.dq, binning, np.bitwise_or.reduce),
            unusable=block_reduce(chip.unusable, binning, np.any),
            saturated=block_reduce(chip.saturated, binning, np.any),
        )
        return made, ChipTruth(*(block_reduce(plane, binning, np.any) for plane in (truth.cr, truth.ignore)))

    return change


def shifted(shift: tuple[float, float]) -> Change:
    """Shift by a part of a pixel, by linear interpolation, as many a pipeline does before it hands images on.

    Parameters
    ----------
    shift : (float, float)
        Y, X: pixels towards higher rows and higher columns.

    Returns
    -------
    callable
        Of a chip and its truth; its DQ array is not shifted, and no one looks at it. A pixel is a CR if CR pixels have
        half of the weight in it or more, and ignored if they have less, so that CRs of a single pixel do not count
        where it is shared among four; what an unusable or ignored pixel lends a hundredth to is so as well.
    """

    def change(chip: Chip, truth: ChipTruth) -> tuple[Chip, ChipTruth]:
        planes = {name: moved(getattr(chip, name), shift) > _LENT for name in ("unusable", "saturated")}
        return replace(chip, electrons=moved(chip.electrons, shift), **planes), moved_truth(truth, shift)

    return change


def scaled(factor: float) -> Change:
    """Multiply all charge, as a gain does that is wrong: noise and light no longer fit each other.

    Parameters
    ----------
    factor : float

    Returns
    -------
    callable
        Of a chip and its truth, which stays.
    """

    def change(chip: Chip, truth: ChipTruth) -> tuple[Chip, ChipTruth]:
        return replace(chip, electrons=chip.electrons * np.float32(factor)), truth

    return change


def noisier(factor: float) -> Change:
    """Let the right half of a chip have more noise than the left, as if another amplifier read it.

    Parameters
    ----------
    factor : float
        Noise there over that of before, at least 1.

    Returns
    -------
    callable
        Of a chip and its truth, which stays; each chip has noise of its own, the same in every run.
    """

    def change(chip: Chip, truth: ChipTruth) -> tuple[Chip, ChipTruth]:
        _, noise = sky_and_noise(chip.electrons, ~chip.unusable)
        rng = np.random.default_rng(crc32(np.ascontiguousarray(chip.electrons)))
        more = noise * np.sqrt(factor**2 - 1) * rng.normal(size=chip.electrons.shape)
        more[:, : chip.electrons.shape[1] // 2] = 0
        return replace(chip, electrons=(chip.electrons + more).astype(np.float32)), truth

    return change


def moved(plane: NDArray[np.generic], shift: tuple[float, float]) -> NDArray[np.float32]:
    """Interpolate a plane linearly; beyond its edge it is taken to go on like a mirror."""
    return ndimage.shift(plane.astype(np.float32), shift, order=1, mode="mirror")


def moved_truth(truth: ChipTruth, shift: tuple[float, float]) -> ChipTruth:
    """Give the truth of an interpolated chip: a CR where CR pixels have half of the weight or more."""
    share = moved(truth.cr, shift)
    cr = share > 0.499
    return ChipTruth(cr, (moved(truth.ignore, shift) > _LENT) | ((share > _LENT) & ~cr))


def changed(
    chips: tuple[Chip, ...], truth: Mapping[int, ChipTruth], change: Change
) -> tuple[tuple[Chip, ...], dict[int, ChipTruth]]:
    """Change all chips of an exposure, with their truth by EXTVER."""
    made = [change(chip, truth[chip.extver]) for chip in chips]
    return tuple(chip for chip, _ in made), {chip.extver: known for chip, known in made}
