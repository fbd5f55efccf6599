"""Shapes of stars, learned from complete stars in the science exposures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcr_lightning.inpainting.star_fit import StarFit, surroundings

FEWEST = 100
"""Fewer stars teach their own noise, and the shapes that a network starts with are better."""
# Stars whose brightest pixel is some 1300 electrons above the sky or more, normalised, and all of whose pixels within
# two of that are known.
_BRIGHT, _WHOLE_REACH = 25.0, 2
_STEPS, _AT_ONCE, _RATE, _WARM_UP = 600, 256, 0.1, 0.1
# A share of light below which what is left is noise, and how smooth the logarithm of a shape is asked to be.
_UNEXPLAINED, _SMOOTH = 0.01, 1.0


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


def learn_shapes(stars: StarFit, light: Tensor, known: Tensor, noise: Tensor, seed: int) -> float:
    """Learn the shapes that explain stars best, and leave them in the network.

    Parameters
    ----------
    stars : StarFit
    light, known, noise
        From `whole_stars`, of one star at least.
    seed : int
        Seed of the draws of stars.

    Returns
    -------
    float
        Median share of the variance of a star that the shapes leave unexplained.

    Notes
    -----
    The mean logarithm of that share is made least: in it the many stars that stand alone outweigh the blends, which no
    shape should learn. Of tables that explain as much the smoothest is wanted: their third differences are kept small,
    which a Gaussian has none of.
    """
    table = stars.table.clone().requires_grad_()
    optimiser = torch.optim.Adam([table], _RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_STEPS, pct_start=_WARM_UP)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_STEPS):
        some = torch.randint(len(light), (_AT_ONCE,), generator=generator).to(light.device)
        left = stars.unexplained(table, light[some], known[some], noise[some])
        rough = table.diff(n=3, dim=1).square().mean() + table.diff(n=3, dim=2).square().mean()
        optimiser.zero_grad()
        ((left + _UNEXPLAINED).log().mean() + _SMOOTH * rough).backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        stars.table.copy_(table)
        parts = zip(*(part.split(_AT_ONCE) for part in (light, known, noise)), strict=True)
        return float(torch.cat([stars.unexplained(stars.table, *part) for part in parts]).median())
