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
from deepcr_lightning.runs.report import REPORT, basis_of_scores, write_report
from deepcr_lightning.runs.run_figures import plot_curves, plot_history, plot_reliability
from deepcr_lightning.runs.trackers import send_picture
from deepcr_lightning.training.module import CosmicRayModule, Scored


class RunFigures(pl.Callback):
    """Draw history, curves, reliability and validation tiles; show them in a report and to the loggers.

    An inpainting network, which has no curves, gets the history and its holes.

    Parameters
    ----------
    folder : str
        Folder of the run: ``history.png``, ``curves.png``, ``reliability.png`` and ``tiles.png``, or
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
        self._shown: dict[str, Tensor] | None = None
        self._drawn = False
        self._scored: dict[str, Scored] = {}

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
            assert isinstance(pl_module, CosmicRayModule)
            with torch.no_grad():
                self._shown, self._drawn = pl_module.shown(batch), False

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
        """Write the report; `state` as in `runs.report.write_report`."""
        if trainer.is_global_zero:
            write_report(self.folder / REPORT, state, self.history, trainer.max_epochs, _basis(trainer), self.start)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero or self._shown is None or self._drawn:
            return
        assert isinstance(pl_module, CosmicRayModule)
        plot_history(self._picture("history"), self.history, _basis(trainer))
        name = pl_module.draw(self.folder / "figures", self._shown)
        self._drawn = True
        self._send(trainer, name)
        self._draw_scores(trainer, pl_module, "validation tiles")

    def _draw_scores(self, trainer: pl.Trainer, pl_module: pl.LightningModule, side: str) -> None:
        assert isinstance(pl_module, CosmicRayModule)
        scored = pl_module.scored() if trainer.is_global_zero else None
        if scored is None:
            return
        self._scored[side] = scored
        plot_curves(self._picture("curves"), self._scored, _basis(trainer))
        plot_reliability(self._picture("reliability"), self._scored, _basis(trainer))

    def _send(self, trainer: pl.Trainer, *names: str) -> None:
        for name in names if trainer.is_global_zero else ():
            if self._picture(name).is_file():
                send_picture(trainer.loggers, self._picture(name), trainer.global_step)

    def _picture(self, name: str) -> Path:
        return self.folder / "figures" / f"{name}.png"


def _basis(trainer: pl.Trainer) -> str:
    return basis_of_scores(trainer.datamodule.truth)  # type: ignore[attr-defined]
