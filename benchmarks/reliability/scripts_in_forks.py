"""Scripts of the project in forks of a process that has imported all that they need: a second each, not ten."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 600.0
"""Seconds by the clock after which a script counts as hung."""


def warm_up() -> None:
    """Import what scripts import, so that their forks have it."""
    import hydra.main
    import joblib
    import matplotlib.pyplot
    import optuna
    import pytorch_lightning
    import scipy.ndimage

    import deepcr_lightning.commands.download
    import deepcr_lightning.commands.predict
    import deepcr_lightning.commands.train
    import deepcr_lightning.viewer.saving

    del hydra, joblib, matplotlib, optuna, pytorch_lightning, scipy, deepcr_lightning


def start(work: Callable[[], object], folder: Path, log: Path) -> int:
    """Begin work in a fork; give the number of its process, which leads a group of its own.

    Parameters
    ----------
    work : callable
        The work; its exit status is that of SystemExit, or 99 after another error.
    folder : Path
        Where it is done.
    log : Path
        Gets what it prints.

    Returns
    -------
    int
    """
    sys.stdout.flush()
    with warnings.catch_warnings():
        # Python 3.12 warns where there are threads. Those of here wait for work, and the child wants none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        # Here and in the child, as either may be the first: a signal to the group has to find one.
        with suppress(OSError):
            os.setpgid(child, child)
        return child
    status = 99
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        # Those of now may be a buffer of pytest, and the log would be empty.
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        # Those of pytest make errors of them, here of Lightning's own in its process groups.
        warnings.simplefilter("default")
        work()
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def script(name: str, *arguments: object) -> Callable[[], object]:
    """Make the work of a script, as the command line runs it."""

    def work() -> None:
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()
        sys.argv = [name, *map(str, arguments)]
        runpy.run_path(str(REPOSITORY / name), run_name="__main__")

    return work


def clear(process: int) -> None:
    """Kill what is left of the group that a process led, and has ended."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def end(process: int, after: float | None = None, sign: int = signal.SIGKILL, alone: bool = False) -> int:
    """Wait for a process; give its status, or that of the signal as a negative number.

    Parameters
    ----------
    process : int
        From `start`.
    after : float, optional
        Seconds after which it gets the signal, if it still runs.
    sign : int
        The signal.
    alone : bool
        Whether the process gets it, and none of those that it has started.

    Returns
    -------
    int
    """
    begun, signalled = time.monotonic(), after is None
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        waited = time.monotonic() - begun
        if not signalled and after is not None and waited >= after:
            signalled = True
            (os.kill if alone else os.killpg)(process, sign)
        elif waited > PATIENCE:
            os.killpg(process, signal.SIGKILL)
        time.sleep(0.005)
