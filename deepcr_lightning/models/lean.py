"""A checkpoint to hand on: weights and card, and nothing of the machine that made it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from deepcr_lightning.exposures.exposure import root_of
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY, card_of, read_checkpoint
from deepcr_lightning.models.model_file import sha256_of

_OF_THE_RUN = ("started", "versions", "started_from", "judgement")


def lean_checkpoint(path: Path) -> dict[str, Any]:
    """Take what prediction needs out of a checkpoint of a run.

    Parameters
    ----------
    path : Path
        ``best.ckpt`` or ``last.ckpt`` of a run.

    Returns
    -------
    dict
        ``state_dict`` and the card, in which root names stand for the paths of the exposures, and ``dark_sha256``
        tells the darks that are still there from others of their names.

    Raises
    ------
    InputError
        As `models.checkpoint.read_checkpoint`.
    """
    checkpoint = read_checkpoint(path)
    card = card_of(checkpoint, path)
    darks = [Path(file) for file in card.data.darks]
    data = replace(
        card.data,
        dark_sha256=card.data.dark_sha256 or tuple(sha256_of(file) for file in darks if file.is_file()),
        darks=tuple(root_of(file) for file in darks),
        science=tuple(root_of(Path(file)) for file in card.data.science),
    )
    weights = {name: value for name, value in checkpoint["state_dict"].items() if name.startswith("net.")}
    # The record of the run names the command, with its paths.
    run = {name: value for name, value in (card.run or {}).items() if name in _OF_THE_RUN}
    return {"state_dict": weights, DESCRIPTION_KEY: replace(card, data=data, run=run).to_plain()}
