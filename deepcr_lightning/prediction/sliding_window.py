"""A chip of any size through the network in overlapping tiles, without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepcr_lightning.networks.gaps import close_gaps
from deepcr_lightning.networks.memory_layout import channels_last
from deepcr_lightning.networks.scale import normalise


def reflected(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """Index an axis that is continued beyond its ends by reflection, however far.

    Parameters
    ----------
    start, stop : int
        Range of places, also below 0 and beyond the length.
    length : int
        Length of the axis in pixels.

    Returns
    -------
    ndarray of int64, shape (stop - start,)
        The place on the axis that stands for each.
    """
    period = max(1, 2 * (length - 1))
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if length > 1 else np.zeros(stop - start, np.int64)


def windows(length: int, tile: int, step: int) -> Iterator[tuple[int, int]]:
    """Cut a length into windows of nearly equal size that start at multiples of a step.

    Parameters
    ----------
    length : int
        Pixels to cover.
    tile : int
        Largest size, a multiple of `step`.
    step : int

    Yields
    ------
    (int, int)
        First pixel of a window and the one after its last.
    """
    count = -(-length // tile)
    size = -(-length // (count * step)) * step
    for start in range(0, length, size):
        yield start, min(start + size, length)


@torch.inference_mode()
def predict_probability(
    net: nn.Module,
    electrons: NDArray[np.float32],
    sky: float,
    noise: float,
    *,
    usable: NDArray[np.bool_] | None = None,
    scale: Callable[[Tensor, float, float], Tensor] = normalise,
    margin: int,
    step: int,
    tile: int = 704,
) -> NDArray[np.float32]:
    """Map the probability of a cosmic ray over a chip.

    The chip is continued by reflection and goes through in tiles that overlap by what the network sees
    beyond a pixel, so that no seam shows: the map is that of the whole chip.

    Parameters
    ----------
    net : nn.Module
        Gives logits of shape (B, 1, H, W); on the device where it is to run.
    electrons : ndarray of float32, shape (H, W)
        Chip in electrons, finite, of any size.
    sky, noise : float
        Sky and noise of the chip in electrons, as `scale` takes them.
    usable : ndarray of bool, shape (H, W), optional
        What is not usable is filled smoothly before the network sees it (`networks.gaps`); by default nothing is.
    scale : callable
        Puts electrons on the scale of the network (`networks.scale.Scale`).
    margin, step : int
        Reach and alignment of the network (`networks.unet.UNet`).
    tile : int
        Largest side of a tile, without its margins; memory grows with its square.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Probability, 0 to 1.
    """
    device = next(net.parameters()).device
    # The chip goes over once and its map comes back once; in between nothing waits for the device.
    chip = torch.from_numpy(electrons)
    chip = chip.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else chip.to(device)

    image = scale(chip, sky, noise)
    if usable is not None:
        # Of the whole chip: a gap that a tile cuts would be filled in two ways.
        image = close_gaps(image, torch.from_numpy(usable).to(device))

    def probability(cut: Tensor) -> Tensor:
        return torch.sigmoid(_logits(net, cut[0]))

    return in_tiles(probability, image[None], margin=margin, step=step, tile=tile).cpu().numpy()


def in_tiles(apply: Callable[[Tensor], Tensor], planes: Tensor, *, margin: int, step: int, tile: int) -> Tensor:
    """Map planes of any size in tiles that overlap by what a network sees beyond a pixel.

    Parameters
    ----------
    apply : callable
        Function of planes, a Tensor of shape (C, h, w), that gives their map, of shape (h, w).
    planes : Tensor, shape (C, H, W)
        On the device where `apply` runs; they are continued by reflection.
    margin, step : int
        Reach and alignment of the network (`networks.unet.UNet`).
    tile : int
        Largest side of a tile, without its margins.

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    rows, columns = planes.shape[-2:]
    device = planes.device
    made = torch.empty((rows, columns), device=device)
    tile = max(step, tile // step * step)
    for top, bottom in windows(rows, tile, step):
        # Whole steps below the last row: pooling must not fall differently at the edge than inside.
        height = -(-(bottom - top) // step) * step
        band = planes[:, _index(top - margin, top + height + margin, rows, device)]
        for left, right in windows(columns, tile, step):
            width = -(-(right - left) // step) * step
            cut = band[..., _index(left - margin, left + width + margin, columns, device)]
            kept = apply(cut)[margin : margin + bottom - top, margin : margin + right - left]
            made[top:bottom, left:right] = kept
    return made


def _index(start: int, stop: int, length: int, device: torch.device) -> Tensor:
    return torch.from_numpy(reflected(start, stop, length)).to(device)


def _logits(net: nn.Module, image: Tensor) -> Tensor:
    return net(channels_last(image[None, None]))[0, 0].float()
