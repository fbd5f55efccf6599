"""Random changes of training images, within given ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepcr_lightning.errors import InputError

_HOT_SHARE = (1e-5, 1e-2)
_HOT_CHARGE = (3.0, 1000.0)
_COLD, _COLDEST = 0.25, 10.0
# Hot columns: how much rarer than hot pixels, at most how many on the mean, and how short where one ends in the tile.
_COLUMNS, _MOST_COLUMNS, _SHORTEST_COLUMN = 0.25, 6, 16


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes that a training image goes through.

    Attributes
    ----------
    turns : bool
        Flips and quarter turns of the composed image, and mirror images of each CR layer.
    flux : (float, float)
        Factor on the whole science tile, log-uniform, at most 1: a shorter exposure of the same field, with the
        Poisson noise that it would have. Longer ones cannot be made: their noise would be too large.
    sky : (float, float)
        Sky added, uniform, in units of the tile's own sky; what is added brings its Poisson noise.
    charge : (float, float)
        Factor on the charge of the added CRs, log-uniform.
    noise : (float, float)
        Gaussian noise added, uniform, in units of the tile's own noise.
    layers : (int, int)
        Number of dark CR layers added, uniform, both ends included.
    hot : float
        Chance that a tile gets hot and unstable pixels that no DQ names: single ones, most of a few times the noise.
        A quarter of it is the chance of hot columns, or parts of columns.
    gaps : float
        Chance that a tile loses pixels of a kind: single ones, columns, blocks, cores of bright sources.
    resampled : float
        Chance that the composed image is interpolated, its CRs as well: shifted by a part of a pixel, or smoothed.

    Raises
    ------
    InputError
        If a range is not ordered or leaves what is physical.
    """

    turns: bool = False
    flux: tuple[float, float] = (1.0, 1.0)
    sky: tuple[float, float] = (0.0, 0.0)
    charge: tuple[float, float] = (1.0, 1.0)
    noise: tuple[float, float] = (0.0, 0.0)
    layers: tuple[int, int] = (1, 1)
    hot: float = 0.0
    gaps: float = 0.0
    resampled: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hot", "gaps", "resampled"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augmentation {name}: {getattr(self, name)} must be a probability, 0 to 1")
        lowest: dict[str, float] = {
            "flux": 1e-3,
            "sky": -1.0,
            "charge": 1e-3,
            "noise": 0.0,
            "layers": 1,
        }
        for name, floor in lowest.items():
            low, high = getattr(self, name)
            object.__setattr__(self, name, (low, high))
            if name == "flux" and high > 1:
                raise InputError(f"augmentation flux: [{low}, {high}] must end at 1 or below")
            if not floor <= low <= high or (name == "layers" and not isinstance(low, int) & isinstance(high, int)):
                raise InputError(
                    f"augmentation {name}: [{low}, {high}] must be a range, low to high, from {floor:g} up"
                )

    @classmethod
    def from_config(cls, settings: dict[str, Any] | None) -> Augmentation:
        """Make one from a plain dict of lists; no settings mean no augmentation."""
        try:
            return cls(**(settings or {}))
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            raise InputError(f"augmentation: {error}") from None


