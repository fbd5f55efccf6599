"""The part of a mask that is looked at, no finer than a screen shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SCREEN = 1000
_COARSEST = 8
_MARGIN = 0.25


@dataclass(frozen=True)
class Cut:
    """Rows and columns of a chip, and how many of its pixels in a row make one of the cut."""

    top: int
    bottom: int
    left: int
    right: int
    step: int

    def covers(self, other: Cut) -> bool:
        """Tell whether it shows all of another cut as finely."""
        inside = self.top <= other.top and self.bottom >= other.bottom
        return inside and self.left <= other.left and self.right >= other.right and self.step == other.step

    def of(self, codes: NDArray[np.uint8]) -> dict[str, list]:
        """Cut codes (`viewer.ladder`), as data of an image of the page.

        The largest code of a block stands for it, so that no event vanishes from a mask that is seen from afar.
        """
        piece, step = codes[self.top : self.bottom, self.left : self.right], self.step
        if step > 1:
            rows, columns = (-(-length // step) for length in piece.shape)
            padded = np.zeros((rows * step, columns * step), codes.dtype)
            padded[: piece.shape[0], : piece.shape[1]] = piece
            piece = padded.reshape(rows, step, columns, step).max((1, 3))
        rows, columns = piece.shape
        return {
            "image": [np.ascontiguousarray(piece)],
            "x": [self.left + 0.5],
            "y": [self.top + 0.5],
            "dw": [columns * step],
            "dh": [rows * step],
        }


def cut_around(x: tuple[float, float], y: tuple[float, float], shape: tuple[int, int], margin: float = _MARGIN) -> Cut:
    """Choose the cut for a view.

    Parameters
    ----------
    x, y : (float, float)
        Ends of the view in pixels, the centre of the first one at 1.
    shape : (int, int)
        Rows and columns of the chip.
    margin : float
        Share of the view to add on each side, so that a small move needs no other cut.

    Returns
    -------
    Cut
        Whole steps from the first pixel, never empty.
    """
    step = int(np.clip((min(x[1], shape[1]) - max(x[0], 0)) // _SCREEN, 1, _COARSEST))
    ends = []
    for (start, stop), length in ((y, shape[0]), (x, shape[1])):
        wider = margin * (stop - start)
        first = int(np.clip((start - wider - 1) // step * step, 0, (length - 1) // step * step))
        last = int(np.clip(-(-(stop + wider) // step) * step, first + step, -(-length // step) * step))
        ends += [first, min(last, length)]
    top, bottom, left, right = ends
    return Cut(top, bottom, left, right, step)
