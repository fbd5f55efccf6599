"""The U-Net of deepCR, at any depth and width."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.contrast import REACH, contrast

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
    contrast : bool
        Whether it makes itself a second plane, of `contrast.contrast`.
    fold : {1, 2}
        With 2 it works at half of the resolution: blocks of 2 x 2 pixels become four channels at the door and pixels
        again at the end (Shi et al. 2016, CVPR, arXiv 1609.05158). Nothing is lost, and four times the weights run as
        fast, since most of the time of a narrow network at full resolution goes into moving it through memory.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    def __init__(
        self,
        depth: int = 2,
        hidden: int = 32,
        norm: str = "none",
        inputs: int = 1,
        outputs: int = 1,
        contrast: bool = False,
        fold: int = 1,
    ) -> None:
        super().__init__()
        if not 1 <= depth <= 5:
            raise InputError(f"model.depth={depth}: must be 1 to 5")
        if hidden < 1:
            raise InputError(f"model.hidden={hidden}: must be at least 1")
        if norm not in NORMS:
            raise InputError(f"model.norm={norm}: must be one of {', '.join(NORMS)}")
        self.depth, self.hidden, self.norm, self.inputs, self.outputs = depth, hidden, norm, inputs, outputs
        if fold not in (1, 2):
            raise InputError(f"model.fold={fold}: must be 1 or 2")
        self.contrast, self.fold = contrast, fold
        seen = (inputs + contrast) * fold**2
        widths = [hidden * 2**level for level in range(depth)]
        self.down = nn.ModuleList(
            _double_conv(seen if level == 0 else widths[level - 1], width, norm) for level, width in enumerate(widths)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in widths[:-1])
        self.merge = nn.ModuleList(_double_conv(2 * width, width, norm) for width in widths[:-1])
        self.out = nn.Conv2d(hidden, outputs * fold**2, 1)
        # One pixel in fifty is a CR: starting there spares the first steps from learning it.
        self.out.bias = nn.Parameter(torch.full((outputs * fold**2,), FIRST_LOGIT))

    @property
    def step(self) -> int:
        """Pixels to which the offset of a tile must be aligned for pooling to fall in the same places."""
        return self.fold * 2 ** (self.depth - 1)

    @property
    def margin(self) -> int:
        """Pixels that a tile aligned to `step` must look beyond what it keeps: the reach of the network.

        Counted from a kept pixel through the convolutions of each level, down and up again, and rounded up
        to a multiple of `step`: 2, 8, 24, 48 and 96 pixels for a depth of 1 to 5, twice that for a folded
        network, and 4 more for the contrast.
        """
        reach = 2
        for _ in range(self.depth - 1):  # down: the two convolutions that merge, then half as far
            reach = -(-reach // 2) + 2
        for _ in range(self.depth - 1):  # and up again: twice as far, then the two that open the level
            reach = 2 * reach + 2
        reach = self.fold * reach + (REACH if self.contrast else 0)
        return -(-reach // self.step) * self.step

    def folded(self, image: Tensor) -> Tensor:
        """Give what the first convolution sees: the image and its contrast, folded."""
        planes = torch.cat([image, contrast(image)], dim=1) if self.contrast else image
        if planes is image and self.fold == 1:
            return image
        if self.fold > 1:
            rows, columns = (-length % self.fold for length in image.shape[-2:])
            planes = F.pad(planes, (0, columns, 0, rows), mode="replicate")
        places = [slice(place, None, self.fold) for place in range(self.fold)]
        parts = [plane[:, y, x] for plane in planes.unbind(1) for y in places for x in places]
        # What pixel_unshuffle gives, channels-last at once and in less than half of its time.
        return torch.stack(parts, dim=-1).movedim(-1, 1)

    def unfolded(self, numbers: Tensor, image: Tensor) -> Tensor:
        """Lay the numbers of the last convolution out as the pixels of the image."""
        if self.fold == 1:
            return numbers
        count, _, rows, columns = numbers.shape
        blocks = numbers.view(count, self.outputs, self.fold, self.fold, rows, columns)
        # As pixel_shuffle, which takes four times as long on what is channels-last.
        pixels = blocks.permute(0, 1, 4, 2, 5, 3).reshape(count, self.outputs, self.fold * rows, self.fold * columns)
        return pixels[..., : image.shape[-2], : image.shape[-1]]

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
        x = self.down[0](self.folded(image))
        skips: list[Tensor] = []
        for conv in self.down[1:]:
            skips.append(x)
            # ceil_mode keeps the last row or column of odd sizes; what grows too large is cut off below.
            x = conv(F.max_pool2d(x, 2, ceil_mode=True))
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            skip = skips.pop()
            x = up(x)[..., : skip.shape[-2], : skip.shape[-1]]
            x = merge(torch.cat([skip, x], dim=1))
        return self.unfolded(self.out(x), image)

    @staticmethod
    def calibrated(weights: Mapping[str, Tensor], scale: float, shift: float) -> dict[str, Tensor]:
        """Put scale and shift of the logit into the weights of such a network."""
        last = {"out.weight": scale * weights["out.weight"], "out.bias": scale * weights["out.bias"] + shift}
        return {**weights, **last}


def fold_batch_norm(net: UNet) -> UNet:
    """Make a network without batch norm that gives the same map.

    Parameters
    ----------
    net : UNet
        In evaluation mode; returned as it is if it has no norm.

    Returns
    -------
    UNet

    Raises
    ------
    InputError
        If it has group norm, which depends on the image and cannot be folded.
    """
    if net.norm == "none":
        return net
    if net.norm != "batch":
        raise InputError(f"{net.norm} norm cannot be folded into the convolutions")
    folded = UNet(net.depth, net.hidden, "none", net.inputs, net.outputs, net.contrast, net.fold)
    for part in ("down", "merge"):
        for block, plain in zip(getattr(net, part), getattr(folded, part), strict=True):
            convolutions = [m for m in block if isinstance(m, nn.Conv2d)]
            norms = [m for m in block if isinstance(m, nn.BatchNorm2d)]
            for place, (conv, norm) in enumerate(zip(convolutions, norms, strict=True)):
                plain[2 * place] = fuse_conv_bn_eval(conv, norm)
    folded.up, folded.out = net.up, net.out
    return folded.eval()


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
