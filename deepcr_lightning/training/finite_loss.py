"""Stop a run whose loss is NaN or infinite, and save the batch that caused it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError


class FiniteLoss(pl.Callback):
    """Stop at a loss that is NaN or infinite, and keep the batch it came from.

    Each loss is looked at one step late: an accelerator is never waited for.

    Parameters
    ----------
    folder : str
        Where ``bad_batch.pt`` goes.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._last: tuple[int, Tensor, Tensor, dict[str, Tensor]] | None = None

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
    ) -> None:
        """Look at the loss of the step before, and keep this one."""
        self._check()
        loss = outputs["loss"].detach()
        # The mean of all processes: where one has to stop, all do, and none waits for it.
        together = trainer.strategy.reduce(loss.clone()) if trainer.world_size > 1 else loss
        self._last = trainer.global_step, together, loss, batch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the last loss, before anything of this epoch is kept."""
        self._check()

    def _check(self) -> None:
        if self._last is None:
            return
        (step, together, loss, batch), self._last = self._last, None
        if bool(torch.isfinite(together)):
            return
        if bool(torch.isfinite(loss)):
            raise InputError(f"the loss is {float(together)} at step {step} in another process, which saved its batch")
        buffer, kept = io.BytesIO(), self.folder / "bad_batch.pt"
        torch.save({name: tensor.cpu() for name, tensor in batch.items()}, buffer)
        write_atomically(kept, lambda partial: partial.write_bytes(buffer.getbuffer()))
        raise InputError(
            f"the loss is {float(loss)} at step {step}; its batch is saved in {kept}; look at its image, then resume "
            "from the last checkpoint with a lower model.learning_rate"
        )
