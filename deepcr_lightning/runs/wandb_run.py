"""A run in W&B that never stops the training: offline without a login, or where no server answers.

Login and server are looked for first because W&B asks a question at a terminal without a login, and takes 100 s to give
a silent server up.
"""

from __future__ import annotations

import logging
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import shorten

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

log = logging.getLogger(__name__)

_SERVER = "https://api.wandb.ai"
_PATIENCE = 3.0


def start_wandb(make: Callable[..., WandbLogger]) -> WandbLogger:
    """Start a run, online if that works.

    ``WANDB_MODE`` decides if it is set. Otherwise the run is offline without a login, when the server does not answer
    within a few seconds, and when W&B refuses the run; a warning says so.

    Parameters
    ----------
    make : callable
        Makes the logger; takes ``mode``.

    Returns
    -------
    WandbLogger
    """
    if not _is_first():
        return make()
    obstacle = None if os.environ.get("WANDB_MODE") else _obstacle()
    mode = os.environ.get("WANDB_MODE") or ("offline" if obstacle else "online")
    logger = make(mode=mode)
    if mode == "online":
        try:
            _ = logger.experiment
        except Exception as error:  # whatever W&B has against the run, the training goes on
            obstacle = f"wandb refused the run ({shorten(str(error) or type(error).__name__, 100)})"
            logger = make(mode="offline")
    if obstacle:
        log.warning("%s: the run is kept offline; send it later with: %s", obstacle, sync_command(logger))
    return logger


def sync_command(logger: WandbLogger) -> str | None:
    """Say how an offline run is sent to the server; None for any other."""
    run = logger.experiment
    if run.disabled or not run.offline:
        return None
    return f"wandb sync {Path(run.dir).resolve().parent}"


def finish_wandb(loggers: Iterable[Logger], checkpoint: str) -> None:
    """End the runs: the checkpoint becomes an artifact of an online run, an offline one prints how to send it.

    Parameters
    ----------
    loggers : iterable of Logger
    checkpoint : str
        Path of the best checkpoint; empty if there is none.
    """
    for logger in loggers:
        if not isinstance(logger, WandbLogger) or not _is_first():
            continue
        run, later = logger.experiment, sync_command(logger)
        try:
            if checkpoint and not run.disabled and not run.offline:
                run.log_artifact(checkpoint, name=f"checkpoint-{run.id}", type="model", aliases=["best"])
            # The next run of a sweep would go on in this one.
            run.finish()
        except Exception as error:  # the training is done and its files are whole
            log.warning("wandb: %s", error)
        if later:
            log.info("Send the offline run to W&B: %s", later)


def _obstacle() -> str | None:
    if not (os.environ.get("WANDB_API_KEY") or "wandb" in _netrc()):
        return "No wandb login"
    server = os.environ.get("WANDB_BASE_URL", _SERVER)
    return None if answers(server) else f"No answer from the wandb server {server}"


def _is_first() -> bool:
    rank: int = getattr(rank_zero_only, "rank", 0)
    return rank == 0


def _netrc() -> str:
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return path.read_text() if path.is_file() else ""


def answers(server: str) -> bool:
    """Whether an HTTP server answers anything at all within a few seconds.

    Parameters
    ----------
    server : str
        Its address; a proxy that the environment names is used.
    """
    outcome: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(server, timeout=_PATIENCE).close()
        except urllib.error.HTTPError:
            pass
        except (OSError, ValueError):
            return
        outcome.append(True)

    # The look-up of a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(2 * _PATIENCE)
    return bool(outcome)
