"""Command-line arguments: completed before Hydra reads them, and errors in one line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deepcr_lightning.console.printable import printable
from deepcr_lightning.console.resumed import saved_overrides
from deepcr_lightning.console.typed import override, plain_path
from deepcr_lightning.errors import InputError

OVERRIDES = "overrides.yaml"
"""Name of the file in a run's folder that keeps what it was started with."""


def fail(message: str) -> NoReturn:
    """Print a message, write it into the log file as well if there is one, and exit with status 1.

    Parameters
    ----------
    message : str
        One or two lines: what was found, where, and what to do.
    """
    message = printable(message)
    print(f"error: {message}", file=sys.stderr)
    record = logging.LogRecord("error", logging.ERROR, __file__, 0, message, None, None)
    wanted, logging.raiseExceptions = logging.raiseExceptions, False  # a full disk may be what the message is about
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
    logging.raiseExceptions = wanted
    raise SystemExit(1)


def fine_tuning_overrides(arguments: Sequence[str]) -> list[str]:
    """Complete the command line of a run that starts from a model: few steps at a low rate, unless it says otherwise.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of the command line.

    Returns
    -------
    list of str
        With ``fine_tuning=default`` beside ``init=``, if that is among them.

    Raises
    ------
    InputError
        If both ``init=`` and ``ckpt_path=`` are.
    """
    given = {argument.partition("=")[0]: argument.partition("=")[2] for argument in arguments}
    if given.get("init", "null") in ("", "null"):
        return list(arguments)
    if given.get("ckpt_path", "null") not in ("", "null"):
        raise InputError("init= starts a run from a model, ckpt_path= resumes a run; give only one of them")
    if "fine_tuning" in given:
        return list(arguments)
    place = next(n for n, argument in enumerate(arguments) if argument.startswith("init="))
    return [*arguments[:place], "fine_tuning=default", *arguments[place:]]  # overrides stand together, flags apart


def resume_overrides(arguments: Sequence[str]) -> list[str]:
    """Complete the command line of a resumed run by that of the run itself.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of the command line.

    Returns
    -------
    list of str
        With ``ckpt_path=RUN/checkpoints/last.ckpt`` among them: the overrides that RUN last trained with, RUN
        as the folder to go on in, and the arguments, which win. Otherwise the arguments as they are.

    Raises
    ------
    InputError
        If the run was started with code of the user's own, or with another option that could run code, which only the
        command line can name (`resumed.saved_overrides`).
    """
    given = {argument.partition("=")[0]: argument.partition("=")[2] for argument in arguments}
    run_dir = Path(plain_path(given.get("ckpt_path", ""))).expanduser().parent.parent
    # Hydra's own record is of the last command, which may have been refused.
    saved = next((file for file in (run_dir / OVERRIDES, run_dir / ".hydra" / OVERRIDES) if file.is_file()), None)
    if not given.get("ckpt_path") or saved is None:
        return list(arguments)
    before = saved_overrides(saved, given)
    folder = [] if "hydra.run.dir" in given else [override("hydra.run.dir", run_dir)]
    return [*folder, *before, *arguments]
