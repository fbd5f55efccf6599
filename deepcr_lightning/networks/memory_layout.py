"""Memory layout of images, which decides how fast convolutions are."""

from __future__ import annotations

import torch
from torch import Tensor

_WIDE = 16


def channels_last(image: Tensor) -> Tensor:
    """Lay an image out channels-last, so that all that a network makes of it is.

    The memory of one channel is the same in both layouts, and PyTorch takes it for the usual one as long as its
    strides say so.

    Parameters
    ----------
    image : Tensor, shape (B, C, H, W)

    Returns
    -------
    Tensor, shape (B, C, H, W)
        The same memory if C is 1 and `image` is contiguous.
    """
    if image.shape[1] > 1:
        return image.contiguous(memory_format=torch.channels_last)
    return image.contiguous().view(len(image), *image.shape[2:], 1).permute(0, 3, 1, 2)


def for_training(image: Tensor, hidden: int) -> Tensor:
    """Lay out an image for the steps of a network as they are fastest on this device.

    Channels-last, except on a CPU with AVX2 and without AVX-512: there the gradient of a convolution's weights takes
    three times as long in it as in PyTorch's usual layout, and with 16 channels or more that outweighs the rest
    (docs/studies/performance.md).

    Parameters
    ----------
    image : Tensor, shape (B, C, H, W)
    hidden : int
        Channels of the network at full resolution.

    Returns
    -------
    Tensor, shape (B, 1, H, W)
    """
    slow = image.device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2" and hidden >= _WIDE
    return image if slow else channels_last(image)
