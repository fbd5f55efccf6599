"""A training run from start to end, or to a stop that says how to resume it."""

from __future__ import annotations

import logging
import os
import shlex
import signal
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException
from pytorch_lightning.utilities.memory import is_oom_error

from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.console.typed import override
from deepcr_lightning.errors import InputError
from deepcr_lightning.training.module import CosmicRayModule

log = logging.getLogger(__name__)


def fit(
    trainer: pl.Trainer,
    model: CosmicRayModule,
    data: LabelFreeDataModule,
    ckpt_path: str | None = None,
) -> None:
    """Train, and say how to go on if the run is stopped or runs out of memory.

    Parameters
    ----------
    trainer : Trainer
        With a `training.checkpoint_io.RunCheckpoint`.
    model : CosmicRayModule
    data : LabelFreeDataModule
    ckpt_path : str, optional
        Checkpoint to go on from.

    Raises
    ------
    InputError
        If memory runs out; the message names the batch size to try.
    SystemExit
        With 130 after an interrupt and 143 after SIGTERM, as shells have it.
    """
    try:
        trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    except SIGTERMException:
        _say_how_to_go_on(trainer)
        raise SystemExit(128 + signal.SIGTERM) from None
    except (SystemExit, KeyboardInterrupt):  # Lightning ends with the first after an interrupt
        _say_how_to_go_on(trainer)
        raise SystemExit(128 + signal.SIGINT) from None
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        smaller = data.batch_size // 2
        cure = f"try data.batch_size={smaller}" if smaller else "try data.tile_size=128 or a smaller model.hidden"
        raise InputError(f"out of memory with data.batch_size={data.batch_size}: {cure}") from error


def checkpoint_of_requeued_job(run_dir: Path) -> str | None:
    """Find what a job of SLURM that was requeued goes on from.

    Parameters
    ----------
    run_dir : Path
        The folder of the run, the same as before the job was stopped.

    Returns
    -------
    str or None
        Its ``last.ckpt``, which what Lightning saved at the last signal replaces if that is newer; None in a job
        that starts for the first time, or has saved nothing yet.
    """
    if not os.environ.get("SLURM_RESTART_COUNT"):
        return None
    last = run_dir / "checkpoints" / "last.ckpt"
    if os.environ.get("SLURM_PROCID", "0") == "0":
        # Lightning would prefer its own, however old. The other tasks do not look at what this one moves.
        at_signals = sorted(run_dir.glob("hpc_ckpt_*.ckpt"), key=lambda path: path.stat().st_mtime)
        for path in at_signals:
            if last.exists() and path.stat().st_mtime < last.stat().st_mtime:
                path.unlink()
            else:
                os.replace(path, last)
    # A run writes it before its first step: without it none has begun.
    if not (any(run_dir.glob("hpc_ckpt_*.ckpt")) or last.exists()):
        return None
    log.info("The job was requeued; it resumes from %s", last)
    return str(last)


def _say_how_to_go_on(trainer: pl.Trainer) -> None:
    checkpoint = trainer.checkpoint_callback
    last = Path(getattr(checkpoint, "dirpath", None) or ".") / "last.ckpt"
    if trainer.is_global_zero and last.is_file():
        module = trainer.lightning_module
        own = module.own_options() if isinstance(module, CosmicRayModule) else {}
        again = shlex.join([override("ckpt_path", last), *(override(name, value) for name, value in own.items())])
        log.warning("Stopped in epoch %d; resume with: deepcr-lightning train %s", trainer.current_epoch, again)
