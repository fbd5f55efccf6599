"""Pencil, eraser and whole events: from what the pointer did to pixels of a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.viewer.hand import ADDED, REMOVED, event_at, stroke
from deepcr_lightning.viewer.opened import OpenExposure

LOOK, PENCIL, ERASER, ADD_EVENT, ERASE_EVENT = MODES = ("look", "pencil", "eraser", "add event", "erase event")
"""What a tap or a stroke means."""


def draw(opened: OpenExposure, chip: int, mode: str, xs: Sequence[float], ys: Sequence[float], radius: int) -> bool:
    """Mark the pixels under a stroke.

    Parameters
    ----------
    opened : OpenExposure
    chip : int
        Place of the chip.
    mode : str
        Name in `MODES`.
    xs, ys : sequence of float
        Corners of the stroke, in pixels, the centre of the first one at 1.
    radius : int
        Radius of the brush in pixels.

    Returns
    -------
    bool
        Whether anything was marked.
    """
    if mode not in (PENCIL, ERASER):
        return False
    shape = opened.exposure.chips[chip].electrons.shape
    pixels = stroke(np.asarray(xs, float) - 1, np.asarray(ys, float) - 1, radius, shape)
    return _mark(opened, chip, pixels, ADDED if mode == PENCIL else REMOVED)


def tap(opened: OpenExposure, chip: int, mode: str, row: int, column: int, radius: int) -> bool:
    """Mark a pixel, or the event around it.

    Parameters
    ----------
    opened : OpenExposure
    chip : int
        Place of the chip.
    mode : str
        Name in `MODES`.
    row, column : int
        Place of the pixel.
    radius : int
        Radius of the brush in pixels.

    Returns
    -------
    bool
        Whether anything was marked.

    Raises
    ------
    InputError
        If an event is to be added where the network sees none.
    """
    if mode in (PENCIL, ERASER):
        return draw(opened, chip, mode, [column + 1], [row + 1], radius)
    if mode == ERASE_EVENT:
        return _mark(opened, chip, event_at(opened.mask(chip), row, column), REMOVED)
    if mode != ADD_EVENT:
        return False
    # What would be flagged together with this pixel, were the threshold just below it.
    codes = opened.found(chip)
    if codes[row, column] == 0:
        raise InputError("No event there: the probability is below the lowest threshold. Use the pencil")
    return _mark(opened, chip, event_at(codes >= codes[row, column], row, column), ADDED)


def _mark(opened: OpenExposure, chip: int, pixels: NDArray[np.int64], mark: int) -> bool:
    opened.mending.paint(chip, pixels, mark)
    return len(pixels) > 0
