"""Tiles per second and gradient norm of a run.

Lightning's ThroughputMonitor has no rate of an epoch, which the record and the figures of a run show.
"""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer


class Pace(pl.Callback):
    """Log the gradient norm before clipping, and the tiles a second of all processes.

    Both are logged every ``log_every_n_steps`` (``train/gradient_norm_step``, ``train/tiles_per_second_step``) and
    once an epoch (``..._epoch``). Other steps are left alone, so that a GPU is not waited for. The time of validation
    does not count.
    """

    def __init__(self) -> None:
        self._epoch, self._window = _Stopwatch(), _Stopwatch()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks."""
        self._epoch.start()
        self._window.start()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Measure the gradient: whole, unscaled and not yet clipped."""
        # The last step of an epoch is measured too, or a short epoch would have no value.
        if _is_logged(trainer, trainer.global_step + 1) or trainer.is_last_batch:
            norm = gradient_norm(pl_module)
            pl_module.log("train/gradient_norm", norm, on_step=True, on_epoch=True, sync_dist=True, batch_size=1)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: dict[str, Tensor], *_: Any
    ) -> None:
        """Count the tiles, and log their rate where a step is logged."""
        tiles = len(batch["image"]) * trainer.world_size
        self._epoch.tiles += tiles
        self._window.tiles += tiles
        if _is_logged(trainer, trainer.global_step):
            pl_module.log("train/tiles_per_second_step", self._window.rate(), on_step=True, on_epoch=False)
            self._window.start()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clocks."""
        self._epoch.pause()
        self._window.pause()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on."""
        self._epoch.resume()
        self._window.resume()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the rate of the whole epoch."""
        pl_module.log("train/tiles_per_second_epoch", self._epoch.rate(), sync_dist=True)


def gradient_norm(module: torch.nn.Module) -> Tensor:
    """Euclidean norm of the gradient over all parameters.

    Parameters
    ----------
    module : torch.nn.Module
        After a backward pass.

    Returns
    -------
    Tensor of float, scalar
        On the device of the gradients, so that nothing waits for it.
    """
    norms = [torch.linalg.vector_norm(p.grad.detach().float()) for p in module.parameters() if p.grad is not None]
    return torch.linalg.vector_norm(torch.stack(norms))


def _is_logged(trainer: pl.Trainer, step: int) -> bool:
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return every > 0 and step % every == 0


class _Stopwatch:
    """Tiles, and the seconds in which they passed."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.tiles, self._seconds, self._since = 0, 0.0, time.perf_counter()

    def pause(self) -> None:
        self._seconds += time.perf_counter() - self._since

    def resume(self) -> None:
        self._since = time.perf_counter()

    def rate(self) -> float:
        return self.tiles / max(self._seconds + time.perf_counter() - self._since, 1e-9)
