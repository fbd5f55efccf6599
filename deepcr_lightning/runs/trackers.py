"""Differences between trackers: how a run is opened, and how a picture is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib.image
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from deepcr_lightning.runs.wandb_run import start_wandb


def _to_tensorboard(logger: Any, name: str, path: Path, step: int) -> None:
    logger.experiment.add_image(name, matplotlib.image.imread(path), step, dataformats="HWC")


STARTS: dict[str, Callable[[Callable[..., Any]], Logger]] = {"wandb": start_wandb}
"""How a run is opened, by the name in the config; others are simply made."""


def open_loggers(makers: Iterable[tuple[str, Callable[..., Logger]]]) -> list[Logger]:
    """Open the run in every tracker.

    Parameters
    ----------
    makers : iterable of (str, callable)
        Name in the config, and what makes the logger.

    Returns
    -------
    list of Logger
        One each.
    """
    return [STARTS[name](make) if name in STARTS else make() for name, make in makers]


def send_picture(loggers: Iterable[Logger], path: Path, step: int) -> None:
    """Send a PNG to the trackers that show pictures.

    Parameters
    ----------
    loggers : iterable of Logger
        Loggers of the run. One of the user's own is sent pictures if it has ``log_image(name, [path], step)``.
    path : Path
        The PNG; its stem names it, below ``figures/``.
    step : int
        Step of the optimiser.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _to_tensorboard(logger, f"figures/{path.stem}", path, step)
        elif hasattr(logger, "log_image"):  # as that of W&B
            logger.log_image(f"figures/{path.stem}", [str(path)], step)
