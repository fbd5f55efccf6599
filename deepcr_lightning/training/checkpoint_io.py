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

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best checkpoint of a run, also where its folder was moved to.

        Lightning would forget its score then, and write the next epoch over it, however bad.
        """
        assert self.dirpath is not None
        folder = Path(self.dirpath)
        if (folder / Path(state_dict["best_model_path"]).name).is_file():
            paths = {name: _moved(state_dict[name], folder) for name in _PATHS if name in state_dict}
            scores = {_moved(path, folder): score for path, score in state_dict.get("best_k_models", {}).items()}
            state_dict = {**state_dict, **paths, "best_k_models": scores, "dirpath": self.dirpath}
        super().load_state_dict(state_dict)

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


def _moved(path: str, folder: Path) -> str:
    return str(folder / Path(path).name) if path else path
