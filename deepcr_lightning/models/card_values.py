"""Values of a card as a file has them: what is damaged is refused when it is read, and not where it is used."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

_RAREST = 1e-6


def finite(value: Any) -> float:
    """Read a number."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


def share(value: Any) -> float:
    """Read a number from 0 to 1."""
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{number} is not between 0 and 1")
    return number


def prior_share(value: Any) -> float:
    """Read a share of pixels that cosmic rays cover: a millionth at least, and not all."""
    number = float(value)
    if not _RAREST <= number < 1:
        raise ValueError(f"{number} is not a share from {_RAREST:g} to 1")
    return number


def texts(values: Any) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(values, tuple) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is not a list of texts")
    return values


def known(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a check pass what is not known."""
    return lambda value: None if value is None else check(value)
