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
    gap = torch.nonzero(~usable.reshape(-1, *usable.shape[-2:]))
    if not len(gap):
        return image
    closed = image.reshape(-1, *image.shape[-2:]).clone(memory_format=torch.contiguous_format)
    known = usable.reshape(closed.shape).clone(memory_format=torch.contiguous_format)
    for _ in range(_ROUNDS):
        light, count = _sum_around(closed, known, gap)
        there = count > 0
        plane, y, x = gap[there].T
        closed[plane, y, x] = light[there] / count[there]
        known[plane, y, x] = True
        gap = gap[~there]
    if len(gap):
        closed[tuple(gap.T)] = _between_blocks(closed, known, gap)
    return closed.view(image.shape)


def _sum_around(image: Tensor, known: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Add up the known pixels that touch each place, and count them."""
    height, width = image.shape[-2:]
    plane, y, x = places.T
    first = (plane * height + y) * width + x
    light, count = image.new_zeros(len(places)), image.new_zeros(len(places))
    for dy, dx in _AROUND:
        inside = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        at = torch.where(inside, first + (dy * width + dx), first)
        there = inside & known.view(-1)[at]
        light += torch.where(there, image.view(-1)[at], 0)
        count += there
    return light, count


def _between_blocks(image: Tensor, known: Tensor, places: Tensor) -> Tensor:
    """Interpolate at each place between the means of blocks of 2 x 2 known pixels, or of larger ones where none is."""
    weight = known.to(image.dtype)
    share = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    blocks = F.avg_pool2d(torch.where(known, image, 0), 2, ceil_mode=True, count_include_pad=False)
    blocks, there = blocks / share.clamp(min=1e-6), share > 0
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
