"""Science chips to sky tiles: where they lie, and what their exposures look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Chip, Exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.sights.sight import Sight, look_at

MIN_USABLE = 0.5
"""Tiles with a smaller share of usable pixels are left out."""
_WELL_ABOVE = 5.0


@dataclass(frozen=True, eq=False)
class SkyTile:
    """A square cut from a science chip.

    Attributes
    ----------
    electrons : ndarray of float32, shape (size, size)
    usable : ndarray of bool, shape (size, size)
    sky, noise : float
        Sky level and noise of the whole chip in electrons: prediction normalises this place with them.
    filter, visit, file, camera : str
    exposure_time, cr_time : float
        In seconds; `cr_time` is the time in which the tile collected its own CRs.
    chip : int
        CCDCHIP.
    y, x : int
        Offset of the tile's first pixel in its chip.
    crowding : float
        Share of the usable pixels that stand more than 5 times the noise above the sky: stars, nebulae and CRs.
    star_width : float
        FWHM in pixels of the stars of its exposure; NaN if it is not known.
    spectrum, trailed : bool
        Whether its exposure is a spectrum, or an image of trailed stars.
    own_charge : ndarray of float32, shape (size, size), or None
        True charge of the CRs that the tile has of itself, where it is known.
    """

    electrons: NDArray[np.float32]
    usable: NDArray[np.bool_]
    sky: float
    noise: float
    filter: str
    visit: str
    file: str
    camera: str
    exposure_time: float
    cr_time: float
    chip: int
    y: int
    x: int
    crowding: float
    star_width: float
    spectrum: bool
    trailed: bool
    own_charge: NDArray[np.float32] | None = None


def tile_offsets(length: int, size: int) -> list[int]:
    """Place the fewest tiles of one size that cover a length; the last one is moved inward.

    Parameters
    ----------
    length, size : int
        Pixels; the length is at least the size.

    Returns
    -------
    list of int
        First pixel of each tile, ascending.
    """
    return sorted({min(start, length - size) for start in range(0, length, size)})


def cut_sky_tiles(
    exposure: Exposure, size: int, own_charge: Mapping[int, NDArray[np.float32]] | None = None
) -> Iterator[SkyTile]:
    """Cut the chips of a science exposure into tiles that cover them.

    Parameters
    ----------
    exposure : Exposure
    size : int
        Side of a tile in pixels.
    own_charge : mapping of int to ndarray of float32, shape (H, W), optional
        True CR charge of each chip by EXTVER.

    Yields
    ------
    SkyTile
        Tiles of which at least half (`MIN_USABLE`) is usable.

    Raises
    ------
    InputError
        If a chip is smaller than a tile.
    """
    sight = look_at(exposure)
    for chip in exposure.chips:
        rows, columns = chip.electrons.shape
        if min(rows, columns) < size:
            raise InputError(
                f"{exposure.path}[SCI,{chip.extver}]: {rows} x {columns} pixels, smaller than a tile of {size}; "
                f"set data.tile_size={_largest_tile(min(rows, columns))} or leave the file out"
            )
        sky, noise = sky_and_noise(chip.electrons, ~chip.unusable)
        for y in tile_offsets(rows, size):
            for x in tile_offsets(columns, size):
                tile = _tile(exposure, sight, chip, sky, noise, y, x, size)
                if own_charge is not None:
                    tile = replace(tile, own_charge=own_charge[chip.extver][y : y + size, x : x + size])
                if tile.usable.mean() >= MIN_USABLE:
                    yield tile


def _tile(exposure: Exposure, sight: Sight, chip: Chip, sky: float, noise: float, y: int, x: int, size: int) -> SkyTile:
    cut = np.s_[y : y + size, x : x + size]
    electrons, usable = chip.electrons[cut], ~chip.unusable[cut]
    return SkyTile(
        electrons=electrons,
        usable=usable,
        sky=sky,
        noise=noise,
        filter=exposure.filter,
        visit=exposure.visit,
        file=str(exposure.path),
        camera=exposure.camera,
        exposure_time=chip.exposure_time,
        cr_time=chip.cr_time,
        chip=chip.number,
        y=y,
        x=x,
        crowding=float(np.mean(electrons[usable] > sky + _WELL_ABOVE * noise)) if usable.any() else 0.0,
        star_width=sight.stars.width,
        spectrum=sight.spectrum,
        trailed=sight.trailed,
    )


def _largest_tile(length: int) -> int:
    return max(16, length // 16 * 16)
