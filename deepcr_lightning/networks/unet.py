"""The U-Net of deepCR, at any depth and width."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcr_lightning.errors import InputError

NORMS = ("none", "batch", "group")
FIRST_LOGIT = -4.0
_GROUPS = 8


class UNet(nn.Module):
    """U-Net that gives each pixel a number, such as a logit of being a cosmic ray.

    With ``depth=2, hidden=32, norm="none"`` it is the network deepCR-2-32 (Zhang & Bloom 2020, ApJ 889, 24,
    section 3; 100,961 parameters) without its final sigmoid.

    Parameters
    ----------
    depth : int
        Number of resolutions, 1 to 5; each below the first halves the one above by max-pooling.
    hidden : int
        Channels at full resolution; they double at each level.
    norm : {"none", "batch", "group"}
        Normalisation after each 3x3 convolution. Group norm looks at the whole image it is given, so a map
        made in tiles is then only close to the map of the whole.
    inputs : int
        Planes that it sees.
    outputs : int
        Numbers that it gives.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    def __init__(self, depth: int = 2, hidden: int = 32, norm: str = "none", inputs: int = 1, outputs: int = 1) -> None:
        super().__init__()
        if not 1 <= depth <= 5:
            raise InputError(f"model.depth={depth}: must be 1 to 5")
        if hidden < 1:
            raise InputError(f"model.hidden={hidden}: must be at least 1")
        if norm not in NORMS:
            raise InputError(f"model.norm={norm}: must be one of {', '.join(NORMS)}")
        self.depth, self.hidden, self.norm, self.inputs, self.outputs = depth, hidden, norm, inputs, outputs
        widths = [hidden * 2**level for level in range(depth)]
        self.down = nn.ModuleList(
            _double_conv(inputs if level == 0 else widths[level - 1], width, norm) for level, width in enumerate(widths)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in widths[:-1])
        self.merge = nn.ModuleList(_double_conv(2 * width, width, norm) for width in widths[:-1])
        self.out = nn.Conv2d(hidden, outputs, 1)
        # One pixel in fifty is a CR: starting there spares the first steps from learning it.
        self.out.bias = nn.Parameter(torch.full((outputs,), FIRST_LOGIT))

    @property
    def step(self) -> int:
        """Pixels to which the offset of a tile must be aligned for pooling to fall in the same places."""
        return 2 ** (self.depth - 1)

    @property
    def margin(self) -> int:
        """Pixels that a tile aligned to `step` must look beyond what it keeps: the reach of the network.

        Counted from a kept pixel through the convolutions of each level, down and up again, and rounded up
        to a multiple of `step`: 2, 8, 24, 48 and 96 pixels for a depth of 1 to 5.
        """
        reach = 2
        for _ in range(self.depth - 1):  # down: the two convolutions that merge, then half as far
            reach = -(-reach // 2) + 2
        for _ in range(self.depth - 1):  # and up again: twice as far, then the two that open the level
            reach = 2 * reach + 2
        return -(-reach // self.step) * self.step

    def forward(self, image: Tensor) -> Tensor:
        """Give the map of an image.

        Parameters
        ----------
        image : Tensor, shape (B, inputs, H, W)
            Normalised image of any size.

        Returns
        -------
        Tensor, shape (B, outputs, H, W)
        """
        x = self.down[0](image)
        skips: list[Tensor] = []
        for conv in self.down[1:]:
            skips.append(x)
            # ceil_mode keeps the last row or column of odd sizes; what grows too large is cut off below.
            x = conv(F.max_pool2d(x, 2, ceil_mode=True))
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            skip = skips.pop()
            x = up(x)[..., : skip.shape[-2], : skip.shape[-1]]
            x = merge(torch.cat([skip, x], dim=1))
        return self.out(x)


def _double_conv(inputs: int, outputs: int, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(outputs))
        elif norm == "group":
            layers.append(nn.GroupNorm(_group_count(outputs), outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _group_count(channels: int) -> int:
    # Two channels a group at least: a deep level may be left with a single pixel, whose variance is 0.
    return next(groups for groups in range(min(_GROUPS, max(1, channels // 2)), 0, -1) if channels % groups == 0)
