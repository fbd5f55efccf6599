"""Checkpoints as files: plain values with a card among them, read without executing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.card import FORMAT, FillerCard, FinderCard, read_card
from deepcr_lightning.models.model_file import read_plain
from deepcr_lightning.networks.scale import SCALES

Net = TypeVar("Net", bound=nn.Module)
DESCRIPTION_KEY = "deepcr_lightning"
"""Where a checkpoint keeps its card, as plain values."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint as plain values.

    Parameters
    ----------
    path : Path
        File of a checkpoint that train.py or an export made.

    Returns
    -------
    dict
        Plain values, with those of a card (`card_of`) under `DESCRIPTION_KEY`.

    Raises
    ------
    InputError
        If there is no such file, it is not one of this package, it is of another format, or it holds anything but
        plain values.
    """
    checkpoint = read_plain(path)
    description = checkpoint.get(DESCRIPTION_KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(description, dict):
        raise InputError(f"{path}: is a checkpoint of another program; give one made by train.py")
    scale = description.get("normalisation")
    if description.get("format") != FORMAT or not isinstance(scale, str) or scale not in SCALES:
        made_by = description.get("version")
        raise InputError(f"{path}: made by deepcr-lightning {made_by}, which this version cannot read; train again")
    return checkpoint


def card_of(checkpoint: Mapping[str, Any], path: Path) -> FinderCard | FillerCard:
    """Read the card of a checkpoint.

    Parameters
    ----------
    checkpoint : mapping
        Values that `read_checkpoint` gave.
    path : Path
        Its file, for the message of an error.

    Returns
    -------
    FinderCard or FillerCard
        The card; its ``kind`` tells which.

    Raises
    ------
    InputError
        If the card lacks what every card has.
    """
    try:
        return read_card(checkpoint[DESCRIPTION_KEY])
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: its description is damaged ({error}); give another checkpoint") from error


def read_card_of(path: Path) -> FinderCard | FillerCard:
    """Read the card of a checkpoint file; raises as `read_checkpoint` and `card_of` do."""
    return card_of(read_checkpoint(path), path)


class MisfitError(InputError):
    """Weights that do not fit the network they are said to be of."""


def network_with(make: Callable[[], Net], weights: Mapping[str, Tensor], path: Path, described: bool = True) -> Net:
    """Build the network that a card describes, with the weights of its file.

    Parameters
    ----------
    make : callable
        Builds it with weights of its own.
    weights : mapping of str to Tensor
        Weights by their names in the network.
    path : Path
        Their file, for the message of an error.
    described : bool
        Whether the card alone says what is built, which may be larger than any memory; False for networks of the
        user's own, which may look at their weights while they are built.

    Returns
    -------
    nn.Module
        The network, in evaluation mode.

    Raises
    ------
    MisfitError
        If they do not fit it.
    InputError
        If one is not a finite number.
    """
    try:
        if described:
            # Without memory: what a damaged card describes may be larger than any.
            with torch.device("meta"):
                wanted = {name: value.shape for name, value in make().state_dict().items()}
            if wanted != {name: value.shape for name, value in weights.items()}:
                raise ValueError("their shapes differ")
        net = make()
        net.load_state_dict(weights)
    except InputError as error:
        if not described:
            raise
        # Nobody typed these options: it is the file that has them.
        raise InputError(
            f"{path}: describes a network that cannot be made ({error}); give another checkpoint"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise MisfitError(f"{path}: its weights do not fit the network it describes; the file is damaged") from error
    if not all(bool(torch.isfinite(value).all()) for value in net.state_dict().values()):
        raise InputError(f"{path}: some of its weights are NaN or infinite; give another checkpoint")
    return net.eval()


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the weights of the network from a checkpoint, by their names in the network."""
    return {k.removeprefix("net."): v for k, v in checkpoint["state_dict"].items() if k.startswith("net.")}
