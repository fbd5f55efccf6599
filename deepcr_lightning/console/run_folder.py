"""The folder of a run: one of its own, where it may be written, and none after a command that was refused."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.console.typed import override, plain_path
from deepcr_lightning.errors import InputError

_SHOWS = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}
_COMMANDS = ("train", "predict", "evaluate", "threshold", "download", "view")
_SEVERAL = {"-m", "--multirun"}
_OF_MANY = ("SLURM_PROCID", "LOCAL_RANK")
_NEW: dict[Path, bool] = {}
"""Folders that were not there before this process, and whether their names are ours."""


def with_own_folder(arguments: Sequence[str], command: str) -> tuple[list[str], Path | None]:
    """Give a run a folder that no other run has.

    Parameters
    ----------
    arguments : sequence of str
        Command line.
    command : str
        Name of the command.

    Returns
    -------
    arguments : list of str
        With ``hydra.run.dir=outputs/COMMAND/DATE_TIME``, and a number behind it if another run of this second has that
        one; below the output directory where the current folder cannot be written. As they are where they name a
        folder, where nothing runs, for sweeps, and for processes that share a run, whose config names the folder.
    folder : Path or None
        The folder, made just now.

    Raises
    ------
    InputError
        If neither can be written.
    """
    given = {argument.partition("=")[0]: argument.partition("=")[2] for argument in arguments}
    shared = any(name in os.environ for name in _OF_MANY) or given.get("trainer") == "slurm"
    if "hydra.run.dir" in given:
        wanted = Path(plain_path(given["hydra.run.dir"])).absolute()
        if not wanted.exists():
            _NEW[wanted] = False
    if "hydra.run.dir" in given or shared or not (_SHOWS | _SEVERAL).isdisjoint(given):
        return list(arguments), None
    parent = Path("outputs") / command
    if not os.access(".", os.W_OK):
        if "output_dir" not in given:
            raise InputError(f"{Path.cwd()}: cannot be written; name a folder for the run with hydra.run.dir=")
        parent = Path(plain_path(given["output_dir"])) / "logs"
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    for number in range(1, 1000):
        folder = parent / (stamp if number == 1 else f"{stamp}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be made ({error.strerror}); name another with hydra.run.dir="
            ) from error
        _NEW[folder.absolute()] = True
        # Hydra wants overrides to stand together, apart from flags.
        first = next((n for n, text in enumerate(arguments) if "=" in text and text[0] != "-"), len(arguments))
        return [*arguments[:first], override("hydra.run.dir", folder), *arguments[first:]], folder
    raise InputError(f"{parent}: a thousand runs began in this second; try again")


def discard(folder: Path) -> None:
    """Remove the folder of a run that did nothing, and those above that are ours and empty then.

    Parameters
    ----------
    folder : Path
        Left alone if it was there before, or holds more than the records and the log that every run begins with.
    """
    folder = folder.absolute()
    if folder not in _NEW or not folder.is_dir():
        return
    if all(path.name == ".hydra" or path.suffix == ".log" for path in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # others are in use
            for above in list(folder.parents)[:2] if _NEW[folder] else []:
                if above.name in ("outputs", "logs", *_COMMANDS):
                    above.rmdir()
