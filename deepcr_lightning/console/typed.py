"""What the user typed, as Hydra has to read it: paths with any sign in them, and one line for what it is no option."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

import deepcr_lightning
from deepcr_lightning.console.options import nested_names, option_defaults
from deepcr_lightning.console.printable import require_printable
from deepcr_lightning.errors import InputError

PATHS = {
    "input",
    "output_dir",
    "download_dir",
    "ckpt_path",
    "fill_ckpt_path",
    "init",
    "darks",
    "truth",
    "store_dir",
    "catalogues",
    "dolphot",
    "reference",
    "data.science",
    "data.darks",
    "data.truth",
    "data.groups",
    "data.store_dir",
    "hydra.run.dir",
    "hydra.sweep.dir",
}
"""Options whose value is a path, and not a text in which signs have a meaning."""
_NUMBERS = {"tile", "workers", "port", "max"}
"""Options whose value is a number, though they are null by default."""
_OR_TEXT = {"cloud"}
"""Options that are true or false, or an address."""
_FLAGS = {"--help", "-h", "--hydra-help", "--resolve", "--run", "-r", "--multirun", "-m", "--version"}
_FLAGS_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn"}
_FLAGS_WITH_VALUE |= {"--config-dir", "-cd", "--shell-completion", "-sc", "--experimental-rerun", "--info", "-i"}
_ARCHIVE = "mast:"
_ADDS_CONFIGS = {"--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn"}
_HOME = re.compile(r"(?<=[\[,=])~(?=/|$)")
_PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$)[a-z/][\w./+-]*", re.ASCII | re.I)


def understood(arguments: Sequence[str], command: str) -> list[str]:
    """Complete what the user typed, so that Hydra reads it as it is meant.

    Parameters
    ----------
    arguments : sequence of str
        Command line without the name of the script or command.
    command : str
        Name of the command.

    Returns
    -------
    list of str
        Paths (`PATHS`) and addresses of the archive (``mast:16801?filter=F336W``) stand in quotes where they need
        them, and ``~`` is the home folder. Lists stay lists.

    Raises
    ------
    InputError
        If an argument is no option; the message shows how it is written.
    SystemExit
        After ``--version``, which prints the version of this package.
    """
    arguments = _of_view(arguments) if command == "view" else list(arguments)
    if "--version" in arguments:
        print(f"deepcr-lightning {deepcr_lightning.__version__}")
        raise SystemExit(0)
    for argument in arguments:
        name, _, value = argument.partition("=")
        require_printable(name, value)
    known = option_defaults(command)
    # A folder of the user's may bring configs with options of their own.
    names = [one.partition("=")[0] for one in arguments]
    dotted = any("." in name for name in names) and _ADDS_CONFIGS.isdisjoint(names)
    nested = nested_names(command) if dotted else set()
    sweep = not {"-m", "--multirun"}.isdisjoint(arguments)
    made, value_of_flag = [], False
    for place, argument in enumerate(arguments):
        flag = argument.partition("=")[0]
        if value_of_flag or flag in _FLAGS | _FLAGS_WITH_VALUE:
            value_of_flag = not value_of_flag and argument in _FLAGS_WITH_VALUE
            made.append(argument)
            continue
        after = arguments[place + 1] if place + 1 < len(arguments) else ""
        _require_option(argument, after, known)
        if nested:
            _require_nested(argument, nested)
        made.append(_with_quotes(argument, sweep))
        _require_kind(made[-1], known, sweep)
    return made


def _of_view(arguments: Sequence[str]) -> list[str]:
    """Read a file or folder and ``--no-browser`` as they are typed to programs that show files."""
    made: list[str] = []
    for argument in arguments:
        plain = "=" not in argument and not argument.startswith("-")
        if argument == "--no-browser":
            made.append("browser=false")
        elif plain and _exists(argument) and not (made and made[-1] in _FLAGS_WITH_VALUE):
            made.append(f"input={argument}")
        else:
            made.append(argument)
    return made


def override(name: str, value: object) -> str:
    """Write an option so that Hydra reads its value as it is, whatever signs are in it.

    Parameters
    ----------
    name : str
    value : object

    Returns
    -------
    str
        ``name=value``, in quotes where the value needs them.
    """
    text = str(value)
    if _PLAIN.fullmatch(text):
        return f"{name}={text}"
    escaped = re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + (r"\'" if match[2] else ""), text)
    return f"{name}='{escaped}'"


def _with_quotes(argument: str, sweep: bool) -> str:
    name, _, value = argument.partition("=")
    if value.startswith(_ARCHIVE):
        return override(name, value)
    if name.lstrip("+") in PATHS and not _is_written_out(value, sweep):
        return override(name, os.path.expanduser(plain_path(value)))
    argument = _HOME.sub(str(Path.home()), argument)
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        shown = shlex.quote(override(name, value))
        raise InputError(f"{argument}: cannot be parsed ({reason}); put the value into quotes: {shown}") from None
    return argument


def _is_written_out(value: str, sweep: bool) -> bool:
    """Whether a value is one of several paths, in quotes, or none: what Hydra is to read, and no path as it stands."""
    if _exists(value):
        return False
    several = value[:1] in "[{$" if value else True
    return several or (sweep and "," in value) or value == "null"


def plain_path(value: str) -> str:
    """Read the value of a path option as it was typed, with or without quotes.

    Parameters
    ----------
    value : str
        What stands behind ``=``.

    Returns
    -------
    str
        Quotes and escapes are undone, unless there is a file of that very name.
    """
    if _exists(value):
        return value
    try:
        read = OverridesParser.create().parse_override(f"x={value}").value()
    except HydraException:
        return value
    # What Hydra takes for a number or for a choice is a name all the same.
    return read if isinstance(read, str) else value


def _exists(value: str) -> bool:
    return bool(value) and os.path.exists(os.path.expanduser(value))


def _require_kind(argument: str, known: dict[str, Any], sweep: bool) -> None:
    """Raise if a value is no truth value or no number where the default is one, or several of what is one."""
    name, _, value = argument.partition("=")
    read = OverridesParser.create().parse_override(argument)
    if read.is_sweep_override() and not sweep:
        raise InputError(f"{argument}: put several values in brackets: {shlex.quote(f'{name}=[{value}]')}")
    if read.is_sweep_override() or read.value() is None:
        return
    option, given = name.lstrip("+"), read.value()
    default = 0 if option in _NUMBERS else known.get(option)
    if isinstance(default, bool) and not isinstance(given, bool) and option not in _OR_TEXT:
        raise InputError(f"{argument}: must be true or false")
    # Those of groups may be words as well: trainer.devices=auto.
    if _is_number(default) and not _is_number(given) and "." not in option:
        raise InputError(f"{argument}: must be a number")


def _require_nested(argument: str, nested: set[str]) -> None:
    """Raise if neither a command nor any choice of its groups sets an option such as ``data.sience``."""
    name, _, value = argument.partition("=")
    group = name.partition(".")[0]
    siblings = sorted(option for option in nested if option.startswith(f"{group}."))
    if "." not in name or not name[0].isalpha() or group == "hydra" or not siblings:
        return
    # What is below an option, such as model.settings.width, is for whoever reads that.
    if not any(f"{name}.".startswith(f"{option}.") for option in siblings):
        near = difflib.get_close_matches(name, siblings, n=1)
        cure = f"did you mean {near[0]}={value}?" if near else "--help lists the options"
        raise InputError(f"{argument}: there is no option {name}; {cure}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require_option(argument: str, after: str, known: dict[str, Any]) -> None:
    name, equals, value = argument.partition("=")
    if name.startswith("-"):
        bare = name.lstrip("-")
        value = value if equals else after if after and "=" not in after and not after.startswith("-") else "VALUE"
        near = difflib.get_close_matches(bare, known, n=1)
        raise InputError(f"{name}: options are written as {near[0] if near else bare}={value}; --help lists them")
    if not equals and not argument.startswith("~"):
        raise InputError(
            f"{argument}: options are written as name=value, such as {shlex.quote(override('input', argument))}"
        )
    bare = name.lstrip("+~").partition(".")[0].partition("@")[0].partition("/")[0]
    if bare not in known:
        last = name.lstrip("+~").rpartition(".")[2]  # of predict data.gain=2, as train has it
        near = [option for part in (bare, last) for option in difflib.get_close_matches(part, known, n=1)]
        cure = f"did you mean {near[0]}={value}?" if near else "--help lists the options"
        raise InputError(f"{argument}: there is no option {bare}; {cure}")
