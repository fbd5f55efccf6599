"""What a name means: an entry of a table of ours, one that another package brings, or something of the user's own."""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from deepcr_lightning.errors import InputError

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def find_named(option: str, name: str, table: Mapping[str, Any], group: str | None = None) -> Any:
    """Find what an option names.

    Only what the user types may come here: what a dotted name or an entry point means is imported, and so executed.

    Parameters
    ----------
    option : str
        Option that has the name as its value, for the message of an error.
    name : str
        A key of the table, the name of an entry point, or a name as Python imports it, such as ``mypackage.MyNet``.
        Modules are also looked for in the current folder.
    table : mapping of str to object
        What this package has by a name.
    group : str, optional
        Group of entry points in which other packages offer more.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If there is no such thing, or its module cannot be imported.
    """
    if name in table:
        return table[name]
    brought = {} if group is None else {entry.name: entry for entry in entry_points(group=group)}
    if name in brought:
        return _imported(option, name, brought[name].load, brought[name].value)
    if not _DOTTED.fullmatch(name):
        known = ", ".join([*table, *brought])
        raise InputError(
            f"{option}={name}: must be one of {known}, or the name of your own as Python imports it, such as "
            "mypackage.mymodule.mine"
        )
    module, _, attribute = name.rpartition(".")
    # Behind all others, so that nothing in the folder takes the place of an installed package.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    found = _imported(option, name, lambda: importlib.import_module(module), module)
    if not hasattr(found, attribute):
        near = difflib.get_close_matches(attribute, vars(found), n=1)
        cure = f"; did you mean {module}.{near[0]}?" if near else ""
        raise InputError(f"{option}={name}: {module} has no {attribute}{cure}")
    return getattr(found, attribute)


def first_line(error: Exception) -> str:
    """Write an error of the user's own code in one line: its kind, and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _imported(option: str, name: str, load: Callable[[], Any], place: str) -> Any:
    try:
        return load()
    except Exception as error:  # whatever the user's own code raises
        raise InputError(
            f"{option}={name}: {place} cannot be imported ({first_line(error)}); run from its folder, or install it"
        ) from error
