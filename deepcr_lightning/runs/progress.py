"""How a run shows where it is: a bar of the whole run on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)

_FORMAT = "{desc}{percentage:3.0f}%|{bar}| {remaining} left{postfix}"
_PATIENCE = 60.0
"""Seconds between two lines about exposures that are cleaned, where there is no bar."""
_SHOWN = {"train/loss": "loss", "val/average_precision": "average precision"}


class RunProgress(TQDMProgressBar):
    """Lightning's bar, over all epochs of a run, with the time that is left for all of them.

    Where stderr is no terminal there is no bar, and the log gets a line after every epoch instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self._terminal = sys.stderr.isatty()
        self._started, self._first, self._done, self._lock = 0.0, 0, 0, Lock()

    @property
    def is_disabled(self) -> bool:
        """Whether no bar is drawn."""
        return super().is_disabled or not self._terminal

    def _bar(self, what: str, leave: bool) -> Tqdm:
        return Tqdm(
            desc=what, disable=self.is_disabled, leave=leave, dynamic_ncols=True, smoothing=0, bar_format=_FORMAT
        )

    def init_train_tqdm(self) -> Tqdm:
        """Make the bar of a run."""
        return self._bar("Training", leave=True)

    def init_validation_tqdm(self) -> Tqdm:
        """Make the bar of a validation; there is none within a run, whose own bar stands still for a moment."""
        return Tqdm(disable=True) if self.trainer.state.fn == "fit" else self._bar("Validation", leave=False)

    def init_sanity_tqdm(self) -> Tqdm:
        """Show nothing of the first try."""
        return Tqdm(disable=True)

    def init_test_tqdm(self) -> Tqdm:
        """Make the bar of a test."""
        return self._bar("Test", leave=False)

    def init_predict_tqdm(self) -> Tqdm:
        """Make the bar of exposures that are cleaned."""
        return self._bar("Cleaning", leave=False)

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Begin the bar where the run begins: a run that is resumed has some behind it."""
        super().on_train_start()
        self._started, self._first = time.monotonic(), trainer.current_epoch
        total, batches = _epochs(trainer), trainer.num_training_batches
        if total and math.isfinite(batches):
            self.train_progress_bar.total = int(total * batches)
            self.train_progress_bar.initial = self.train_progress_bar.n = int(self._first * batches)

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Name the epoch."""
        self.train_progress_bar.set_description(f"Epoch {_epoch_of(trainer)}")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar on by a batch."""
        bar = self.train_progress_bar
        # The loss is on the accelerator, which nobody waits for at every step.
        if not bar.disable and trainer.global_step % max(1, trainer.log_every_n_steps) == 0:  # type: ignore[attr-defined]
            bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
        bar.update(1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the scores; without a bar, say them."""
        self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
        if self.train_progress_bar.disable:
            scores = ", ".join(f"{name} {value}" for name, value in self.get_metrics(trainer, pl_module).items())
            log.info("Epoch %s: %s%s", _epoch_of(trainer), scores, self._left(trainer))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar of a validation."""
        self.val_progress_bar.close()
        self.reset_dataloader_idx_tracker()

    def on_validation_batch_start(self, *batch: Any) -> None:
        """Keep the name of the bar, without the number of a loader."""
        super().on_validation_batch_start(*batch)
        self.val_progress_bar.set_description("Validation", refresh=False)

    def on_test_batch_start(self, *batch: Any) -> None:
        """Keep the name of the bar, without the number of a loader."""
        super().on_test_batch_start(*batch)
        self.test_progress_bar.set_description("Test", refresh=False)

    def on_predict_batch_start(self, *batch: Any) -> None:
        """Keep the name of the bar, without the number of a loader."""
        super().on_predict_batch_start(*batch)
        self.predict_progress_bar.set_description("Cleaning")

    def on_predict_start(self, *_: Any) -> None:
        """Begin the bar, and the time until the first line."""
        super().on_predict_start(*_)
        self._started = time.monotonic()

    def on_predict_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Move the bar on by an exposure, once it is mapped; without one, say now and then how many are."""
        if isinstance(outputs, Future):
            outputs.add_done_callback(lambda _: self._move_on())
        else:
            self._move_on()

    def _move_on(self) -> None:
        with self._lock:
            self._done += 1
            if not self.is_disabled:
                self.predict_progress_bar.update(1)  # nothing where an interrupt has closed it
            elif time.monotonic() - self._started > _PATIENCE:
                self._started = time.monotonic()
                log.info("%d of %s exposures", self._done, self.total_predict_batches_current_dataloader)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Choose the few numbers that tell how a run goes."""
        found = {shown: trainer.callback_metrics.get(name) for name, shown in _SHOWN.items()}
        return {shown: f"{float(value):.4f}" for shown, value in found.items() if value is not None}

    def _left(self, trainer: pl.Trainer) -> str:
        done, total = trainer.current_epoch + 1, _epochs(trainer)
        if not total:
            return ""
        seconds = (time.monotonic() - self._started) / (done - self._first) * (total - done)
        return f", {Tqdm.format_interval(round(seconds))} left" if seconds else ""


@contextmanager
def above_the_bar() -> Iterator[None]:
    """Let lines of the log and warnings stand above a bar that is drawn, and keep warnings in the log file."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        logging.getLogger("py.warnings").warning("%s: %s", category.__name__, " ".join(str(message).split()))

    with logging_redirect_tqdm(), warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _epochs(trainer: pl.Trainer) -> int:
    return max(0, trainer.max_epochs or 0)


def _epoch_of(trainer: pl.Trainer) -> str:
    total = _epochs(trainer)
    return f"{trainer.current_epoch + 1}/{total}" if total else str(trainer.current_epoch + 1)
