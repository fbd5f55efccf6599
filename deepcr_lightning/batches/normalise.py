"""The scale on which a network sees an image."""

from __future__ import annotations

import torch
from torch import Tensor


def normalise(electrons: Tensor, sky: Tensor | float, noise: Tensor | float) -> Tensor:
    """Put an image on the scale of its own noise and tame its bright end.

    Parameters
    ----------
    electrons : Tensor of float32, shape (..., H, W)
        Image in electrons.
    sky, noise : Tensor of float32, shape (..., 1, 1), or float
        Sky level and noise in electrons, from `tiles.sky.sky_and_noise`.

    Returns
    -------
    Tensor of float32, shape (..., H, W)
        ``asinh((electrons - sky) / noise)``: linear within the noise, logarithmic in stars, so that one
        bright star does not change the scale of the rest.
    """
    return torch.asinh((electrons - sky) / noise)
