"""Additional unusable pixels in training images, like those of other cameras and reductions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_POINTS = (1e-4, 1e-2)
_RECTANGLES = 6
_WIDEST = 24
_BRIGHTEST = 0.05
_CORE = 15.0


def draw_gaps(image: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Draw unusable pixels: single ones, pieces of columns, blocks, and the cores of bright sources.

    Parameters
    ----------
    image : Tensor of float32, shape (B, S, S)
        Normalised images; their bright sources may lose their cores, as saturated ones do.
    chance : float
        That an image gets gaps of a kind.
    generator : torch.Generator
        On the device of the images.

    Returns
    -------
    Tensor of bool, shape (B, S, S)
        True where a pixel is lost.
    """
    count, size = len(image), image.shape[-1]

    def unit(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=image.device)

    points, columns, blocks, cores = (unit(4, count, 1, 1) < chance).unbind()
    rate = _POINTS[0] * (_POINTS[1] / _POINTS[0]) ** unit(count, 1, 1)
    gaps = points & (unit(count, size, size) < rate)
    along = torch.arange(size, device=image.device)
    for kind, tallest, widest in ((columns, size, 4), (blocks, _WIDEST, _WIDEST)):
        top, left = (size * unit(2, count, _RECTANGLES, 1, 1)).long().unbind()
        height, width = (unit(2, count, _RECTANGLES, 1, 1) ** 2).unbind()  # squares: most are small
        rows, places = (along[:, None] - top) % size, (along - left) % size
        inside = (rows < 1 + height * tallest) & (places < 1 + width * widest)
        few = torch.arange(_RECTANGLES, device=image.device).view(1, -1, 1, 1) < _RECTANGLES * unit(count, 1, 1, 1)
        gaps |= kind & (inside & few).any(1)
    order = image.flatten(1).sort(dim=1).values
    place = (order.shape[1] * (1 - _BRIGHTEST * unit(count, 1) ** 3)).long().clamp(max=order.shape[1] - 1)
    bright = image > order.gather(1, place).unsqueeze(2).clamp(min=_CORE)
    grown = F.max_pool2d(bright.to(image.dtype).unsqueeze(1), 3, 1, 1).squeeze(1) > 0
    return gaps | (cores & torch.where(unit(count, 1, 1) < 0.5, grown, bright))
