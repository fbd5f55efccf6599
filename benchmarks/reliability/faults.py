"""A thin layer over calls of the system, which lets one of them fail."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("replace", "rename", "fsync", "chmod", "open", "mkdir", "unlink", "flock", "listdir", "scandir")
"""Functions of `os`, and `fcntl.flock`."""


def break_calls(folder: Path, number: int, after: int, once: bool, seed: int) -> None:
    """Let one kind of call fail in this process, as a network file system may.

    Parameters
    ----------
    folder : Path
        Calls that name a path elsewhere go through.
    number : int
        The error that they raise, as in `errno`.
    after : int
        So many calls go through before.
    once : bool
        Whether only one fails, or all from then on.
    seed : int
        Seed that chooses the kind of call.
    """
    name = random.Random(seed).choice(CALLS)
    # Of a lock these say that another process has it, and that one is waited for.
    once = once or (name == "flock" and number in (errno.EAGAIN, errno.EACCES))
    module: Any = fcntl if name == "flock" else os
    true: Callable[..., Any] = getattr(module, name)
    left = [after]

    def call(*arguments: Any, **named: Any) -> Any:
        first = arguments[0] if arguments else folder
        if not isinstance(first, int) and not f"{os.fspath(first)}/".startswith(f"{folder}/"):
            return true(*arguments, **named)
        left[0] -= 1
        if left[0] == -1 or (left[0] < 0 and not once):
            print(f"(a fault: os.{name} answers {os.strerror(number)})")
            raise OSError(number, os.strerror(number), str(first))
        return true(*arguments, **named)

    setattr(module, name, call)


def slow_calls(rate: float) -> None:
    """Let this process wait for its disk, as long as its files take.

    Parameters
    ----------
    rate : float
        Bytes a second.
    """
    true = os.fsync

    def fsync(descriptor: int) -> None:
        time.sleep(os.fstat(descriptor).st_size / rate)
        true(descriptor)

    os.fsync = fsync
