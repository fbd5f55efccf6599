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

_BAND = 32
"""Rows of a chip that a processor scales at a time."""


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
    scale: Callable[[Tensor, Tensor, Tensor], Tensor] = normalise,
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
    chip, sky_there, noise_there = (
        torch.as_tensor(given, dtype=torch.float32, device=device).view(1, *shape)
        for given, shape in ((electrons, electrons.shape), (sky, (1, 1)), (noise, (1, 1)))
    )
    known = None if usable is None else torch.from_numpy(usable).to(device)[None]
    image = scaled(chip, sky_there, noise_there, known, scale)
    return map_of(net, image, margin=margin, step=step, tile=tile)[0].cpu().numpy()


def scaled(
    chips: Tensor,
    sky: Tensor,
    noise: Tensor,
    usable: Tensor | None = None,
    scale: Callable[[Tensor, Tensor, Tensor], Tensor] = normalise,
) -> Tensor:
    """Put chips on the scale of a network, without gaps.

    Parameters
    ----------
    chips : Tensor of float32, shape (B, H, W)
        In electrons.
    sky : Tensor of float32, shape (B, 1, 1)
    noise : Tensor of float32, shape (B, 1, 1) or (B, H, W)
    usable : Tensor of bool, shape (B, H, W), optional
        Gaps are closed where it is given.
    scale : callable
        As `predict_probability` takes it.

    Returns
    -------
    Tensor of float32, shape (B, H, W)
    """
    if chips.device.type == "cpu":
        # In bands, so that what one operation leaves is still at hand for the next.
        image = torch.empty_like(chips)
        bands = chips.split(_BAND, dim=1)
        noises = [noise] * len(bands) if noise.shape[1] == 1 else noise.split(_BAND, dim=1)
        for given, made, there in zip(bands, image.split(_BAND, dim=1), noises, strict=True):
            made.copy_(scale(given, sky, there))
    else:
        image = scale(chips, sky, noise)
    # Of whole chips: a gap that a tile cuts would be filled in two ways.
    return image if usable is None else close_gaps(image, usable)


def map_of(net: nn.Module, image: Tensor, *, margin: int, step: int, tile: int) -> Tensor:
    """Map the probability of a cosmic ray over chips on the scale of the network.

    Parameters
    ----------
    net, margin, step, tile
        As `predict_probability` takes them.
    image : Tensor of float32, shape (B, H, W)
        On the device of the network.

    Returns
    -------
    Tensor of float32, shape (B, H, W)
    """

    def probability(cut: Tensor) -> Tensor:
        return torch.sigmoid(_logits(net, cut))

    return in_tiles(probability, image, margin=margin, step=step, tile=tile)


def in_tiles(apply: Callable[[Tensor], Tensor], planes: Tensor, *, margin: int, step: int, tile: int) -> Tensor:
    """Map planes of any size in tiles that overlap by what a network sees beyond a pixel.

    Parameters
    ----------
    apply : callable
        Function of planes, a Tensor of shape (C, h, w), that gives their map, of shape (h, w), or that of each, of
        shape (C, h, w).
    planes : Tensor, shape (C, H, W)
        On the device where `apply` runs; they are continued by reflection.
    margin, step : int
        Reach and alignment of the network (`networks.unet.UNet`).
    tile : int
        Largest side of a tile, without its margins.

    Returns
    -------
    Tensor of float32, shape (H, W) or (C, H, W)
    """
    rows, columns = planes.shape[-2:]
    made: Tensor | None = None
    tile = max(step, tile // step * step)
    for top, bottom in windows(rows, tile, step):
        # Whole steps below the last row: pooling must not fall differently at the edge than inside.
        height = -(-(bottom - top) // step) * step
        band = _continued(planes, -2, top - margin, top + height + margin)
        for left, right in windows(columns, tile, step):
            width = -(-(right - left) // step) * step
            map_ = apply(_continued(band, -1, left - margin, left + width + margin))
            if made is None:
                made = map_.new_empty((*map_.shape[:-2], rows, columns))
            kept = map_[..., margin : margin + bottom - top, margin : margin + right - left]
            made[..., top:bottom, left:right] = kept
    assert made is not None
    return made


def _continued(planes: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Cut a range out of an axis, also beyond its ends."""
    length = planes.shape[axis]
    first, last = max(start, 0), min(stop, length)
    inside = planes.narrow(axis, first, last - first)
    if (first, last) == (start, stop):
        return inside
    before, after = (
        planes.index_select(axis, torch.from_numpy(reflected(*ends, length)).to(planes.device))
        for ends in ((start, first), (last, stop))
    )
    return torch.cat([before, inside, after], dim=axis)


def _logits(net: nn.Module, images: Tensor) -> Tensor:
    return net(channels_last(images[:, None]))[:, 0].float()
