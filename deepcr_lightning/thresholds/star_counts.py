"""Good stars that a mask keeps, adds and loses against no mask, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.photometry.star_lists import Stars, match

BLOCKS = 4
"""Blocks along each side of a chip: what the bootstrap draws again."""

Selection = Callable[[Stars], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class ChipStars:
    """Good stars of a chip of a field without a mask and with each.

    Attributes
    ----------
    field : str
        Name of the field and number of the chip.
    shape : (int, int)
        Rows and columns of the chip.
    legacy : Stars
        Without a mask.
    masked : tuple of Stars
        One a threshold.
    partners : tuple of ndarray of int64
        For each threshold and star of `legacy`, its index in `masked`, -1 where it is lost.
    classic : Stars, optional
        With the CRs masked that a comparison of several exposures finds.
    """

    field: str
    shape: tuple[int, int]
    legacy: Stars
    masked: tuple[Stars, ...]
    partners: tuple[NDArray[np.int64], ...]
    classic: Stars | None = None


def chip_stars(
    field: str, shape: tuple[int, int], legacy: Stars, masked: Sequence[Stars], classic: Stars | None = None
) -> ChipStars:
    """Match the stars under each mask with those without one.

    Parameters
    ----------
    field : str
    shape : (int, int)
    legacy : Stars
    masked : sequence of Stars
    classic : Stars, optional

    Returns
    -------
    ChipStars
    """
    partners = tuple(match(legacy.places, stars.places) for stars in masked)
    return ChipStars(field, shape, legacy, tuple(masked), partners, classic)


@dataclass(frozen=True, eq=False)
class Counts:
    """Stars of all blocks.

    Attributes
    ----------
    legacy : ndarray of float64, shape (blocks,)
        Without a mask.
    added, lost : ndarray of float64, shape (thresholds, blocks)
        Stars that are there with the mask alone, and without it alone.
    """

    legacy: NDArray[np.float64]
    added: NDArray[np.float64]
    lost: NDArray[np.float64]

    @property
    def kept(self) -> NDArray[np.float64]:
        """Stars that are there with and without the mask, shape (thresholds, blocks)."""
        return np.asarray(self.legacy - self.lost)


def everywhere(stars: Stars) -> NDArray[np.bool_]:
    """Select all stars."""
    return np.ones(len(stars), bool)


def in_box(corners: Sequence[Sequence[float]], shift: tuple[float, float] = (0.0, 0.0)) -> Selection:
    """Select the stars in a box of the colour-magnitude diagram.

    Parameters
    ----------
    corners : sequence of (float, float)
        Colour and magnitude (of the last filter) of each corner.
    shift : (float, float)
        Added to all corners.

    Returns
    -------
    callable

    Raises
    ------
    InputError
        If it is no polygon.
    """
    try:
        points = np.asarray(corners, np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise InputError(f"box={corners}: give three corners or more, each [colour, magnitude]")
    polygon = Polygon(points + shift)
    return lambda stars: polygon.contains_points(np.column_stack([stars.colour, stars.magnitudes[:, -1]]))


def count(chips: Sequence[ChipStars], select: Selection = everywhere) -> Counts:
    """Count the selected stars that each mask adds and loses.

    Parameters
    ----------
    chips : sequence of ChipStars
    select : callable
        A star that a mask moves out of the selection is lost, one that it moves into it is added.

    Returns
    -------
    Counts
    """
    legacy, added, lost = [], [], []
    for chip in chips:
        before = select(chip.legacy)
        legacy.append(_per_block(chip.legacy, before, chip.shape))
        gained, gone = [], []
        for stars, partner in zip(chip.masked, chip.partners, strict=True):
            after = select(stars)
            stayed = np.zeros(len(before), bool)
            stayed[partner >= 0] = after[partner[partner >= 0]]
            known = np.zeros(len(after), bool)
            known[partner[(partner >= 0) & before]] = True
            gone.append(_per_block(chip.legacy, before & ~stayed, chip.shape))
            gained.append(_per_block(stars, after & ~known, chip.shape))
        added.append(np.stack(gained))
        lost.append(np.stack(gone))
    return Counts(np.concatenate(legacy), np.concatenate(added, axis=1), np.concatenate(lost, axis=1))


def _per_block(stars: Stars, chosen: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.float64]:
    row = np.clip(stars.y[chosen] * BLOCKS / shape[0], 0, BLOCKS - 1).astype(np.int64)
    column = np.clip(stars.x[chosen] * BLOCKS / shape[1], 0, BLOCKS - 1).astype(np.int64)
    return np.bincount(row * BLOCKS + column, minlength=BLOCKS**2).astype(np.float64)
