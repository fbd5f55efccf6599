"""What the best checkpoint of a run holds in the end: its network, or the one that it started from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.training.checkpoint import DESCRIPTION_KEY, Model, read_checkpoint
from deepcr_lightning.training.judgement import Judgement

JUDGEMENT = "judgement"
"""Where the record of a run in its checkpoint says what came of it."""
_OF_A_RESUMED_RUN = (
    "callbacks",
    "loops",
    "lr_schedulers",
    "optimizer_states",
    "current_model_state",
    "averaging_state",
)


def settle(best: Path, judgement: Judgement, start: Model | None) -> None:
    """Write into the best checkpoint of a run what came of it.

    Parameters
    ----------
    best : Path
    judgement : Judgement
        Where it says so, the weights and the description of the model that the run started from take the place of those
        of the run; nothing can be resumed from it then.
    start : Model, optional
        The model that the run started from.
    """
    checkpoint = read_checkpoint(best)
    if not judgement.kept:
        assert start is not None
        checkpoint = {key: value for key, value in checkpoint.items() if key not in _OF_A_RESUMED_RUN}
        description, run = start.description, checkpoint[DESCRIPTION_KEY]["run"]
        network = {**description["network"], "norm": start.net.norm}
        # Its weights have the calibration in them.
        folded = {**description, "network": network, "calibration": [1.0, 0.0], "run": run}
        weights = {f"net.{name}": value for name, value in start.net.state_dict().items()}
        checkpoint |= {"state_dict": weights, "epoch": -1, "global_step": 0, DESCRIPTION_KEY: folded}
    description = checkpoint[DESCRIPTION_KEY]
    description["run"] = {**(description["run"] or {}), JUDGEMENT: asdict(judgement)}
    write_atomically(best, lambda partial: torch.save(checkpoint, partial))
