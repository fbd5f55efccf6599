"""Pictures of a run to the loggers that show pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib.image
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger


def send_picture(loggers: Iterable[Logger], path: Path, step: int) -> None:
    """Send a PNG to TensorBoard and to W&B; other loggers take none.

    Parameters
    ----------
    loggers : iterable of Logger
    path : Path
        Of the PNG; its stem names it, below ``figures/``.
    step : int
        Of the optimiser.
    """
    name = f"figures/{path.stem}"
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, matplotlib.image.imread(path), step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [str(path)], step)
