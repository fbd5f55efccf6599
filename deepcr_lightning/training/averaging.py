"""Averaged weights that are ready from the first epoch.

Lightning's EMAWeightAveraging has a fixed decay: at 0.99, a third of the first weights is left after 100 steps.
"""

from __future__ import annotations

from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from deepcr_lightning.errors import InputError


class WarmEMA(WeightAveraging):
    """Exponential moving average of the weights whose memory grows with the run.

    The decay of step n is ``min(decay, (1 + n) / (10 + n))``, so that the first, untrained weights are forgotten after
    30 steps; with them in the average, early maps are far too low. Validation and checkpoints use the averaged weights.

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
