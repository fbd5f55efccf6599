"""Images with holes: what a network is given of them, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 6
"""Pixels to each side that a bridge looks at along an axis."""
_SIGMA = 1.0
_LEAST = 1e-30
_HIGHEST = 60.0


def bridge(image: Tensor, known: Tensor) -> Tensor:
    """Lay a bridge over the holes of an image: the mean of the known pixels around, the nearest by far the heaviest.

    Parameters
    ----------
    image : Tensor of float32, shape (B, 1, H, W)
        Normalised image (`batches.normalise.normalise`).
    known : Tensor of bool, shape (B, 1, H, W)
        Pixels with a meaning.

    Returns
    -------
    Tensor of float32, shape (B, 1, H, W)
        The image where it is known. Where no pixel is known within `REACH` of each axis, 0, the sky.
    """
    places = torch.arange(-REACH, REACH + 1, device=image.device, dtype=image.dtype)
    weights = torch.exp(-0.5 * (places / _SIGMA) ** 2)
    planes = torch.cat([torch.where(known, image, 0), known.to(image.dtype)], dim=1)
    for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
        kernel = weights.view(shape)
        planes = F.conv2d(
            planes, kernel.expand(2, -1, -1, -1), padding=tuple(n // 2 for n in kernel.shape[2:]), groups=2
        )
    light, weight = planes.split(1, dim=1)
    return torch.where(known, image, torch.where(weight > _LEAST, light / weight.clamp(min=_LEAST), 0))


def fill_bridged(net: Callable[[Tensor], Tensor], bridged: Tensor, known: Tensor) -> Tensor:
    """Let a network correct bridges.

    Parameters
    ----------
    net : callable
        Takes two planes, the bridged image and its holes, and gives what the bridges lack.
    bridged : Tensor of float32, shape (B, 1, H, W)
        From `bridge`.
    known : Tensor of bool, shape (B, 1, H, W)

    Returns
    -------
    Tensor of float32, shape (B, 1, H, W)
        Normalised image, of which only the holes are of use; at most 60, above what any pixel can hold, which
        keeps it a number in electrons.
    """
    planes = torch.cat([bridged, (~known).to(bridged.dtype)], dim=1)
    return (bridged + net(planes).float()).clamp(max=_HIGHEST)


def spread_over_stars(hole: Tensor, light: Tensor, copies: int, generator: torch.Generator) -> Tensor:
    """Cut the holes of each tile again, shifted so that one of their pixels comes to lie on a star.

    Cosmic rays cover few stars, and the core of a star is what is hard to fill: without this, one hole pixel in
    fifty is on a star brighter than 5 times the noise.

    Parameters
    ----------
    hole : Tensor of bool, shape (B, 1, S, S)
    light : Tensor of float32, shape (B, 1, S, S)
        Normalised image without added CRs, at most 0 where nothing is to be cut for. A pixel is hit in proportion to
        the cube of its light, so that noise is seldom taken for a star.
    copies : int
        How often all holes of a tile are cut again.
    generator : torch.Generator
        On the device of the tensors.

    Returns
    -------
    Tensor of bool, shape (B, 1, S, S)
        The holes and their copies. Shifts go round the edges of the tile.
    """
    size = hole.shape[-1]
    spread = hole.clone()
    for tile, (cut, bright) in enumerate(zip(hole, light.clamp(min=0) ** 3, strict=True)):
        if not copies or not cut.any() or not (bright > 0).any():
            continue
        start, end = (
            torch.multinomial(weight.flatten().float(), copies, replacement=True, generator=generator).tolist()
            for weight in (cut, bright)
        )
        for here, there in zip(start, end, strict=True):
            shift = there // size - here // size, there % size - here % size
            spread[tile] |= torch.roll(cut, shift, dims=(-2, -1))
    return spread
