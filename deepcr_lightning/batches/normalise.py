"""The scale on which a network sees an image."""

from __future__ import annotations

import torch
from torch import Tensor

SOFTENING = 5.0
"""Contrast, in units of the local noise, up to which the scale is linear."""


def normalise(electrons: Tensor, sky: Tensor | float, noise: Tensor | float) -> Tensor:
    """Put an image on the scale of its own noise, dark sky and bright galaxy alike.

    Parameters
    ----------
    electrons : Tensor of float32, shape (..., H, W)
        Image in electrons.
    sky, noise : Tensor of float32, shape (..., 1, 1), or float
        Sky level and noise in electrons, from `tiles.sky.sky_and_noise`.

    Returns
    -------
    Tensor of float32, shape (..., H, W)

    Notes
    -----
    Light above the sky brings Poisson noise, so that the local variance is ``noise^2 + (electrons - sky)``.
    The integral of one over the local noise,

        s = 2 (sqrt(noise^2 + electrons - sky) - noise)    above the sky
        s = (electrons - sky) / noise                      below

    has noise 1 everywhere (Anscombe 1948, Biometrika 35, 246): a CR of five sigma is a step of five on the
    sky and on a galaxy. ``5 asinh(s / 5)`` then tames star cores and CRs themselves.
    """
    light = torch.as_tensor(electrons - sky)
    floor = torch.as_tensor(noise, dtype=light.dtype, device=light.device)
    above = 2 * ((floor**2 + light.clamp(min=0)).sqrt() - floor)
    contrast = torch.where(light > 0, above, light / floor)
    return SOFTENING * torch.asinh(contrast / SOFTENING)
