"""What the user should know of how a file was read: a warning, the same words once."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

_SAID: set[str] = set()


def remark(where: str, text: str, level: int = logging.WARNING) -> None:
    """Log something about a file, unless the same was said of an earlier one.

    Parameters
    ----------
    where : str
        Name of the file, or what else it is about.
    text : str
        What the user should know. A survey of one camera hears it once.
    level : int
        Level of `logging`.
    """
    if text not in _SAID:
        _SAID.add(text)
        once = " (said once)" if level >= logging.WARNING else ""
        log.log(level, "%s: %s%s", where, text, once)


def forget_remarks() -> None:
    """Let every remark be made once more."""
    _SAID.clear()
