"""Command-line arguments: completed before Hydra reads them, and errors in one line."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from omegaconf import OmegaConf

from deepcr_lightning.console.typed import override, plain_path
from deepcr_lightning.errors import InputError

OVERRIDES = "overrides.yaml"
"""Name of the file in a run's folder that keeps what it was started with."""
_OURS = ("unet", "bce", "calibrated_bce", "adamw")
"""Networks, losses and optimisers of this package: the keys of its tables, which PyTorch comes with."""


def fail(message: str) -> NoReturn:
    """Print a message, write it into the log file as well if there is one, and exit with status 1.

    Parameters
    ----------
    message : str
        One or two lines: what was found, where, and what to do.
    """
    print(f"error: {message}", file=sys.stderr)
    record = logging.LogRecord("error", logging.ERROR, __file__, 0, message, None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
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
        If the run was started with code of the user's own, which only the command line can name.
    """
    given = {argument.partition("=")[0]: argument.partition("=")[2] for argument in arguments}
    run_dir = Path(plain_path(given.get("ckpt_path", ""))).expanduser().parent.parent
    # Hydra's own record is of the last command, which may have been refused.
    saved = next((file for file in (run_dir / OVERRIDES, run_dir / ".hydra" / OVERRIDES) if file.is_file()), None)
    if not given.get("ckpt_path") or saved is None:
        return list(arguments)
    kept = [str(text) for text in OmegaConf.load(saved)]
    overrides = [override("hydra.run.dir", run_dir), *kept]
    named = [text for text in kept if _names_code(text) and text.partition("=")[0] not in given]
    if named:
        raise InputError(
            f"ckpt_path={given['ckpt_path']}: its run was started with {shlex.join(named)}; nothing is imported "
            "because a file names it, so add that again if it is yours"
        )
    return [text for text in overrides if text.partition("=")[0] not in given] + list(arguments)


def _names_code(override: str) -> bool:
    """Tell whether an override names what Python is to import, or where Hydra is to look for configs that do."""
    name, _, value = override.partition("=")
    name = name.lstrip("+~")
    own = name in ("model.network", "model.loss", "model.optimiser") and value not in _OURS
    return own or "_target_" in override or name.startswith(("hydra", "-"))
