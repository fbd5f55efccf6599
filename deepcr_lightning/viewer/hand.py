"""What a hand adds to a mask and takes from it: strokes, events, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from deepcr_lightning.viewer.ladder import ALWAYS

UNTOUCHED, ADDED, REMOVED = 0, 1, 2
_EIGHT = np.ones((3, 3))


class Mending:
    """The pixels of an exposure's chips that were added or removed by hand.

    Parameters
    ----------
    marks : sequence of ndarray of uint8, shape (H, W)
        One a chip: `UNTOUCHED`, `ADDED` or `REMOVED`. They are changed in place.

    Attributes
    ----------
    marks : list of ndarray of uint8, shape (H, W)
    state : int
        Number of the last step that was not undone, 0 where there is none; no two states have the same.
    """

    def __init__(self, marks: Sequence[NDArray[np.uint8]]) -> None:
        self.marks = list(marks)
        self._steps: list[tuple[int, int, NDArray[np.int64], NDArray[np.uint8]]] = []
        self._made = 0

    @property
    def state(self) -> int:
        """Number of the last step that was not undone."""
        return self._steps[-1][0] if self._steps else 0

    def paint(self, chip: int, pixels: NDArray[np.int64], mark: int) -> None:
        """Mark pixels as one step.

        Parameters
        ----------
        chip : int
            Place of the chip in `marks`.
        pixels : ndarray of int64, shape (N,)
            Flat indices.
        mark : int
        """
        flat = self.marks[chip].ravel()  # a view, the arrays are contiguous
        if len(pixels):
            self._made += 1
            self._steps.append((self._made, chip, pixels, flat[pixels]))
            flat[pixels] = mark

    def undo(self) -> int | None:
        """Take the last step back.

        Returns
        -------
        int or None
            The chip that it was on; None if there is none.
        """
        if not self._steps:
            return None
        _, chip, pixels, before = self._steps.pop()
        self.marks[chip].ravel()[pixels] = before
        return chip

    def over(self, chip: int, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay the marks over the codes of a map (`viewer.ladder`).

        Parameters
        ----------
        chip : int
        codes : ndarray of uint8, shape (H, W)

        Returns
        -------
        ndarray of uint8, shape (H, W)
        """
        marks, made = self.marks[chip], codes.copy()
        made[marks == ADDED] = ALWAYS
        made[marks == REMOVED] = 0
        return made


def stroke(xs: ArrayLike, ys: ArrayLike, radius: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Find the pixels under a line drawn with a round brush.

    Parameters
    ----------
    xs, ys : array_like, shape (N,)
        Corners of the line, in pixels, the centre of the first one at 0.
    radius : int
        Radius of the brush in pixels; 0 takes the pixels that the line crosses.
    shape : (int, int)
        Rows and columns of the chip; what lies outside is left out.

    Returns
    -------
    ndarray of int64, shape (N,)
        Flat indices, each once.
    """
    corners = np.stack([np.asarray(ys, float), np.asarray(xs, float)], axis=1)
    parts = [corners[:1]]
    for start, stop in pairwise(corners):
        steps = max(1, int(np.ceil(4 * np.abs(stop - start).max())))
        parts.append(start + (stop - start) * np.arange(1, steps + 1)[:, None] / steps)
    centres = np.unique(np.rint(np.concatenate(parts)).astype(np.int64), axis=0)
    span = np.arange(-radius, radius + 1)
    brush = np.array([(dy, dx) for dy in span for dx in span if dy**2 + dx**2 <= (radius + 0.5) ** 2], np.int64)
    rows, columns = (centres[:, None] + brush).reshape(-1, 2).T
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return np.unique(rows[inside] * shape[1] + columns[inside])


def event_at(mask: NDArray[np.bool_], row: int, column: int) -> NDArray[np.int64]:
    """Find the connected pixels of a mask around a place.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
    row, column : int

    Returns
    -------
    ndarray of int64, shape (N,)
        Flat indices; none where the mask is not.
    """
    if not mask[row, column]:
        return np.zeros(0, np.int64)
    groups, _ = ndimage.label(mask, _EIGHT)
    return np.flatnonzero(groups == groups[row, column])
