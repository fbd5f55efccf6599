"""Shapes of the stars of an image, learned from its own bright stars."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcr_lightning.inpainting.star_fit import StarFit, surroundings

# Stars whose brightest pixel is some 800 electrons above the sky or more, normalised, and all of whose pixels within
# two of that are known.
_BRIGHT, _WHOLE_REACH = 20.0, 2
FEWEST = 5
"""Fewer stars say nothing of the others."""
# And more say nothing new.
_MOST = 1000
# A shape that a smaller share of the stars has is one of blends.
_SHARE = 0.1
# Rounds in which shapes are mended, the share that one may be off by before each, and how far in eighths of a pixel
# what is left of a star counts.
_ROUNDS, _OFF, _SMOOTH = 4, 0.05, 2.5
# Stars of which more than so many times the median is left are blends.
_BLEND = 2.0


@torch.no_grad()
def shapes_of_stars(stars: StarFit, image: Tensor, known: Tensor, noise: Tensor) -> Tensor:
    """Choose the shapes that the stars of an image have, and mend them by what they leave of these stars.

    Parameters
    ----------
    stars : StarFit
        Fits of stars with the shapes to choose from.
    image : Tensor of float32, shape (1, 1, H, W)
        Normalised.
    known : Tensor of bool, shape (1, 1, H, W)
        Pixels with a meaning.
    noise : Tensor of float32, shape (1, 1, 1, 1)
        Noise of the sky in electrons.

    Returns
    -------
    Tensor of float32, shape (k, 37, 37)
        Logarithms of shapes, as the attribute `table` of a StarFit; every second one of its own where fewer than 5
        bright stars stand whole.

    References
    ----------
    Anderson & King 2000, PASP 112, 1360 (an effective PSF is mended by the mean of what it leaves of stars).
    """
    light, there, floor = whole_stars(image, known, noise)
    if len(light) < FEWEST:
        return stars.table[1::2]  # of faint stars nobody tells finer steps
    brightest = light.amax(1).topk(min(_MOST, len(light))).indices
    light, there, floor = light[brightest], there[brightest], floor[brightest]
    shape, *_ = stars.residuals(stars.table, light, there, floor)
    votes = torch.bincount(shape, minlength=len(stars.table))
    table = stars.table[votes >= _SHARE * len(shape)]
    for _ in range(_ROUNDS):
        table = _mended(stars, table, light, there, floor)
    return table


def whole_stars(image: Tensor, known: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut out bright stars no pixel of whose cores is unknown.

    Parameters
    ----------
    image : Tensor of float32, shape (B, 1, H, W)
        Normalised.
    known : Tensor of bool, shape (B, 1, H, W)
        Pixels with a meaning.
    noise : Tensor of float32, shape (B, 1, 1, 1)
        Noise of the sky in electrons.

    Returns
    -------
    light, known, noise : Tensor of float32, shapes (n, 49), (n, 49) and (n, 1)
        From `inpainting.star_fit.surroundings`.
    """
    side = 2 * _WHOLE_REACH + 1
    light = torch.where(known, image, 0)
    peak = F.max_pool2d(light, side, stride=1, padding=_WHOLE_REACH) == light
    unknown = F.pad((~known).float(), (_WHOLE_REACH,) * 4, value=1.0)  # beyond the edges, too
    whole = F.max_pool2d(unknown, side, stride=1) < 0.5
    found = zip(*surroundings(image, known, torch.nonzero(peak & whole & (light > _BRIGHT)), noise), strict=True)
    light, there, floor = (torch.cat(parts) for parts in found)
    return light, there, floor


def _mended(stars: StarFit, table: Tensor, light: Tensor, known: Tensor, noise: Tensor) -> Tensor:
    """Change shapes by the mean of what they leave of their stars, less where this is uncertain."""
    shape, cells, left, weight = stars.residuals(table, light, known, noise)
    missed = (weight * left**2).sum(1) / weight.sum(1)
    weight = weight * (missed <= _BLEND * missed.median())[:, None]
    side = 2 * table.shape[-1] - 1
    cells = (shape[:, None] * side**2 + cells).flatten()
    sums = left.new_zeros(2, len(table) * side**2)
    sums.index_add_(1, cells, torch.stack([weight * left, weight]).flatten(1))
    sums = sums.view(-1, 1, side, side)
    away = torch.arange(-8, 9, device=left.device) / _SMOOTH
    near = torch.exp(-0.5 * away**2)
    for kernel in (near[:, None], near[None]):
        sums = F.conv2d(sums, kernel[None, None], padding=tuple(n // 2 for n in kernel.shape))
    residual, worth = sums[..., ::2, ::2].view(2, *table.shape)
    now = (table - table.flatten(1).logsumexp(1)[:, None, None]).exp()
    change = residual / (worth * now + 1 / (_OFF**2 * now))
    return table + torch.log1p(change.clamp(-0.5, 0.5))
