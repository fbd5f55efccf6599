"""A network of the user's own: what it must have, and the form in which this package holds it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from deepcr_lightning.errors import InputError
from deepcr_lightning.named import first_line
from deepcr_lightning.networks.memory_layout import channels_last

log = logging.getLogger(__name__)

_NEEDS = {"margin": 0, "step": 1, "inputs": 1}
_CLOSE = 1e-3


class PixelNetwork(Protocol):
    """What a network of one's own must have: it is an `nn.Module` with these.

    Attributes
    ----------
    margin : int
        How far the network looks: pixels beyond a pixel on which the number of that pixel depends, a multiple of
        `step`. Chips go through in tiles that overlap by so much.
    step : int
        The multiple at which tiles start, so that pooling falls in the same places: 2 after one halving, 4 after two;
        1 without pooling. The sides of the images that the network is given are multiples of it, too, if
        ``data.tile_size`` is.
    inputs : int
        Planes that it sees. Always 1: the normalised image (`networks.scale.normalise`).
    """

    margin: int
    step: int
    inputs: int

    def forward(self, image: Tensor) -> Tensor:
        """Give the logit of a cosmic ray for each pixel: (B, 1, H, W) from a float (B, 1, H, W)."""


class OwnNetwork(nn.Module):
    """A network of the user's own, checked, with the calibration of its map.

    Parameters
    ----------
    name : str
        As the user named it.
    net : nn.Module
        A `PixelNetwork`.

    Attributes
    ----------
    margin, step, inputs : int
        Those of the network.
    hidden : int
        0: it does not say how wide it is.

    Raises
    ------
    InputError
        If the network lacks what it needs, or does not give one number a pixel.
    """

    hidden = 0
    calibration: Tensor

    def __init__(self, name: str, net: nn.Module) -> None:
        super().__init__()
        self.name, self.net = name, net
        missing = [need for need in _NEEDS if not hasattr(net, need)]
        if missing:
            lacks = " and no ".join(missing)
            raise InputError(f"{name}: has no {lacks}; docs/guide/extend.md says what a network needs")
        self.margin, self.step, self.inputs = (_whole(name, net, need, least) for need, least in _NEEDS.items())
        if self.margin % self.step:
            raise InputError(f"{name}: its margin={self.margin} must be a multiple of its step={self.step}")
        if self.inputs != 1:
            raise InputError(f"{name}: its inputs={self.inputs}; a network sees one plane, the normalised image")
        if next(net.parameters(), None) is None:
            raise InputError(f"{name}: has no weights to train")
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self._try_tiles()

    def forward(self, image: Tensor) -> Tensor:
        """Give the calibrated logits of normalised images, shape (B, 1, H, W)."""
        made: Tensor = self.net(image)
        # Shapes of a graph are symbols, which are not to be compared.
        if not torch.compiler.is_compiling() and (not isinstance(made, Tensor) or made.shape != image.shape):
            found = f"shape {tuple(made.shape)}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
            raise InputError(
                f"{self.name}: gives {found} for an image of shape {tuple(image.shape)}; it must give one logit a "
                f"pixel, of the image's shape, whatever its size (in multiples of its step={self.step})"
            )
        if not made.is_floating_point():
            raise InputError(f"{self.name}: gives numbers of type {made.dtype}; it must give logits, floating-point")
        return self.calibration[0] * made + self.calibration[1]

    @staticmethod
    def calibrated(weights: Mapping[str, Tensor], scale: float, shift: float) -> dict[str, Tensor]:
        """Put scale and shift of the logit into the weights of such a network."""
        before, shifted = weights["calibration"]
        return {**weights, "calibration": torch.stack([scale * before, scale * shifted + shift])}

    def _try_tiles(self) -> None:
        """Map a small image as a whole and in a tile: the same, if margin and step are what the network says."""
        margin, step, training = self.margin, self.step, self.training
        side = 2 * margin + 3 * step
        image = torch.sin(torch.arange(side * (side + step)) ** 2.0).view(1, 1, side, side + step)
        self.eval()
        try:
            with torch.no_grad():
                whole = self(channels_last(image))
                tile = self(channels_last(image[..., step : side - step, step : side - step]))
        except InputError:
            raise
        except Exception as error:  # whatever the user's own code raises
            shape = tuple(image.shape)
            raise InputError(f"{self.name}: fails on an image of shape {shape}: {first_line(error)}") from error
        finally:
            self.train(training)
        far, near = slice(margin + step, margin + 2 * step), slice(margin, margin + step)
        if not torch.allclose(whole[..., far, far], tile[..., near, near], rtol=_CLOSE, atol=_CLOSE, equal_nan=True):
            log.warning(
                "%s: a pixel depends on more than its margin=%d and step=%d say; maps will show the seams of tiles",
                self.name,
                margin,
                step,
            )


def _whole(name: str, net: Any, need: str, least: int) -> int:
    value = getattr(net, need)
    if not isinstance(value, int) or value < least:
        raise InputError(f"{name}: its {need}={value!r} must be a whole number, at least {least}")
    return value
