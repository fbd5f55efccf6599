"""Figures in the folder of a run."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from deepcr_lightning.training.figures import plot_curves, plot_history, plot_tiles
from deepcr_lightning.training.segmenter import CosmicRaySegmenter


class RunFigures(pl.Callback):
    """Draw the history, the curves and some validation tiles after each validation.

    Parameters
    ----------
    folder : str
        Where ``history.png``, ``curves.png`` and ``tiles.png`` go.
    every : int
        Draw at every such epoch, and at the end.
    """

    def __init__(self, folder: str, every: int = 5) -> None:
        self.folder, self.every = Path(folder), every
        self.history: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._tiles: tuple[dict[str, Tensor], Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Keep the history for a run that is resumed."""
        return {"history": dict(self.history)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the history of the run that was stopped."""
        self.history = defaultdict(list, state_dict["history"])

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        *_: Any,
    ) -> None:
        """Keep the first batch and its map, made with the weights that are being validated."""
        if batch_idx == 0 and trainer.is_global_zero:
            with torch.no_grad():
                self._tiles = (batch, pl_module(batch["image"]).float())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the scores of the epoch and draw."""
        for name, value in trainer.callback_metrics.items():
            if "/" in name and not name.endswith("_step"):
                self.history[name].append((trainer.current_epoch, float(value)))
        if (trainer.current_epoch + 1) % self.every == 0:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw once more."""
        self._draw(trainer, pl_module)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero or self._tiles is None:
            return
        assert isinstance(pl_module, CosmicRaySegmenter)
        plot_history(self.folder / "history.png", self.history)
        plot_curves(self.folder / "curves.png", pl_module.last_curves, pl_module.threshold)
        batch, logits = self._tiles
        probability = torch.sigmoid(pl_module.scale * logits + pl_module.shift)
        plot_tiles(self.folder / "tiles.png", batch, probability, pl_module.threshold)
