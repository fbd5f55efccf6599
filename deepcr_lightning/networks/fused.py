"""The same network in fewer passes over memory, for prediction on a CPU."""

from __future__ import annotations

import logging
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcr_lightning.networks.memory_layout import channels_last
from deepcr_lightning.networks.unet import UNet

log = logging.getLogger(__name__)

_ONE = [1, 1]
# Side of the image on which the two networks are compared, odd at every depth, and by how much they may differ.
_SIDE, _CLOSE = 37, 1e-3


def fused(net: nn.Module) -> nn.Module:
    """Make a network of the same map whose convolutions bring their ReLU with them and that joins nothing.

    A convolution over two inputs side by side is the sum of two convolutions: the second adds to what the first
    left, and neither the joined input nor what the ReLU would read again goes through memory. With 16 channels
    an eighth of the time goes with them (docs/studies/performance.md).

    Parameters
    ----------
    net : nn.Module
        A U-Net or another network, in evaluation mode.

    Returns
    -------
    nn.Module
        Gives logits as `net` does, with its ``margin`` and ``step``. It is `net` itself where it is no U-Net, its norm
        is not folded, on a GPU, or where the oneDNN operators that this needs are not in PyTorch's build or do not give
        the same: they are private, and a later version may change them.
    """
    if not isinstance(net, UNet) or not torch.backends.mkldnn.is_available():
        return net
    if net.norm != "none" or net.out.weight.is_cuda:
        return net
    try:
        made = _FusedUNet(net)
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            image = torch.sin(torch.arange(net.inputs * _SIDE**2) ** 2.0).view(1, net.inputs, _SIDE, _SIDE)
            image = channels_last(image.to(net.out.weight))
            same = torch.allclose(made(image), net(image), rtol=_CLOSE, atol=_CLOSE, equal_nan=True)
    except (AttributeError, RuntimeError, TypeError) as error:
        same = False
        log.debug("%s", error)
    if not same:
        log.warning("Fused convolutions fail with torch %s: prediction is about 12 %% slower", torch.__version__)
    return made if same else net


class _FusedUNet(nn.Module):
    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net, self.margin, self.step = net, net.margin, net.step
        self.halves: list[tuple[Tensor, Tensor]] = []
        for merge in net.merge:
            weight = _layer(merge, 0).weight.detach()
            parts = weight.split(weight.shape[1] // 2, dim=1)
            above, below = (part.contiguous(memory_format=torch.channels_last) for part in parts)
            self.halves.append((above, below))

    def forward(self, image: Tensor) -> Tensor:
        x = _block(self.net.folded(image), self.net.down[0])
        skips: list[Tensor] = []
        for conv in list(self.net.down)[1:]:
            skips.append(x)
            x = _block(F.max_pool2d(x, 2, ceil_mode=True), conv)
        ways = reversed(list(zip(self.net.up, self.net.merge, self.halves, strict=True)))
        for up, merge, (above, below) in ways:
            skip = skips.pop()
            x = up(x)[..., : skip.shape[-2], : skip.shape[-1]]
            joined = _convolve(skip, above, _layer(merge, 0).bias, "none")
            x = torch.ops.mkldnn._convolution_pointwise_.binary(
                joined, x, below, None, _ONE, _ONE, _ONE, 1, "add", 1.0, "relu", [], ""
            )
            x = _convolve(x, _layer(merge, 2).weight, _layer(merge, 2).bias, "relu")
        return self.net.unfolded(self.net.out(x), image)


def _block(x: Tensor, block: nn.Module) -> Tensor:
    for place in (0, 2):
        x = _convolve(x, _layer(block, place).weight, _layer(block, place).bias, "relu")
    return x


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, then: str) -> Tensor:
    return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, _ONE, _ONE, _ONE, 1, then, [], "")


def _layer(block: Any, place: int) -> nn.Conv2d:
    return block[place]
