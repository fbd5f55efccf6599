"""The network that fills holes: a U-Net that sees bridges, and what stars would put there."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcr_lightning.networks import star_fit
from deepcr_lightning.networks.holes import HIGHEST
from deepcr_lightning.networks.layout import channels_last, for_training
from deepcr_lightning.networks.star_fit import StarFit
from deepcr_lightning.networks.unet import UNet

_LEVEL_REACH = 4
_CONTRAST, _LEVEL = 3.0, 20.0


class Filler(nn.Module):
    """U-Net that corrects bridges over holes (`networks.holes.bridge`), and says where a star stands better.

    Parameters
    ----------
    depth, hidden, norm
        Shape of the U-Net (`networks.unet.UNet`).
    """

    def __init__(self, depth: int = 2, hidden: int = 32, norm: str = "none") -> None:
        super().__init__()
        self.stars = StarFit()
        self.unet = UNet(depth, hidden, norm, inputs=4 + star_fit.PLANES, outputs=2)
        # PyTorch's own start makes less of an image with every layer, and the first epochs go to making up for it.
        for layer in self.unet.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        # The first map is half a bridge and half a star.
        nn.init.zeros_(self.unet.out.weight)

    @property
    def step(self) -> int:
        """Pixels to which the offset of a tile must be aligned."""
        return self.unet.step

    @property
    def margin(self) -> int:
        """Pixels that `correct` must look beyond what it keeps of a tile, a multiple of `step`."""
        return self.unet.margin + math.ceil(_LEVEL_REACH / self.step) * self.step

    def forward(
        self, bridged: Tensor, known: Tensor, saturated: Tensor, noise: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Fill the holes of bridged images.

        Parameters
        ----------
        bridged : Tensor of float32, shape (B, 1, H, W)
            From `networks.holes.bridge`.
        known, saturated : Tensor of bool, shape (B, 1, H, W)
            Pixels with a meaning, and those that stars have saturated (`networks.holes.saturated_by_stars`).
        noise : Tensor of float32, shape (B, 1, 1, 1), or float
            Of the sky, in electrons.

        Returns
        -------
        filled : Tensor of float32, shape (B, 1, H, W)
            From `correct`.
        stars : Tensor of float32, shape (B, 1, H, W)
            The same by the fits of stars alone, and by bridges where nothing is fitted.
        """
        with torch.autocast(bridged.device.type, enabled=False):
            fits = self.stars(bridged, known, saturated, noise)
        return self.correct(bridged, known, saturated, fits, self.unet), bridged + fits[:, :1]

    def correct(
        self, bridged: Tensor, known: Tensor, saturated: Tensor, fits: Tensor, unet: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Correct bridges and fits.

        Parameters
        ----------
        bridged, known, saturated
            As in `forward`.
        fits : Tensor of float32, shape (B, 3, H, W)
            From `stars`, of the whole image: at the edge of a tile a fit would lack the pixels beyond.
        unet : callable
            The U-Net, or what gives the same faster.

        Returns
        -------
        Tensor of float32, shape (B, 1, H, W)
            Normalised image, of which only the holes are of use; at most 60, above what any pixel can hold, which
            keeps it a number in electrons.

        Notes
        -----
        The U-Net sees the bridged image less its level; the level, which is its mean in boxes of 9 x 9 pixels: a star
        of ten times the light is the same on another level; the holes; the pixels that stars have saturated; and the
        fits.
        """
        level = F.avg_pool2d(F.pad(bridged, (_LEVEL_REACH,) * 4, mode="replicate"), 2 * _LEVEL_REACH + 1, stride=1)
        marks = [mark.to(bridged.dtype) for mark in (~known, saturated)]
        star, spread, unexplained = fits.split(1, dim=1)
        planes = [(bridged - level) / _CONTRAST, level / _LEVEL, *marks, star / _CONTRAST, spread / _CONTRAST]
        given = torch.cat([*planes, unexplained], dim=1)
        laid = for_training(given, self.unet.hidden) if self.training else channels_last(given)
        share, rest = unet(laid).float().split(1, dim=1)
        return (bridged + share.sigmoid() * star + rest).clamp(max=HIGHEST)
