"""The inpainting network: a U-Net that sees bridges over holes and fits of stars."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcr_lightning.inpainting.holes import HIGHEST
from deepcr_lightning.inpainting.planes import PARTS
from deepcr_lightning.inpainting.star_fit import StarFit
from deepcr_lightning.networks.memory_layout import channels_last, for_training
from deepcr_lightning.networks.unet import UNet

_LEVEL_REACH = 4
_CONTRAST, _LEVEL = 3.0, 20.0


class Filler(nn.Module):
    """U-Net that corrects bridges over holes (`inpainting.holes.bridge`), and says where a star stands better.

    Parameters
    ----------
    depth, hidden, norm
        Shape of the U-Net (`networks.unet.UNet`).
    """

    def __init__(self, depth: int = 2, hidden: int = 32, norm: str = "none") -> None:
        super().__init__()
        self.stars = StarFit()
        self.unet = UNet(depth, hidden, norm, inputs=1 + sum(PARTS), outputs=2)
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
        """Pixels that it must look beyond what it keeps of a tile, a multiple of `step`."""
        return self.unet.margin + math.ceil(_LEVEL_REACH / self.step) * self.step

    def forward(self, planes: Tensor, unet: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Fill the holes of images.

        Parameters
        ----------
        planes : Tensor of float32, shape (B, 6, H, W)
            Whole images or tiles of what `inpainting.planes.planes_of` gives.
        unet : callable, optional
            What gives the same as the U-Net faster; the U-Net itself by default.

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
        bridged, known, saturated, fits = planes.split(PARTS, dim=1)
        level = F.avg_pool2d(F.pad(bridged, (_LEVEL_REACH,) * 4, mode="replicate"), 2 * _LEVEL_REACH + 1, stride=1)
        star, spread, unexplained = fits.split(1, dim=1)
        light = [(bridged - level) / _CONTRAST, level / _LEVEL]
        given = torch.cat([*light, 1 - known, saturated, star / _CONTRAST, spread / _CONTRAST, unexplained], dim=1)
        laid = for_training(given, self.unet.hidden) if self.training else channels_last(given)
        share, rest = (unet or self.unet)(laid).float().split(1, dim=1)
        return (bridged + share.sigmoid() * star + rest).clamp(max=HIGHEST)
