"""Check that a resumed run has the data of the run that it continues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepcr_lightning.errors import InputError


def require_same_data(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise if a run does not resume with the data that it had.

    Parameters
    ----------
    then, now : mapping
        `batches.datamodule.LabelFreeDataModule.state_dict` of the checkpoint and of this run.

    Raises
    ------
    InputError
        If they differ; the message says in what.
    """
    other = [name for name, value in then.items() if now.get(name) != value]
    if not other:
        return
    if other == ["fingerprint"]:
        raise InputError("ckpt_path: its exposures had the same names but other pixels; resume with the same files")
    told = []
    for name in other:
        if name in ("science", "darks"):
            ours, theirs = set(now[name]), set(then[name])
            more, fewer = len(ours - theirs), len(theirs - ours)
            told.append(f"data.{name} has {more} exposures that it had not, and lacks {fewer}")
        elif name != "fingerprint":
            told.append(f"it had data.{name}={then[name]}, not {now[name]}")
    raise InputError(f"ckpt_path: cannot resume with other data: {'; '.join(told)}; resume with the same")
