"""The planes that the network sees of an image with holes, prepared alike in training and in prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcr_lightning.inpainting import star_fit
from deepcr_lightning.inpainting.holes import bridge, saturated_by_stars
from deepcr_lightning.inpainting.star_fit import StarFit
from deepcr_lightning.inpainting.star_shapes import shapes_of_stars

RECIPE = 6
"""Version of what `planes_of` gives: a network that learned from other planes is of no use here."""
PARTS = (1, 1, 1, star_fit.PLANES)
"""Planes of the bridged image, of the known pixels, of those that stars have saturated, and of the fits."""


def planes_of(stars: StarFit, image: Tensor, known: Tensor, unusable: Tensor, noise: Tensor | float) -> Tensor:
    """Prepare what the network sees of normalised images with holes.

    Parameters
    ----------
    stars : StarFit
        Fits of stars, with the shapes from which those of each image are made.
    image : Tensor of float32, shape (B, 1, H, W)
        Normalised whole images (`networks.scale.normalise`): in a tile that is continued by reflection, a fit would
        take mirrored pixels for known.
    known : Tensor of bool, shape (B, 1, H, W)
        Pixels with a meaning; all others are holes.
    unusable : Tensor of bool, shape (B, 1, H, W)
        Unusable pixels that are not to be filled; a star may have saturated them.
    noise : Tensor of float32, shape (B, 1, 1, 1), or float
        Noise of the sky in electrons.

    Returns
    -------
    Tensor of float32, shape (B, 6, H, W)
        The image with bridges over its holes; 1 where it is known; 1 where a star has saturated it; and the three
        planes of the fits. `PARTS` tells them apart.
    """
    saturated = saturated_by_stars(image, known, unusable)
    bridged = bridge(image, known)
    with torch.autocast(image.device.type, enabled=False):
        levels = torch.as_tensor(noise, dtype=bridged.dtype, device=bridged.device).expand(len(image), 1, 1, 1)
        parts = zip(image.float().split(1), known.split(1), levels.split(1), strict=True)
        tables = [shapes_of_stars(stars, *part) for part in parts]
        fits = stars(bridged, known, saturated, levels, tables)
    return torch.cat([bridged, known.to(bridged.dtype), saturated.to(bridged.dtype), fits], dim=1)
