"""Text that one line of a header, a table or a log can hold."""

from __future__ import annotations

import unicodedata

from deepcr_lightning.errors import InputError

_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
"""Kinds of signs that no line can hold: control signs, line breaks, and bytes that are no text."""


def require_printable(option: str, text: str) -> None:
    """Raise if a path has signs that headers, tables and logs cannot hold.

    Parameters
    ----------
    option : str
        Name of the option, for the message.
    text : str
        The path.

    Raises
    ------
    InputError
        If it holds a control sign, such as a line break, or bytes that are no text, as of names in Latin-1.
    """
    if any(unicodedata.category(sign) in _UNPRINTABLE for sign in text):
        raise InputError(
            f"{option}={text!a}: this name contains characters that cannot be printed in a line; rename it"
        )


def printable(text: str) -> str:
    r"""Write a text so that names of files in it cannot move the cursor of a terminal, or stop a log.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        With escapes such as ``\x1b`` for what is no printable sign, line feed or tabulator.
    """
    return "".join(sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text)
