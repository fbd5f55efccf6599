"""The page that --help shows, made for a terminal of 80 columns."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable

from deepcr_lightning.console.options import Group, Option, read_command

WIDTH, _COLUMN = 80, 26
_FOOTER = """\
Paths need no quotes; a list is written as [a,b], no value as null. Hydra's own
flags work with every command: --cfg job shows all values instead of a run, -m
runs each combination of options such as grow=0,1, --config-dir DIR adds configs
of your own, hydra.run.dir=DIR names the folder of the run, --hydra-help says
more. debug=fdr keeps the traceback of an error."""


def help_page(name: str) -> str:
    """Write what a command does and takes.

    Parameters
    ----------
    name : str
        Name of its config, such as ``"predict"``.

    Returns
    -------
    str
        Lines of at most 80 characters, as far as no word is longer.
    """
    command = read_command(name)
    blocks = [command.sentence, "\n".join(command.usage).strip("\n")]
    blocks += [_part(heading, options) for heading, options in command.parts.items()]
    blocks += [
        _group(group) for group in sorted(command.groups, key=lambda group: bool(group.default))
    ]  # recipes first
    return "\n\n".join([*blocks, _FOOTER])


def show(page: str) -> None:
    """Print a page; a reader such as ``head`` may close the pipe before its end."""
    try:
        print(page, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def in_two_columns(rows: Iterable[tuple[str, str]], column: int = _COLUMN) -> str:
    """Set names on the left and sentences on the right.

    Parameters
    ----------
    rows : iterable of (str, str)
        Names and sentences. A long name stands on a line of its own.
    column : int
        Where the sentences begin.

    Returns
    -------
    str
        Lines of at most 80 characters, as far as no word is longer.
    """
    lines: list[str] = []
    for name, right in rows:
        left = name if len(name) < WIDTH - 2 else f"{name[: WIDTH - 6]}..."
        indent = " " * column
        told = textwrap.wrap(
            right,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        short = len(left) + 4 <= column
        first = f"  {left}".ljust(column) + told[0][column:] if told and short else f"  {left}"
        lines += [first, *(told[1:] if short else told)]
    return "\n".join(lines)


def _part(heading: str, options: list[Option]) -> str:
    return f"{heading}:\n" + in_two_columns((f"{one.name}={one.default}", one.sentence) for one in options)


def _group(group: Group) -> str:
    """Show the choices of a group, and the options of the one that is taken if the user says nothing."""
    usual = f"={group.default.strip('[]')}" if group.default else "="
    heading = f"{group.name}{usual} ({group.sentence}), one of:"
    text = f"{heading}\n{in_two_columns(group.choices.items())}"
    options = group.own_options()
    return text + "\n\n" + _part(f"Options of {group.name}", options) if options else text
