"""Figures and report in the folder of a run."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.scores.reliability import Reliability, reliability_without_truth
from deepcr_lightning.training.figures import plot_curves, plot_history, plot_reliability, plot_tiles
from deepcr_lightning.training.fill_figures import plot_filled
from deepcr_lightning.training.inpainter import CosmicRayInpainter
from deepcr_lightning.training.pictures import send_picture
from deepcr_lightning.training.report import REPORT, basis_of_scores, write_report
from deepcr_lightning.training.segmenter import CosmicRaySegmenter


class RunFigures(pl.Callback):
    """Draw history, curves, reliability and validation tiles; show them in a report and to the loggers.

    Of a network that fills, which has no curves, the history and its holes.

    Parameters
    ----------
    folder : str
        Of the run: ``history.png``, ``curves.png``, ``reliability.png`` and ``tiles.png``, or
        ``history.png`` and ``filled.png``, go into ``figures``, ``report.html`` beside it.
    every : int
        Draw at every such epoch, and at the end; the report follows every epoch.

    Raises
    ------
    InputError
        If `every` is below 1.
    """

    def __init__(self, folder: str, every: int = 5) -> None:
        if every < 1:
            raise InputError(f"callbacks.figures.every={every}: must be 1 or more")
        self.folder, self.every = Path(folder), every
        self.history: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.start: dict[str, float] = {}
        self._tiles: tuple[dict[str, Tensor], Tensor] | None = None
        self._drawn = False
        self._curves: dict[str, tuple[dict[str, Tensor], float]] = {}
        self._reliability: dict[str, Reliability] = {}

    def state_dict(self) -> dict[str, Any]:
        """Keep the history for a run that is resumed."""
        return {"history": dict(self.history)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the history of the run that was stopped."""
        # The test side loads the best checkpoint, whose history may be shorter than ours.
        if not self.history:
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
                if isinstance(pl_module, CosmicRayInpainter):
                    batch = pl_module.holes(batch)
                    made = pl_module(*(batch[name] for name in ("image", "known", "saturated", "noise")))
                else:
                    made = pl_module(batch["image"]).float()
                self._tiles, self._drawn = (batch, made), False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the scores of the model that the run starts from, which is validated before the first step."""
        if trainer.state.fn == TrainerFn.VALIDATING and not self.history:
            self.start = {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the scores of the epoch, draw, and write the report."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        values["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        for name, value in values.items():
            if not name.endswith("_step"):
                self.history[name].append((trainer.current_epoch, value))
        if (trainer.current_epoch + 1) % self.every == 0:
            self._draw(trainer, pl_module)
        self.report(trainer, "running")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the last epoch, and send the curves to the loggers."""
        self._draw(trainer, pl_module)
        self._send(trainer, "curves", "reliability")
        self.report(trainer, "finished")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the test side, which the best checkpoint was scored on."""
        if not self.history:
            return
        for name, value in trainer.callback_metrics.items():
            if name.startswith("test/"):
                self.history[name] = [(trainer.current_epoch, float(value))]
        self._draw_scores(trainer, pl_module, "test tiles, best checkpoint")
        self._send(trainer, "curves", "reliability")
        self.report(trainer, "finished")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Say in the report that the run is over."""
        if self.history:
            with suppress(InputError):  # a full disk is the news, not the report
                self.report(trainer, "stopped")

    def report(self, trainer: pl.Trainer, state: str) -> None:
        """Write the report; `state` as in `training.report.write_report`."""
        if trainer.is_global_zero:
            write_report(self.folder / REPORT, state, self.history, trainer.max_epochs, _basis(trainer), self.start)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero or self._tiles is None or self._drawn:
            return
        plot_history(self._picture("history"), self.history, _basis(trainer))
        batch, logits = self._tiles
        self._drawn = True
        if isinstance(pl_module, CosmicRayInpainter):
            plot_filled(self._picture("filled"), batch, logits)
            self._send(trainer, "filled")
            return
        assert isinstance(pl_module, CosmicRaySegmenter)
        probability = torch.sigmoid(pl_module.scale * logits + pl_module.shift)
        plot_tiles(self._picture("tiles"), batch, probability, pl_module.threshold)
        self._send(trainer, "tiles")
        self._draw_scores(trainer, pl_module, "validation tiles")

    def _draw_scores(self, trainer: pl.Trainer, pl_module: pl.LightningModule, side: str) -> None:
        if not trainer.is_global_zero or not isinstance(pl_module, CosmicRaySegmenter) or pl_module.last_labels is None:
            return
        self._curves[side] = (pl_module.last_curves, pl_module.threshold)
        self._reliability[side] = reliability_without_truth(pl_module.last_labels, pl_module.scale, pl_module.shift)
        plot_curves(self._picture("curves"), self._curves, _basis(trainer))
        plot_reliability(self._picture("reliability"), self._reliability, _basis(trainer))

    def _send(self, trainer: pl.Trainer, *names: str) -> None:
        for name in names if trainer.is_global_zero else ():
            if self._picture(name).is_file():
                send_picture(trainer.loggers, self._picture(name), trainer.global_step)

    def _picture(self, name: str) -> Path:
        return self.folder / "figures" / f"{name}.png"


def _basis(trainer: pl.Trainer) -> str:
    return basis_of_scores(trainer.datamodule.truth)  # type: ignore[attr-defined]
