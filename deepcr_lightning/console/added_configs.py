"""Configs that the user adds with --config-dir: none may have the name of one of ours, which would count instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.console.config_folder import config_folder
from deepcr_lightning.errors import InputError

_FLAGS = ("--config-dir", "-cd")


def refuse_hidden_configs(arguments: Sequence[str]) -> None:
    """Raise if a folder that the user adds has a config that is hidden by one of ours and says something else.

    Parameters
    ----------
    arguments : sequence of str
        Command line.

    Raises
    ------
    InputError
        Names the first of these configs.
    """
    folder = _added(arguments)
    if folder is None:
        return
    ours = config_folder()
    hidden = [
        folder / file.relative_to(ours)
        for file in sorted(ours.rglob("*.yaml"))
        if (folder / file.relative_to(ours)).is_file()
        and (folder / file.relative_to(ours)).read_bytes() != file.read_bytes()
    ]
    if hidden:
        more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
        raise InputError(
            f"{hidden[0]}{more}: deepcr-lightning has a config of this name, which counts instead; rename yours, and "
            "leave out copies of an earlier version"
        )


def _added(arguments: Sequence[str]) -> Path | None:
    for place, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in _FLAGS:
            return Path(value if equals else "".join(arguments[place + 1 : place + 2])).expanduser()
    return None
