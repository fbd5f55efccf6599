"""One job of a sweep: it records how it ended, and a failure does not stop the others."""

from __future__ import annotations

import gc
import logging
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.distributed as dist
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, read_write

from deepcr_lightning.console.arguments import fail
from deepcr_lightning.console.command import MENDABLE, in_a_line, prepare
from deepcr_lightning.sweeps.result import DONE, FAILED, RUNNING, SCORE, Result, read_result, write_result

log = logging.getLogger(__name__)

Training = Callable[[DictConfig], tuple[dict[str, float], str]]
"""Trains as a config says and gives the scores of the checkpoint that is kept, and its path, or ``""``."""


def run_job(train: Training, cfg: DictConfig, before: Sequence[str] = ()) -> float:
    """Train as one job of a sweep and leave ``result.json`` in its folder; a job that is done is not repeated.

    Parameters
    ----------
    train : callable
        The work.
    cfg : DictConfig
        Config of the job.
    before : sequence of str
        What stands before the overrides on the command line: the name of the command, or nothing for a script.

    Returns
    -------
    float
        Average precision on the validation side, to be maximised; NaN for a job that failed. What went wrong is
        in ``result.json``, and with its traceback in the job's log where the user cannot correct it.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    overrides = [str(text) for text in HydraConfig.get().overrides.task]
    _settle_in(folder, [*before, *overrides])
    with _alone(folder):
        earlier = read_result(folder)
        if earlier is not None and earlier.status == DONE and list(earlier.overrides) == overrides:
            log.info("Job %s is done", folder.name)
            return math.nan if earlier.score is None else earlier.score
        return _run(train, cfg, folder, overrides)


def _run(train: Training, cfg: DictConfig, folder: Path, overrides: list[str]) -> float:
    # A cluster that preempts a job, or cuts it off, starts it again in its folder, as does the same command after a
    # sweep that was killed: it goes on where it was.
    last = folder / "checkpoints" / "last.ckpt"
    if cfg.ckpt_path is None and last.is_file():
        cfg.ckpt_path = str(last)
    result = Result(folder.name, RUNNING, overrides)
    _leave(folder, result)
    started, environment = time.monotonic(), dict(os.environ)
    try:
        prepare(cfg)
        scores, checkpoint = train(cfg)
        finite = {name: value for name, value in scores.items() if math.isfinite(value)}
        result = replace(result, status=DONE, scores=finite, checkpoint=checkpoint)
        if SCORE in scores and SCORE not in finite:
            result = replace(result, status=FAILED, reason=f"{SCORE} is {scores[SCORE]}: training diverged")
    except MENDABLE as error:
        result = replace(result, status=FAILED, reason=in_a_line(error))
        log.error("Job failed: %s", result.reason)
    except Exception as error:
        log.exception("Job failed")
        result = replace(result, status=FAILED, reason=_told(error))
    except BaseException:
        # Somebody stops the whole sweep: it ends here, and says so.
        result = replace(result, status=FAILED, reason="interrupted")
        raise
    finally:
        _clear_up(environment)
        # A trainer and its parts refer to each other: their tiles and their place on a GPU are the next job's.
        gc.collect()
        _leave(folder, replace(result, seconds=round(time.monotonic() - started, 2)))
    return math.nan if result.score is None else result.score


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for a process that a killed sweep has left at work on this job; of a distributed run one waits for all."""
    if getattr(rank_zero_only, "rank", 0):
        yield
        return
    lock = FileLock(folder / ".job.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        log.info("A process of an earlier command is still at work on job %s; waiting for it", folder.name)
        held = lock.acquire()
    except OSError as error:  # a file system without locks, or one that fails
        fail(f"{folder}: cannot be written ({error.strerror or error})")
    with held:
        yield


def _settle_in(folder: Path, arguments: list[str]) -> None:
    # Processes of the joblib launcher start others in a way of their own, which loaders cannot follow.
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        multiprocessing.set_start_method("fork", force=True)
    # Lightning starts the other processes of a distributed run by the command line: theirs is this job's alone.
    sys.argv[1:] = arguments
    hydra: Any = HydraConfig.get()
    with read_write(hydra):
        hydra.run.dir = str(folder)


def _clear_up(environment: dict[str, str]) -> None:
    # A distributed run leaves its addresses and ranks: the next job of this process would take itself for a part of it.
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]


def _leave(folder: Path, result: Result) -> None:
    if getattr(rank_zero_only, "rank", 0) == 0:
        write_result(folder, result)


def _told(error: Exception) -> str:
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}"
