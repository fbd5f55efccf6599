"""The scale on which a network sees an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepcr_lightning.exposures.sky import sky_and_noise

SOFTENING = 10.0
"""Contrast, in units of the local noise, up to which the scale is linear."""
_LARGEST = 1e18
"""Whose square is a float32."""


def normalise(electrons: Tensor, sky: Tensor | float, noise: Tensor | float) -> Tensor:
    """Put an image on the scale of its own noise, dark sky and bright galaxy alike.

    Parameters
    ----------
    electrons : Tensor of float32, shape (..., H, W)
        Image in electrons.
    sky, noise : Tensor of float32, shape (..., 1, 1) or (..., H, W), or float
        Sky level and noise in electrons, from `exposures.sky.sky_and_noise`.

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
    sky and on a galaxy. ``10 asinh(s / 10)`` then tames star cores and CRs themselves.
    """
    light = torch.as_tensor(electrons - sky)
    floor = torch.as_tensor(noise, dtype=light.dtype, device=light.device)
    # One of the two terms is zero: a sum takes a quarter of the time of torch.where.
    above = 2 * ((floor**2 + light.clamp(min=0)).sqrt() - floor)
    return SOFTENING * asinh((above + light.clamp(max=0) / floor) / SOFTENING)


def asinh(values: Tensor) -> Tensor:
    """Give the inverse hyperbolic sine, by functions that PyTorch works out many numbers at a time.

    Parameters
    ----------
    values : Tensor of float32

    Returns
    -------
    Tensor of float32
        Within three units in the last place of ``torch.asinh``, which takes ten times as long on a CPU. What lies
        beyond 1e18 is taken for 1e18.
    """
    size = values.abs().clamp(max=_LARGEST)
    square = size * size
    return torch.log1p(size + square / (1 + (1 + square).sqrt())) * values.sign()


def denormalise(image: Tensor, sky: Tensor | float, noise: Tensor | float) -> Tensor:
    """Take an image back from the scale of its noise: the inverse of `normalise`.

    Parameters
    ----------
    image : Tensor of float32, shape (..., H, W)
        Normalised image.
    sky, noise : Tensor of float32, shape (..., 1, 1), or float
        That it was normalised with, in electrons.

    Returns
    -------
    Tensor of float32, shape (..., H, W)
        In electrons.
    """
    contrast = stabilised(image)
    return sky + torch.where(contrast > 0, contrast * (noise + contrast / 4), contrast * noise)


def stabilised(image: Tensor) -> Tensor:
    """Undo the asinh of `normalise` alone: what is left has noise 1 everywhere.

    Parameters
    ----------
    image : Tensor of float32, shape (..., H, W)
        Normalised image.

    Returns
    -------
    Tensor of float32, shape (..., H, W)
        The ``s`` of `normalise`.
    """
    return SOFTENING * torch.sinh(image / SOFTENING)


@dataclass(frozen=True)
class Scale:
    """How a network wants a chip.

    Attributes
    ----------
    levels : callable
        Takes electrons, float32, and usable pixels, bool, arrays or Tensors of shape (H, W); gives two numbers of the
        chip, measured on the device of a Tensor.
    apply : callable
        Takes electrons, a Tensor of float32, shape (..., H, W), and the two numbers; gives what the network sees.
    """

    levels: Callable[[Any, Any], tuple[float, float]]
    apply: Callable[..., Tensor]


def _mean_and_deviation(electrons: Any, usable: Any) -> tuple[float, float]:
    # All pixels, as the published package does.
    del usable
    if getattr(electrons, "is_cuda", False):
        deviation, mean = torch.std_mean(electrons.double(), correction=0)
        return float(mean), float(deviation) or 1.0
    pixels = np.asarray(electrons.cpu() if isinstance(electrons, Tensor) else electrons)
    return float(pixels.mean(dtype=np.float64)), float(pixels.std(dtype=np.float64)) or 1.0


def _standardised(electrons: Tensor, mean: Tensor | float, deviation: Tensor | float) -> Tensor:
    return torch.as_tensor((electrons - mean) / deviation)


def _no_levels(electrons: Any, usable: Any) -> tuple[float, float]:
    del electrons, usable
    return 0.0, 1.0


def _as_it_is(electrons: Tensor, *levels: Tensor | float) -> Tensor:
    del levels
    return electrons


OURS = f"stabilised-{SOFTENING:g}"
SCALES = {
    OURS: Scale(sky_and_noise, normalise),
    "standard": Scale(_mean_and_deviation, _standardised),
    "electrons": Scale(_no_levels, _as_it_is),
}
"""By the name that a checkpoint gives: ours, and those of the weights that deepCR publishes."""


def normalise_batch(name: str, electrons: Tensor, sky: Tensor, noise: Tensor) -> Tensor:
    """Put the images of a training batch on the scale of that name.

    Parameters
    ----------
    name : str
        Name of the scale in `SCALES`. With ``standard`` the mean and the deviation are those of the whole batch, as
        deepCR trains.
    electrons : Tensor of float32, shape (B, S, S)
    sky, noise : Tensor of float32, shape (B, 1, 1)
        Sky level and noise of each image in electrons, for our scale.

    Returns
    -------
    Tensor of float32, shape (B, S, S)
    """
    levels = (electrons.mean(), electrons.std()) if name == "standard" else (sky, noise)
    return SCALES[name].apply(electrons, *levels)