def uniform(low_high: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """Draw values evenly from a range.

    Parameters
    ----------
    low_high : (float, float)
    count : int
    generator : torch.Generator

    Returns
    -------
    Tensor of float32, shape (count, 1, 1)
        On the generator's device.
    """
    low, high = low_high
    unit = torch.rand(count, 1, 1, generator=generator, device=generator.device)
    return low + (high - low) * unit


def log_uniform(low_high: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """Draw values evenly in their logarithm.

    Parameters
    ----------
    low_high : (float, float)
        Both positive.
    count : int
    generator : torch.Generator

    Returns
    -------
    Tensor of float32, shape (count, 1, 1)
        On the generator's device.
    """
    low, high = (float(torch.log(torch.tensor(value))) for value in low_high)
    return uniform((low, high), count, generator).exp()


def hot_pixels(count: int, size: int, chance: float, generator: torch.Generator) -> Tensor:
    """Draw hot and unstable pixels, which no optics and no track spreads over their neighbours.

    Parameters
    ----------
    count, size : int
        Number of tiles and their side in pixels.
    chance : float
        That a tile has any; then it has 1 in 100,000 to 1 in 100.
    generator : torch.Generator

    Returns
    -------
    Tensor of float32, shape (count, size, size)
        Their charge in units of the noise of the tile, 3 to 1000, most of it near 3; for every fourth, of up to 10, it
        is missing. 0 elsewhere. On the generator's device.
    """

    def unit(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    rate = torch.where(unit(count, 1, 1) < chance, log_uniform(_HOT_SHARE, count, generator), 0.0)
    low, high = _HOT_CHARGE
    charge = low * (high / low) ** unit(count, size, size) ** 2
    charge = torch.where(unit(count, size, size) < _COLD, -charge.clamp(max=_COLDEST), charge)
    return torch.where(unit(count, size, size) < rate, charge, 0.0)


def hot_columns(count: int, size: int, chance: float, generator: torch.Generator) -> Tensor:
    """Draw columns that are too bright along their length, or from some row to an edge.

    Parameters
    ----------
    count, size : int
        Number of tiles and their side in pixels.
    chance : float
        That a tile gets hot pixels: a quarter as many tiles get columns, one to six on the mean.
    generator : torch.Generator

    Returns
    -------
    Tensor of float32, shape (count, size, size)
        Their charge in units of the noise of the tile, 3 to 1000, most of it near 3, the same in all pixels of a
        column; every other one has a neighbour with a part of its charge. In a fifth of the tiles rows in place of
        columns. 0 elsewhere. On the generator's device.
    """

    def unit(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    wanted = (unit(count, 1) < _COLUMNS * chance) * (1 + (unit(count, 1) * _MOST_COLUMNS).floor())
    hot = unit(count, size) < wanted / size
    # A neighbour begins at the same row.
    low, high = _HOT_CHARGE
    charge = torch.where(hot, low * (high / low) ** unit(count, size) ** 2, 0.0)
    beside = charge.roll(1, -1) * unit(count, size) * (unit(count, size) < 0.5)
    beside[:, 0] = 0.0  # the last column has no neighbour there
    start = (unit(count, size) * 2 - 1) * max(size - _SHORTEST_COLUMN, 0)
    start, charge = torch.where(hot, start, start.roll(1, -1)), torch.where(hot, charge, beside)
    row = torch.arange(size, device=generator.device).view(1, -1, 1)
    columns = torch.where(row >= start.unsqueeze(1), charge.unsqueeze(1), 0.0)
    columns = torch.where(unit(count, 1, 1) < 0.5, columns.flip(1), columns)
    return torch.where(unit(count, 1, 1) < 0.2, columns.mT, columns)


def turn(images: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Apply one of the eight flips and quarter turns to each place of a batch, the same to all images.

    Parameters
    ----------
    images : list of Tensor, shape (B, S, S)
        Square images that belong together.
    generator : torch.Generator

    Returns
    -------
    list of Tensor, shape (B, S, S)
    """
    coins = torch.rand(3, images[0].shape[0], 1, 1, generator=generator, device=generator.device) < 0.5
    for coin, act in zip(coins, (lambda t: t.flip(-1), lambda t: t.flip(-2), lambda t: t.mT), strict=True):
        images = [torch.where(coin, act(image), image) for image in images]
    return images


def mirror(planes: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Mirror each CR layer left to right or not, by chance.

    Not up and down: charge-transfer tails run along the columns, and those of the added CRs must run the way
    that the image's own do, or the network would learn to tell them apart.

    Parameters
    ----------
    planes : list of Tensor, shape (B, n, S, S)
        All planes of a layer alike.
    generator : torch.Generator

    Returns
    -------
    list of Tensor, shape (B, n, S, S)
    """
    coins = torch.rand(*planes[0].shape[:2], 1, 1, generator=generator, device=generator.device) < 0.5
    return [torch.where(coins, plane.flip(-1), plane) for plane in planes]
