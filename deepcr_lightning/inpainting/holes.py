"""Images with holes: bridges over the holes, and holes for training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LOWEST, HIGHEST = -20.0, 60.0
"""No pixel holds as little or as much light. Normalised."""
REACH = 6
"""Pixels to each side that a bridge looks at along an axis, before it is made smooth."""
_SIGMA = 1.0
_LEAST = 1e-30
# Normalised: 12 000 electrons above the sky and more, and 100.
_SATURATED, _LIT = 38.0, 10.0
# Normalised: 5 times the noise.
_STAR = 5.0
# Rounds of smoothing, and the slowest of the modes of the biharmonic operator that they are made for: that of a hole
# of six pixels. A wider hole keeps a part of the mean it started with. The fastest is 64.
_ROUNDS, _SLOWEST, _FASTEST = 24, 0.5, 64.0


def saturated_by_stars(image: Tensor, known: Tensor, unusable: Tensor) -> Tensor:
    """Say which unusable pixels a star has saturated: its core, and the trail that its charge left along the column.

    What stands beside such a core is much brighter than the good pixels around let one think; what stands beside a
    trail is not. An unusable pixel counts if it is very bright and a good pixel within two of it is lit: hot pixels and
    saturated CRs stand alone.

    Parameters
    ----------
    image : Tensor of float32, shape (B, 1, H, W)
        Normalised image (`networks.scale.normalise`).
    known, unusable : Tensor of bool, shape (B, 1, H, W)
        Pixels with a meaning; unusable ones that are not to be filled.

    Returns
    -------
    Tensor of bool, shape (B, 1, H, W)
    """
    lit = F.max_pool2d((known & (image > _LIT)).float(), 5, stride=1, padding=2) > 0.5
    return unusable & lit & (image > _SATURATED) & (image < HIGHEST)


def bridge(image: Tensor, known: Tensor) -> Tensor:
    """Lay a bridge over the holes of an image: the smoothest surface through the known pixels.

    It starts as the mean of the known pixels around, the nearest by far the heaviest, and is then relaxed towards the
    solution of the biharmonic equation by Chebyshev iteration.

    Parameters
    ----------
    image : Tensor of float32, shape (B, 1, H, W)
        Normalised image. On that scale, one of ratios where it is bright, the core of a star is close to a paraboloid,
        which is such a surface; in electrons it is not, and half of its light is missing.
    known : Tensor of bool, shape (B, 1, H, W)
        Pixels with a meaning.

    Returns
    -------
    Tensor of float32, shape (B, 1, H, W)
        The image where it is known. Where no pixel is known within `REACH` of each axis, about 0, the sky.

    References
    ----------
    Golub & Varga 1961, Numer. Math. 3, 147 (the iteration).
    """
    with torch.autocast(image.device.type, enabled=False):  # a bridge is the same in training and prediction
        laid = _mean_around(image.float(), known)
        free = (~known).to(laid.dtype)
        middle, half = (_FASTEST + _SLOWEST) / 2, (_FASTEST - _SLOWEST) / 2
        ratio = half / middle
        step = -free * _laplacian(_laplacian(laid)) / middle
        for _ in range(_ROUNDS - 1):
            laid = laid + step
            following = 1 / (2 * middle / half - ratio)
            residual = -free * _laplacian(_laplacian(laid))
            step = following * ratio * step + 2 * following / half * residual
            ratio = following
        return torch.where(known, image, (laid + step).clamp(LOWEST, HIGHEST))


def _laplacian(planes: Tensor) -> Tensor:
    padded = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2]
    return across + padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1] - 4 * planes


def _mean_around(image: Tensor, known: Tensor) -> Tensor:
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


def spread_over_stars(
    hole: Tensor, charge: Tensor, light: Tensor, copies: int, reach: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cut some of the holes of each tile again: half of the copies on stars, and half anywhere.

    Cosmic rays cover few stars, and the core of a star is what is hard to fill: without this, one hole pixel in
    fifty is on a star brighter than 5 times the noise.

    Parameters
    ----------
    hole : Tensor of bool, shape (B, 1, S, S)
    charge : Tensor of float32, shape (B, 1, S, S)
        Charge of the cosmic rays that made the holes, with their faint rims, which go where the holes go.
    light : Tensor of float32, shape (B, 1, S, S)
        Normalised image without added CRs, at most 0 where nothing is to be cut for. A pixel is hit in proportion to
        the cube of its light; below 5 times the noise it is no star.
    copies : int
        For each tile. What stars are too few for goes anywhere.
    reach : int
        What lies within so many pixels of the star, on each axis, becomes what lies within so many of the pixel of a
        hole: were holes added to those that are there, the stars that are hit would have no pixel left. Of stars within
        so many of each other one is hit, so that no copy covers the star of another.
    generator : torch.Generator
        On the device of the tensors.

    Returns
    -------
    hole : Tensor of bool, shape (B, 1, S, S)
    charge : Tensor of float32, shape (B, 1, S, S)
    """
    size, window = hole.shape[-1], torch.arange(2 * reach + 1, device=hole.device)
    given = F.pad(torch.cat([hole.to(charge.dtype), charge], 1), (reach,) * 4)
    spread = given.clone()
    if copies:
        stars, real = _stars(torch.where(light > _STAR, light, 0) ** 3, (copies + 1) // 2, reach, generator)
        end = torch.randint(size**2, (len(hole), copies), generator=generator, device=hole.device)
        # Stars come last, so that none is lost to what is cut anywhere.
        end[:, -stars.shape[1] :] = torch.where(real, stars, end[:, -stars.shape[1] :])
        cut = hole.flatten(1)
        cut = cut | ~cut.any(1, keepdim=True)  # where there is no hole, what has none is copied
        start = torch.multinomial(cut.float(), copies, replacement=True, generator=generator)
        tile = torch.arange(len(hole), device=hole.device)[:, None, None]
        for here, there in zip(start.unbind(1), end.unbind(1), strict=True):
            (top, left), (y, x) = ((n // size, n % size) for n in (here, there))
            taken = given[tile, :, top[:, None, None] + window[:, None], left[:, None, None] + window]
            spread[tile, :, y[:, None, None] + window[:, None], x[:, None, None] + window] = taken
    inside = slice(reach, reach + size)
    spread_hole, spread_charge = spread[..., inside, inside].split(1, dim=1)
    return spread_hole > 0.5, spread_charge


def _stars(weight: Tensor, most: int, apart: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw pixels by their weight, without replacement and none within `apart` of another, those ahead last.

    Among numbers with an exponential distribution, each divided by the weight of its pixel, the smallest are a draw
    without replacement (Efraimidis & Spirakis 2006, Inf. Process. Lett. 97, 181); here, of those ahead of all around.

    Returns the places, (B, n), and which of them are stars: what has no weight is none.
    """
    race = weight / torch.empty_like(weight).exponential_(generator=generator).clamp(min=_LEAST)
    first = F.max_pool2d(race, 2 * apart + 1, stride=1, padding=apart) == race
    race = torch.where(first, race, 0).flatten(1)
    ahead, places = race.topk(min(most, race.shape[1]))
    return places.flip(1), ahead.flip(1) > 0
