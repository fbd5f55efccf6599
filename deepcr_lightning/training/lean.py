"""A checkpoint to hand on: weights and description, and nothing of the machine that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepcr_lightning.exposures.exposure import root_of
from deepcr_lightning.training.checkpoint import DESCRIPTION_KEY, read_checkpoint
from deepcr_lightning.training.model_file import sha256_of

_OF_THE_RUN = ("started", "versions", "started_from", "judgement")


def lean_checkpoint(path: Path) -> dict[str, Any]:
    """Take what prediction needs out of a checkpoint of a run.

    Parameters
    ----------
    path : Path
        ``best.ckpt`` or ``last.ckpt``.

    Returns
    -------
    dict
        ``state_dict`` and the description, in which root names stand for the paths of the exposures, and
        ``dark_sha256`` tells the darks that are still there from others of their names.

    Raises
    ------
    InputError
        As `training.checkpoint.load_model`, or if it is no checkpoint of ours.
    """
    checkpoint = read_checkpoint(path)
    description = checkpoint[DESCRIPTION_KEY]
    data = dict(description["data"])
    darks = [Path(file) for file in data["darks"]]
    data["dark_sha256"] = data.get("dark_sha256") or [sha256_of(file) for file in darks if file.is_file()]
    data["darks"] = [root_of(file) for file in darks]
    data["science"] = [root_of(Path(file)) for file in data["science"]]
    weights = {name: value for name, value in checkpoint["state_dict"].items() if name.startswith("net.")}
    # The record of the run names the command, with its paths.
    run = {name: value for name, value in (description.get("run") or {}).items() if name in _OF_THE_RUN}
    return {"state_dict": weights, DESCRIPTION_KEY: {**description, "data": data, "run": run}}
