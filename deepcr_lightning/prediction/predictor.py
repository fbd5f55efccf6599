"""A trained network that maps chips and exposures."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.observatory import by_hubble
from deepcr_lightning.models.model import Model
from deepcr_lightning.networks.fused import fused
from deepcr_lightning.prediction.sliding_window import predict_probability

_TILE_ON_CPU, _TILE_ON_GPU = 704, 2048
_MARGINS = 28
"""A tile on a CPU is at least so many margins wide, of which a network that sees far has broad ones."""


class ExposurePredictor(nn.Module):
    """A trained network that takes whole exposures, in tiles.

    Parameters
    ----------
    model : Model
        From `models.model.load_model`.
    tile : int, optional
        Largest side of a tile in pixels; memory grows with its square, not with the chip. By default 704 on a CPU,
        or 28 times what the network sees beyond a pixel, and 2048 on a GPU, which it fills.
    plateau : float
        Value at which the map saturates, to divide it by.
    compile : bool
        Compile the network with torch.compile, for each shape of tile that comes.
    """

    def __init__(self, model: Model, tile: int | None = None, plateau: float = 1.0, compile: bool = False) -> None:
        super().__init__()
        if tile is not None and not (isinstance(tile, Integral) and tile >= 64):
            raise InputError(f"tile={tile}: must be a whole number of at least 64 pixels")
        self.model, self.net, self.scale, self.tile, self.plateau = model, model.net, model.scale, tile, plateau
        self.hubble = None if model.hubble is None else ExposurePredictor(model.hubble, tile, compile=compile)
        self.closes_gaps = model.card.closes_gaps
        if compile:
            self.net.compile()
        # A tuple hides it from PyTorch, which would move its weights a second time.
        self._fused = (model.net if compile else fused(model.net),)

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return next(self.net.parameters()).device

    def probabilities(self, exposure: Exposure) -> list[NDArray[np.float32]]:
        """CR probability of each chip, float32, shape (H, W)."""
        fitting = self.fitting(exposure.header)
        return [fitting.chip_probability(chip.electrons, chip.unusable) for chip in exposure.chips]

    def fitting(self, header: Mapping[str, Any]) -> ExposurePredictor:
        """Choose by the header of an exposure what maps it: itself, or the part for exposures of HST."""
        return self.hubble if self.hubble is not None and by_hubble(header) else self

    def chip_probability(self, electrons: NDArray[np.float32], unusable: NDArray[np.bool_]) -> NDArray[np.float32]:
        """CR probability of an image in electrons, finite, with pixels of no use; all of shape (H, W)."""
        sky, noise = self.scale.levels(electrons, ~unusable)
        on_cpu = self.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        probability = predict_probability(
            self._fused[0] if on_cpu else self.net,
            electrons,
            sky,
            noise,
            usable=~unusable if self.closes_gaps else None,
            scale=self.scale.apply,
            margin=self.net.margin,
            step=self.net.step,
            tile=self.tile or (_TILE_ON_GPU if self.device.type == "cuda" else self._tile_on_cpu()),
        )
        if not np.isfinite(probability).all():
            # A mask would be empty there, as if nothing had hit it.
            raise InputError("the network gives NaN or infinite values; use another checkpoint")
        return probability if self.plateau == 1 else np.minimum(probability / np.float32(self.plateau), 1)

    def _tile_on_cpu(self) -> int:
        return max(_TILE_ON_CPU, _MARGINS * self.net.margin)
