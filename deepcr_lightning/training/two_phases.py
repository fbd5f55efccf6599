"""The two phases in which deepCR trains."""

from __future__ import annotations

from collections import defaultdict

import pytorch_lightning as pl
from torch.nn.modules.batchnorm import _BatchNorm

from deepcr_lightning.errors import InputError


class TwoPhases(pl.Callback):
    """After the first epochs batch norm keeps its statistics, and a fresh optimiser goes on at a lower rate.

    Parameters
    ----------
    first : float
        Share of the epochs in the first phase.
    rate : float
        Factor on the learning rate in the second.

    Raises
    ------
    InputError
        If a parameter is out of its range.

    References
    ----------
    Zhang & Bloom 2020, ApJ 889, 24; the numbers are those of the package deepCR 0.3.1.
    """

    def __init__(self, first: float = 0.4, rate: float = 0.4) -> None:
        if not 0 < first < 1:
            raise InputError(f"callbacks.phases.first={first}: must be a fraction of the epochs, between 0 and 1")
        if not rate > 0:
            raise InputError(f"callbacks.phases.rate={rate}: must be positive")
        self.first, self.rate = first, rate

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the statistics from the first epoch of the second phase on, and begin that one afresh."""
        begins = int(self.first * (trainer.max_epochs or 1) + 0.5)
        if trainer.current_epoch < begins:
            return
        for module in pl_module.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        if trainer.current_epoch == begins:
            for optimizer, config in zip(trainer.optimizers, trainer.lr_scheduler_configs, strict=True):
                optimizer.state = defaultdict(dict)
                # A checkpoint keeps the rates of the schedule: a resumed run goes on with the lower one.
                config.scheduler.base_lrs = [self.rate * rate for rate in config.scheduler.base_lrs]
                for group, rate in zip(optimizer.param_groups, config.scheduler.base_lrs, strict=True):
                    group["lr"] = rate
