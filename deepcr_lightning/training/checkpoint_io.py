"""Checkpoints that exist from the first step and are never half written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint

from deepcr_lightning.atomic import write_atomically


class WholeCheckpoints(TorchCheckpointIO):
    """Write checkpoints beside their place and move them there when they are whole.

    Lightning writes them in the folder of temporary files, from where a move is a copy if that is another file
    system: a process that is killed meanwhile leaves half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, whole or not at all."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), lambda partial: partial.write_bytes(buffer.getbuffer()))


class RunCheckpoint(ModelCheckpoint):
    """Keep the best and the last state of a run, which may be resumed from its first step on.

    Parameters
    ----------
    dirpath : str
    **settings
        Other parameters of ModelCheckpoint.
    """

    def __init__(self, dirpath: str, **settings: Any) -> None:
        super().__init__(dirpath, filename="best", save_last=True, enable_version_counter=False, **settings)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what a run that is stopped in its first epoch starts from."""
        super().on_train_start(trainer, pl_module)
        if trainer.global_step == 0 and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            assert self.dirpath is not None
            trainer.save_checkpoint(Path(self.dirpath) / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the last state after every epoch: Lightning does so only after those that are the best so far."""
        super().on_train_epoch_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
