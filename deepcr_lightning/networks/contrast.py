"""Contrast of pixels with their surroundings, independent of the light that they stand on."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcr_lightning.networks.scale import asinh, stabilised

WINDOW = 5
"""Side of the window in pixels: what is narrower stands out."""
REACH = 2 * (WINDOW // 2)
"""Pixels beyond a pixel that its contrast depends on."""
_SOFTENING = 5.0


def contrast(image: Tensor) -> Tensor:
    """Give how far each pixel stands above its surroundings, in units of its noise.

    The surroundings are the morphological opening of the stabilised image: the highest surface below it that nothing
    narrower than `WINDOW` makes. A CR of ten sigma on a bright galaxy is a hundredth of the light there and lost to the
    asinh of the scale; above the opening it is ten sigma, as on the sky.

    Parameters
    ----------
    image : Tensor of float32, shape (B, 1, H, W)
        Normalised image (`networks.scale.normalise`).

    Returns
    -------
    Tensor of float32, shape (B, 1, H, W)
        ``5 asinh(c / 5)`` of the contrast c, at least 0.

    References
    ----------
    The white top hat: Meyer 1979, J. Histochem. Cytochem. 27, 128.
    """
    light = stabilised(image.float())
    opened = _over_windows(_over_windows(light, torch.minimum), torch.maximum)
    return _SOFTENING * asinh((light - opened) / _SOFTENING)


def _over_windows(light: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Maximum or minimum over a window of 5 x 5, one axis after the other."""
    for axis in (-1, -2):
        length = light.shape[axis]
        half = WINDOW // 2
        edges = (half, half, 0, 0) if axis == -1 else (0, 0, half, half)
        padded = F.pad(light, edges, mode="replicate")
        # Three comparisons in place of four: pairs, pairs of pairs, and the fifth. Several times as fast as pooling.
        pairs = of(padded.narrow(axis, 0, length + 3), padded.narrow(axis, 1, length + 3))
        fours = of(pairs.narrow(axis, 0, length + 1), pairs.narrow(axis, 2, length + 1))
        light = of(fours.narrow(axis, 0, length), padded.narrow(axis, 4, length))
    return light
