"""Write the outcome of a run into its best checkpoint: its network, or the model that it started from."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY, card_of, read_checkpoint
from deepcr_lightning.models.model import Model
from deepcr_lightning.networks.unet import UNet
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
    card = card_of(checkpoint, best)
    if not judgement.kept:
        assert start is not None
        checkpoint = {key: value for key, value in checkpoint.items() if key not in _OF_A_RESUMED_RUN}
        # The weights of a model that was loaded have the calibration in them.
        network = {**start.card.network, **({"norm": start.net.norm} if isinstance(start.net, UNet) else {})}
        card = replace(start.card, network=network, calibration=(1.0, 0.0), run=card.run)
        weights = {f"net.{name}": value for name, value in start.net.state_dict().items()}
        checkpoint |= {"state_dict": weights, "epoch": -1, "global_step": 0}
    card = replace(card, run={**(card.run or {}), JUDGEMENT: asdict(judgement)})
    checkpoint[DESCRIPTION_KEY] = card.to_plain()
    write_atomically(best, lambda partial: torch.save(checkpoint, partial))
