"""Thresholds in words: auto, a false-positive rate, a completeness, a purity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepcr_lightning.errors import InputError

Target = float | str | Mapping[str, float] | None

_LEAST = 0.01
_NAMES = {"fpr": "false_positive_rate", "completeness": "completeness", "purity": "purity"}
_USAGE = "give a number between 0 and 1, auto, {fpr: 0.001}, {completeness: 0.98} or {purity: 0.95}"


def check_target(target: Target) -> None:
    """Raise if `target` is neither a threshold nor says how to choose one.

    Parameters
    ----------
    target : float, str, mapping or None
        A number in (0, 1), ``"auto"``, or one of ``fpr``, ``completeness`` and ``purity`` with a value in (0, 1).

    Raises
    ------
    InputError
        If it is anything else.
    """
    if target is None or target == "auto":
        return
    value: Any = target
    if isinstance(target, Mapping):
        if len(target) != 1 or next(iter(target)) not in _NAMES:
            raise InputError(f"threshold={_text(target)}: {_USAGE}")
        value = next(iter(target.values()))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise InputError(f"threshold={_text(target)}: {_USAGE}")


def resolve_threshold(target: float | str | Mapping[str, float], curves: Mapping[str, Sequence[float]] | None) -> float:
    """Find the threshold that a target asks for.

    Parameters
    ----------
    target : float, str or mapping
        As for `check_target`. ``auto`` balances completeness and purity: their harmonic mean (F1) is highest.
        ``fpr`` and ``purity`` give the lowest threshold that keeps them, ``completeness`` the highest.
    curves : mapping of str to sequence of float
        ``threshold``, ascending, and what each gives (`scores.truth_free.curves_of`); None where a model has
        none.

    Returns
    -------
    float
        On the probability.

    Raises
    ------
    InputError
        If the target is none, there are no curves, or no threshold reaches it; the message names the closest.
    """
    check_target(target)
    if isinstance(target, int | float):
        return float(target)
    if curves is None:
        raise InputError(f"threshold={_text(target)}: the model has no validation curves; give a number")
    threshold, completeness, purity = (np.asarray(curves[k]) for k in ("threshold", "completeness", "purity"))
    if isinstance(target, str):
        both = completeness + purity
        return float(threshold[np.argmax(np.where(both > 0, 2 * completeness * purity / np.maximum(both, 1e-9), 0))])
    ((name, wanted),) = target.items()
    # A threshold that finds nothing keeps any promise.
    threshold, values = (v[completeness >= _LEAST] for v in (threshold, np.asarray(curves[_NAMES[name]])))
    if not len(values):
        raise InputError(f"threshold={_text(target)}: the network finds nothing in the validation data; give a number")
    reached = np.flatnonzero(values <= wanted if name == "fpr" else values >= wanted)
    if not len(reached):
        best = int(np.argmin(values) if name == "fpr" else np.argmax(values))
        raise InputError(
            f"threshold={_text(target)}: no threshold reaches it on the validation data; the closest is "
            f"{values[best]:.4g}, with threshold={threshold[best]:.4g}"
        )
    return float(threshold[reached[-1] if name == "completeness" else reached[0]])


def _text(target: Any) -> str:
    if isinstance(target, Mapping):
        return "{" + ", ".join(f"{name}: {value}" for name, value in target.items()) + "}"
    return str(target)
