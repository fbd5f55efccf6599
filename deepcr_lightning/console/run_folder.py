"""The folder of a run: one of its own, where it may be written, and none after a command that was refused."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from deepcr_lightning.console.typed import override, plain_path
from deepcr_lightning.errors import InputError

_SHOWS = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}
_COMMANDS = ("train", "predict", "evaluate", "threshold", "download", "view")
_SEVERAL = {"-m", "--multirun"}
_OF_MANY = ("SLURM_PROCID", "LOCAL_RANK")
_NEW: dict[Path, bool] = {}
"""Folders that were not there before this process, and whether their names are ours."""


def with_writable_folder(arguments: Sequence[str]) -> list[str]:
    """Name a folder for a run where the current one cannot be written, and note which folders the run makes.

    Parameters
    ----------
    arguments : sequence of str
        Command line.

    Returns
    -------
    list of str
        With ``hydra.run.dir=`` below the output directory if the current folder cannot be written. As they are
        where they name a folder, where nothing runs, and for processes that share a run.

    Raises
    ------
    InputError
        If neither can be written.
    """
    given = {argument.partition("=")[0]: argument.partition("=")[2] for argument in arguments}
    if "hydra.run.dir" in given:
        wanted = Path(plain_path(given["hydra.run.dir"])).absolute()
        if not wanted.exists():
            _NEW[wanted] = False
    elif not _shared() and _SHOWS.isdisjoint(given) and not os.access(".", os.W_OK):
        if not _SEVERAL.isdisjoint(given):
            if "hydra.sweep.dir" in given:
                return list(arguments)
            raise InputError(f"{Path.cwd()}: cannot be written; name a folder for the runs with hydra.sweep.dir=")
        if "output_dir" not in given:
            raise InputError(f"{Path.cwd()}: cannot be written; name a folder for the run with hydra.run.dir=")
        folder = new_folder(f"{plain_path(given['output_dir'])}/logs")
        # Hydra wants overrides to stand together, apart from flags.
        first = next((n for n, text in enumerate(arguments) if "=" in text and text[0] != "-"), len(arguments))
        return [*arguments[:first], override("hydra.run.dir", Path(folder)), *arguments[first:]]
    return list(arguments)


def new_folder(parent: str) -> str:
    """Make a folder that no other run has, named by date and time.

    Configs call this as ``${new_folder:outputs/train}``, so that a folder that an experiment names goes before it.

    Parameters
    ----------
    parent : str
        Folder above.

    Returns
    -------
    str
        The folder; with a number behind it if another run of this second has that one. Processes that share a run
        get the name alone.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    if _shared():
        return f"{parent}/{stamp}"
    for number in range(1, 1000):
        folder = Path(parent) / (stamp if number == 1 else f"{stamp}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be created ({error.strerror}); name another with hydra.run.dir="
            ) from error
        _NEW[folder.absolute()] = True
        return str(folder)
    raise InputError(f"{parent}: a thousand runs began in this second; try again")


OmegaConf.register_new_resolver("new_folder", new_folder, use_cache=True)


def _shared() -> bool:
    return any(name in os.environ for name in _OF_MANY)


def discard_unused() -> None:
    """Remove the folders that were made for a run that did not begin."""
    for folder in list(_NEW):
        if folder.is_dir() and not any(folder.iterdir()):
            discard(folder)


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
