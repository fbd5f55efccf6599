"""Smooth filling of unusable pixels before a network sees them, so that no edges remain."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_ROUNDS = 2
_AROUND = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)


def close_gaps(image: Tensor, usable: Tensor) -> Tensor:
    """Put smooth values in the place of unusable pixels.

    The outermost two rings of a gap become the mean of the known pixels around each. What is left of a wide gap is
    interpolated between means over ever larger blocks, as far apart as the gap is wide.

    Parameters
    ----------
    image : Tensor of float32, shape (..., H, W)
        Image on the scale of its noise, so that a bright pixel does not outweigh all others; of any finite value where
        it is unusable.
    usable : Tensor of bool, shape (..., H, W)

    Returns
    -------
    Tensor of float32, shape (..., H, W)
        The image itself where every pixel is usable; 0, which is the sky, where none is.

    References
    ----------
    Gortler et al. 1996, "The Lumigraph" (SIGGRAPH), section 3.4: pull and push over levels of resolution.
    """
    planes, whole = image.reshape(-1, *image.shape[-2:]), usable.reshape(-1, *usable.shape[-2:])
    gap = torch.nonzero(~whole.reshape(-1))[:, 0]
    if not len(gap):
        return image
    height, width = image.shape[-2:]
    # A rim that is not known spares asking of each neighbour whether it lies in the image, and zeros in what is not
    # known spare asking whether it counts.
    edges = (1, 1 + width % 2, 1, 1 + height % 2)
    closed, known = F.pad(planes, edges), F.pad(whole, edges)
    down, across = closed.shape[-2:]
    row = gap // width
    gap = (row // height * down + row % height + 1) * across + gap % width + 1
    light, there = closed.view(-1), known.view(-1)
    light[gap] = 0
    for _ in range(_ROUNDS):
        around, count = _sum_around(light, there, gap, across)
        found = count > 0
        now = gap[found]
        light[now] = around[found] / count[found]
        there[now] = True
        gap = gap[~found]
    if len(gap):
        row = gap // across
        places = torch.stack([row // down, row % down - 1, gap % across - 1], dim=1)
        # One row and column more where their number is odd, so that blocks are whole.
        light[gap] = _between_blocks(closed[:, 1:-1, 1:-1], known[:, 1:-1, 1:-1], places)
    return closed[:, 1 : height + 1, 1 : width + 1].view(image.shape)


def _sum_around(light: Tensor, known: Tensor, places: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Add up the known pixels that touch each place, and count them; all in one row, and 0 where not known."""
    total, count = light.new_zeros(len(places)), light.new_zeros(len(places))
    for dy, dx in _AROUND:
        beside = places + (dy * width + dx)
        total += light.index_select(0, beside)
        count += known.index_select(0, beside)
    return total, count


def _between_blocks(image: Tensor, known: Tensor, places: Tensor) -> Tensor:
    """Interpolate at each place between the means of blocks of 2 x 2 known pixels, or of larger ones where none is.

    The image is 0 where it is not known.
    """
    if image.shape[-2] % 2 or image.shape[-1] % 2:
        more = (0, image.shape[-1] % 2, 0, image.shape[-2] % 2)
        image, known = F.pad(image, more), F.pad(known, more)
    count = _sum_of_blocks(known.view(torch.uint8))
    there = count > 0
    blocks = _sum_of_blocks(image) / count.clamp(min=1)
    empty = torch.nonzero(~there)
    if len(empty):  # a single block that is empty is that of an image without a known pixel
        blocks[tuple(empty.T)] = _between_blocks(blocks, there, empty) if max(blocks.shape[-2:]) > 1 else 0.0
    plane, y, x = places.T
    value = torch.zeros(len(places), dtype=image.dtype, device=image.device)
    ends = blocks.shape[-2] - 1, blocks.shape[-1] - 1
    # A pixel lies a quarter of a block before or behind the middle of its own.
    beside = (y // 2 + 2 * (y % 2) - 1).clamp(0, ends[0]), (x // 2 + 2 * (x % 2) - 1).clamp(0, ends[1])
    for row, near in ((y // 2, 0.75), (beside[0], 0.25)):
        for column, close in ((x // 2, 0.75), (beside[1], 0.25)):
            value += near * close * blocks[plane, row, column]
    return value


def _sum_of_blocks(image: Tensor) -> Tensor:
    rows = image[:, 0::2] + image[:, 1::2]
    return rows[..., 0::2] + rows[..., 1::2]
