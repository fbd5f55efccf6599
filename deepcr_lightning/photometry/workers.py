"""Processes that measure stars side by side."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from threading import Thread

from deepcr_lightning.errors import InputError


def start_workers(workers: int | None) -> Executor:
    """Start processes, which end when the parent does.

    Parameters
    ----------
    workers : int, optional
        One a core by default; with one, everything is done in this process.

    Returns
    -------
    Executor

    Raises
    ------
    InputError
        If the number is below 1.
    """
    number = len(os.sched_getaffinity(0)) if workers is None and hasattr(os, "sched_getaffinity") else workers
    if number is not None and number < 1:
        raise InputError(f"workers={workers}: must be 1 or more")
    if number == 1:
        return ThreadPoolExecutor(1)
    # Forked processes inherit the locks of PyTorch's threads, but not the threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(number, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    # A worker whose parent was killed would wait for work for ever.
    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()
