"""One case of a campaign in a process of its own: bounded in time and memory, whatever it does."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10.0
"""No case may take longer."""
ROOM = 2 << 30
"""Bytes that a case may take beyond what this process has."""
REFUSED, RIGHT = "refused in a line", "right result"
WRONG, CRASHED, HUNG, SWOLLEN = "wrong", "crashed", "over the time", "over the memory"
_PATIENCE = 5
"""Other processes may have the core: a case may take so many times its seconds by the clock."""
_NO_MEMORY = ("Unable to allocate", "MemoryError", "bad_alloc", "can't allocate memory")


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes
    ----------
    kind : str
        `REFUSED` and `RIGHT` survive; the others do not.
    words : str
        The message, or what was wrong.
    seconds : float
        Time of the processor that it took; 0 if nobody measured it.
    """

    kind: str
    words: str
    seconds: float = 0.0

    @property
    def survived(self) -> bool:
        """Whether it is a clear error or a right result."""
        return self.kind in (REFUSED, RIGHT)


def watch(work: Callable[[], object], named: str = "", seconds: float = SECONDS, room: int = ROOM) -> Outcome:
    """Run a case in a fork of this process.

    Parameters
    ----------
    work : callable
        The case. It raises InputError where the input cannot be used, and AssertionError where a result is wrong.
    named : str
        Words that a message of refusal has to hold, such as the path of the file.
    seconds : float
        Limit on the time of the processor; that by the clock is five times as long.
    room : int
        Bytes of memory that it may map beyond what is mapped already.

    Returns
    -------
    Outcome
    """
    reading, writing = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reading)
        _in_the_child(work, named, room, writing)
    os.close(writing)
    said = b""
    while (left := begun + _PATIENCE * seconds - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        block = os.read(reading, 1 << 16)
        if not block:
            break
        said += block
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    _, status, used = os.wait4(child, 0)
    took = used.ru_utime + used.ru_stime
    if took >= seconds or time.monotonic() - begun >= _PATIENCE * seconds:
        return Outcome(HUNG, f"{took:.0f} s of work", took)
    if status or not said:
        return Outcome(CRASHED, f"wait status {status}", took)
    kind, words = json.loads(said)
    return Outcome(SWOLLEN if any(sign in words for sign in _NO_MEMORY) else kind, words, took)


def _in_the_child(work: Callable[[], object], named: str, room: int, writing: int) -> None:
    from deepcr_lightning.errors import InputError

    warnings.simplefilter("ignore")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        work()
        kind, words = RIGHT, ""
    except InputError as error:
        words = str(error)
        kind = REFUSED if len(words.splitlines()) <= 2 and named in words else WRONG
    except AssertionError as error:
        kind, words = WRONG, f"{error or traceback.format_exc()}"
    except BaseException as error:
        where = traceback.extract_tb(sys.exc_info()[2])
        kind, words = CRASHED, f"{type(error).__name__}: {error} at {[f'{s.filename}:{s.lineno}' for s in where][-6:]}"
    os.write(writing, json.dumps([kind, words[:2000]]).encode())
    os._exit(0)
