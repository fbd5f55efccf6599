"""Errors outside of the work of a command, in a line: Hydra ends in a traceback where it cannot write its settings."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

from hydra.errors import CompactHydraException
from omegaconf import DictConfig
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from deepcr_lightning.console.arguments import fail

OF_DISKS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE", "EAGAIN", "ENOLCK")
    if hasattr(errno, name)  # Windows lacks some
}
"""What the system says of a disk that is full, read-only, locked or broken."""
_FULL = "HYDRA_FULL_ERROR"
_RESOLVING = "InputError raised while resolving interpolation: "

Work = Callable[[DictConfig], Any]


@contextmanager
def hydra_errors_in_a_line() -> Iterator[Callable[[Work], Work]]:
    """Say in a line, with exit status 1, why Hydra could not begin the work of a command, or end it.

    Yields
    ------
    callable
        Marks the work, a function of its config: what that raises is shown with its traceback, as Hydra does, and
        goes on to the caller with ``debug``.
    """
    raised: list[Exception] = []
    debugged: list[Exception] = []

    def marked(work: Work) -> Work:
        @wraps(work)
        def watched(cfg: DictConfig) -> Any:
            try:
                return work(cfg)
            except Exception as error:
                (debugged if cfg.get("debug") else raised).append(error)
                raise

        return watched

    wanted = os.environ.get(_FULL)
    os.environ[_FULL] = "1"  # Hydra raises what it would print
    try:
        yield marked
    except Exception as error:
        if wanted == "1" or any(error is each for each in debugged):
            raise
        _end(error, any(error is each for each in raised))
    finally:
        os.environ.pop(_FULL, None)
        if wanted is not None:
            os.environ[_FULL] = wanted


def _end(error: Exception, of_work: bool) -> NoReturn:
    if isinstance(error, CompactHydraException):
        cause = [error.__cause__] if isinstance(error.__cause__, OmegaConfBaseException) else []
        print(error, *cause, sep="\n", file=sys.stderr)
    elif isinstance(error, InterpolationResolutionError) and str(error).startswith(_RESOLVING) and not of_work:
        fail(str(error).splitlines()[0].removeprefix(_RESOLVING))  # the folder of a run cannot be made
    elif isinstance(error, OSError) and error.errno in OF_DISKS and not of_work:
        where = f"{error.filename}: " if error.filename else ""
        fail(
            f"{where}the settings of the run cannot be written ({error.strerror}); name another folder with "
            "hydra.run.dir= or, for several runs, hydra.sweep.dir="
        )
    else:
        traceback.print_exception(error)
    raise SystemExit(1)
