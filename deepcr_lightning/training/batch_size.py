"""The largest batch that an accelerator has memory for."""

from __future__ import annotations

import torch
from pytorch_lightning.utilities.memory import garbage_collection_cuda, is_oom_error

from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.layout import channels_last
from deepcr_lightning.networks.unet import UNet

_MARGIN = 1.25
"""A batch is taken only if one that is larger by this factor fits: composition and validation need some, too."""


def largest_batch(net: UNet, tile_size: int, most: int, device: torch.device, half: torch.dtype | None) -> int:
    """Double the batch until it does not fit.

    Parameters
    ----------
    net : UNet
        Its gradients are cleared.
    tile_size : int
        S, in pixels.
    most : int
        Try no larger one.
    device : torch.device
        Of the network: an accelerator.
    half : torch.dtype, optional
        Of mixed precision.

    Returns
    -------
    int
        A power of 2, at most `most`.

    Raises
    ------
    InputError
        If a single tile does not fit.
    """
    found = 0
    while max(1, 2 * found) <= most and _fits(net, int(_MARGIN * max(1, 2 * found)), tile_size, device, half):
        found = max(1, 2 * found)
    if not found:
        raise InputError(f"trainer.find_batch_size: no memory for one tile of {tile_size} pixels; set data.tile_size")
    return found


def _fits(net: UNet, count: int, tile_size: int, device: torch.device, half: torch.dtype | None) -> bool:
    try:
        image = torch.zeros(count, net.inputs, tile_size, tile_size, device=device)
        with torch.autocast(device.type, half, enabled=half is not None):
            logits = net(channels_last(image))
        logits.float().square().mean().backward()
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        return False
    finally:
        net.zero_grad(set_to_none=True)
        garbage_collection_cuda()
    return True
