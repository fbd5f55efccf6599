"""A training run from its first step to its end, or to a stop that says how to go on."""

from __future__ import annotations

import logging
import os
import shlex
import signal
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.exceptions import SIGTERMException
from pytorch_lightning.utilities.memory import is_oom_error

from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.console.typed import override
from deepcr_lightning.errors import InputError
from deepcr_lightning.training.batch_size import largest_batch
from deepcr_lightning.training.inpainter import CosmicRayInpainter
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

log = logging.getLogger(__name__)

_MOST_TILES = 1024
_STEPS_AN_EPOCH = 8


def fit(
    trainer: pl.Trainer,
    model: CosmicRaySegmenter | CosmicRayInpainter,
    data: LabelFreeDataModule,
    ckpt_path: str | None = None,
    find_batch_size: bool = False,
) -> None:
    """Train, and say how to go on if the run is stopped or runs out of memory.

    Parameters
    ----------
    trainer : Trainer
        With a `training.checkpoint_io.RunCheckpoint`.
    model : CosmicRaySegmenter or CosmicRayInpainter
    data : LabelFreeDataModule
    ckpt_path : str, optional
        Checkpoint to go on from.
    find_batch_size : bool
        Take the largest batch that the accelerator has memory for, in place of ``data.batch_size``.

    Raises
    ------
    InputError
        If memory runs out; the message names the batch size to try.
    SystemExit
        With 130 after an interrupt and 143 after SIGTERM, as shells have it.
    """
    if find_batch_size:
        _require_gpu(trainer)
        # Once the tiles are where they stay: what they take of its memory is not free for a batch.
        find = LambdaCallback(setup=lambda *_: _take_largest_batch(trainer, model, data))
        trainer.callbacks.append(find)  # type: ignore[attr-defined]
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
    log.info("The job was requeued: it goes on from %s", last)
    return str(last)


def _require_gpu(trainer: pl.Trainer) -> None:
    if trainer.strategy.root_device.type != "cuda":
        raise InputError(
            "trainer.find_batch_size=true: needs a GPU; memory does not limit the batch of a CPU, 4 to 16 serve well"
        )


def _take_largest_batch(
    trainer: pl.Trainer, model: CosmicRaySegmenter | CosmicRayInpainter, data: LabelFreeDataModule
) -> None:
    if trainer.state.fn != TrainerFn.FITTING:
        return
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(str(trainer.precision))
    most = max(1, (data.tiles_per_epoch or _MOST_TILES) // _STEPS_AN_EPOCH)
    device = trainer.strategy.root_device
    net = model.net.unet if isinstance(model, CosmicRayInpainter) else model.net
    found = largest_batch(net.to(device), data.tile_size, most, device, half)
    # The finder, bridges and fits of stars work on the same batch.
    data.batch_size = max(1, found // 2) if isinstance(model, CosmicRayInpainter) else found
    log.info("Batches of %d tiles; at most %d, for %d steps an epoch", data.batch_size, most, _STEPS_AN_EPOCH)


def _say_how_to_go_on(trainer: pl.Trainer) -> None:
    checkpoint = trainer.checkpoint_callback
    last = Path(getattr(checkpoint, "dirpath", None) or ".") / "last.ckpt"
    if trainer.is_global_zero and last.is_file():
        again = shlex.quote(override("ckpt_path", last))
        log.warning("Stopped in epoch %d; go on with: python train.py %s", trainer.current_epoch, again)
