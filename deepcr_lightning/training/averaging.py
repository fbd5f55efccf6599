"""Averaged weights that are ready from the first epoch."""

from __future__ import annotations

from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from deepcr_lightning.errors import InputError


class WarmEMA(WeightAveraging):
    """Exponential moving average of the weights whose memory grows with the run.

    A fixed decay of 0.99 carries the first, untrained weights through a hundred steps: early maps are then
    far too low. Here the decay of step n is ``min(decay, (1 + n) / (10 + n))``. Validation and checkpoints use
    the averaged weights.

    Parameters
    ----------
    decay : float
        Decay of a long run, 0 to below 1.

    Raises
    ------
    InputError
        If the decay is out of its range.
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"callbacks.average.decay={decay}: must be from 0 to below 1")

        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
            return averaged + weight * (current - averaged)

        super().__init__(avg_fn=average)
