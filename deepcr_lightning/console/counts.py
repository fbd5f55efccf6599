"""Counts in words: one exposure, two exposures."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Put a noun behind a number, in the plural unless it is 1.

    Parameters
    ----------
    count : int
        Number of things.
    noun : str
        What they are, in the singular; its plural ends in ``s``.

    Returns
    -------
    str
        Such as ``"1 exposure"``.
    """
    return f"{count} {noun}{'s' * (count != 1)}"
