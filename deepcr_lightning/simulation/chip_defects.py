"""Defects of one chip, fixed for all exposures: dark current, bad columns, traps, full well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.exposures.dq import WFC3DQ

MEAN_DARK = 8.0
"""Dark current of a normal pixel in electrons / hour (WFC3/UVIS in 2018)."""

HOT_LIMIT = 54.0
"""Dark current in electrons / hour above which the pipeline calls a pixel hot."""

WARM_LIMIT = 30.0
"""Dark current in electrons / hour above which a pixel is called warm."""

FULL_WELL = (63000.0, 72000.0)
"""Range of the full well over a chip in electrons."""

_HOT_SHARE = 0.03
_POWER = 1.5
_TAIL_FROM = 15.0
_HOTTEST = 3e5
_NEW_SHARE = 0.04
_UNSTABLE_SHARE = 0.005
_TRAP_SHARE = 0.004
_TRAP_DEPTH = 8.0
_BAD_COLUMNS = 0.004
# Noise of the reference dark in electrons / s (18 frames of 900 s) and its relative error; these
# two and the trap depth give residuals as in UVIS frames of 2018 (program 15460).
_SUPERDARK_NOISE = 0.0014
_SUPERDARK_ERROR = 0.08


@dataclass(frozen=True)
class ChipDefects:
    """What is wrong with each pixel of a chip.

    Attributes
    ----------
    dark : ndarray of float32, shape (H, W)
        Dark current in electrons / s.
    superdark : ndarray of float32, shape (H, W)
        Dark current that the reference file states, in electrons / s.
    unstable : ndarray of bool, shape (H, W)
        Pixels whose dark current jumps from exposure to exposure.
    response : ndarray of float32, shape (H, W)
        Share of the light that a pixel sees: 1 but for bad columns.
    trap_depth : ndarray of float32, shape (H, W)
        Electrons that a charge trap (sink pixel) holds back.
    full_well : ndarray of float32, shape (H, W)
        Largest charge of a pixel in electrons.
    dq : ndarray of int16, shape (H, W)
        The static DQ bits.
    """

    dark: NDArray[np.float32]
    superdark: NDArray[np.float32]
    unstable: NDArray[np.bool_]
    response: NDArray[np.float32]
    trap_depth: NDArray[np.float32]
    full_well: NDArray[np.float32]
    dq: NDArray[np.int16]

    def dark_now(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw the dark current of one exposure in electrons / s, shape (H, W)."""
        dark = self.dark.copy()
        jumps = np.array([0.3, 1.0, 1.0, 1.8], dtype=np.float32)
        dark[self.unstable] *= rng.choice(jumps, int(self.unstable.sum()))
        return dark


def draw_chip(shape: tuple[int, int], rng: np.random.Generator) -> ChipDefects:
    """Draw the defects of a chip.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    rng : numpy.random.Generator
        Source of all random numbers; the same seed gives the same chip.

    Returns
    -------
    ChipDefects
        Defects at about the rates of WFC3/UVIS in 2018: 3 % hot pixels, a few per cent
        of them too new for the reference files, 0.4 % in bad columns, 1 % near traps.
    """
    hourly = MEAN_DARK * np.exp(rng.normal(0, 0.2, shape))
    # A power law joined to the 3 % above the hot limit: N(> r) ~ r ** -_POWER.
    tail = rng.random(shape) < _HOT_SHARE * (HOT_LIMIT / _TAIL_FROM) ** _POWER
    excess = _TAIL_FROM * (1 - rng.random(int(tail.sum()))) ** (-1 / _POWER)
    hourly[tail] = np.minimum(excess, _HOTTEST)
    dark = (hourly / 3600).astype(np.float32)

    known = hourly.copy()
    new = tail & (rng.random(shape) < _NEW_SHARE)
    known[new] = MEAN_DARK
    stated = known / 3600 * (1 + rng.normal(0, _SUPERDARK_ERROR, shape))
    stated += rng.normal(0, _SUPERDARK_NOISE, shape)
    unstable = rng.random(shape) < _UNSTABLE_SHARE

    dq = np.zeros(shape, dtype=np.int16)
    dq[known > HOT_LIMIT] |= WFC3DQ.HOT.value
    dq[(known > WARM_LIMIT) & (known <= HOT_LIMIT)] |= WFC3DQ.WARM.value
    dq[unstable & (rng.random(shape) < 0.9)] |= WFC3DQ.UNSTABLE.value

    response = np.ones(shape, dtype=np.float32)
    for column in _bad_columns(shape[1], rng):
        start = int(rng.integers(0, max(shape[0] // 2, 1)))
        response[start:, column] = rng.uniform(0.3, 0.95)
        dq[start:, column] |= WFC3DQ.BAD_DETECTOR.value

    trapped = rng.random(shape) < _TRAP_SHARE
    depth = np.where(trapped, rng.exponential(_TRAP_DEPTH, shape), 0.0).astype(np.float32)
    # The pipeline flags the trap and the two pixels of its column whose charge passed it.
    flagged = ndimage.binary_dilation(trapped, np.array([[1], [1], [1]], dtype=bool))
    dq[flagged] |= WFC3DQ.CHARGE_TRAP.value

    smooth = ndimage.zoom(rng.random((3, 3)), (shape[0] / 3, shape[1] / 3), order=1)
    full_well = FULL_WELL[0] + (FULL_WELL[1] - FULL_WELL[0]) * smooth[: shape[0], : shape[1]]
    return ChipDefects(
        dark=dark,
        superdark=stated.astype(np.float32),
        unstable=unstable,
        response=response,
        trap_depth=depth,
        full_well=full_well.astype(np.float32),
        dq=dq,
    )


def _bad_columns(width: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the bad columns; they come in pairs."""
    first = rng.integers(0, max(width - 1, 1), rng.poisson(_BAD_COLUMNS * width / 2))
    return np.concatenate([first, first + 1])
