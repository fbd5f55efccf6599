"""A trained network that finds cosmic rays, with its card."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.card import DataCard, FinderCard
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY, card_of, network_with, read_checkpoint, weights_of
from deepcr_lightning.models.deepcr_weights import deepcr_network
from deepcr_lightning.models.model_file import (
    SHIPPED,
    UNIVERSAL,
    description_of,
    find_model_file,
    read_plain,
    sha256_of,
)
from deepcr_lightning.networks.scale import SCALES, Scale
from deepcr_lightning.networks.unet import UNet, fold_batch_norm
from deepcr_lightning.scores.targets import Target, resolve_threshold

log = logging.getLogger(__name__)

_HIGHEST = 0.9999


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network that finds cosmic rays, and what prediction must know of it.

    Attributes
    ----------
    net : UNet
        The network, in evaluation mode.
    card : FinderCard
        What its checkpoint says of it.
    path : Path
        File of the checkpoint.
    sha256 : str
        SHA-256 of that file.
    """

    net: UNet
    card: FinderCard
    path: Path
    sha256: str

    @property
    def threshold(self) -> float:
        """Default threshold on the map."""
        return self.card.threshold

    @property
    def scale(self) -> Scale:
        """How the network wants a chip."""
        return self.card.scale

    def introduce(self) -> None:
        """Log what the model is, where it came with the package and the user may not have chosen it."""
        if self.path == SHIPPED:
            log.info("Model: universal, trained on simulated cameras in space and on the ground (docs/universal.md)")


def load_model(path: str | Path = UNIVERSAL) -> Model:
    """Load a network from a checkpoint of ours, or from weights in the form of deepCR.

    Batch norm and weight norm are folded into the convolutions, and so is the calibration.

    Parameters
    ----------
    path : str or Path
        ``best.ckpt`` or ``last.ckpt`` of a run, a ``.pth`` of deepCR, or the name of one of them
        (`models.model_file.find_model_file`); the model that comes with the package by default.

    Returns
    -------
    Model
        The network with its card.

    Raises
    ------
    InputError
        If there is no such file, it is neither of the two, or it holds anything but plain values.
    """
    path = find_model_file(path)
    net, card = _read_deepcr(path) if path.suffix == ".pth" else _read_ours(path)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(net.eval(), card, path, sha256_of(path))


def _read_ours(path: Path) -> tuple[UNet, FinderCard]:
    checkpoint = read_checkpoint(path)
    card = card_of(checkpoint, path)
    if not isinstance(card, FinderCard):
        raise InputError(f"ckpt_path={path}: is an inpainting network, not a detector; pass it as fill_ckpt_path=")
    try:
        weights = weights_of(checkpoint)
        scale, shift = card.calibration
        weights["out.weight"], weights["out.bias"] = scale * weights["out.weight"], scale * weights["out.bias"] + shift
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: its weights do not fit the network it describes; the file is damaged") from error
    net = network_with(lambda: UNet(**card.network), weights, path)
    return (fold_batch_norm(net) if net.norm == "batch" else net), card


def _read_deepcr(path: Path) -> tuple[UNet, FinderCard]:
    weights, beside = read_plain(path), description_of(path)
    if beside.is_file():  # an export of ours, which says how it wants its input
        try:
            told = json.loads(beside.read_text())
            card = FinderCard.from_plain(told[DESCRIPTION_KEY])
            if told["sha256"] != sha256_of(path) or card.normalisation not in SCALES:
                raise ValueError("it is of other weights")
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise InputError(f"{beside}: does not describe {path.name}; remove it or export again") from error
        return deepcr_network("", weights)[0], card
    net, normalisation = deepcr_network(path.stem, weights)
    network = {"depth": 2, "hidden": net.hidden, "norm": "none", "contrast": False, "fold": 1}
    return net, FinderCard(network=network, data=DataCard(normalisation=normalisation), closes_gaps=False)


def model_threshold(model: Model, target: Target = None, plateau: float = 1.0) -> float:
    """Choose the threshold for the maps of a model.

    Parameters
    ----------
    model : Model
        The model that makes the maps.
    target : float, str, mapping, optional
        A threshold, or how to choose one (`scores.targets`); the checkpoint's own by default.
    plateau : float
        What its maps are divided by; a number given as `target` is meant on the divided map.

    Returns
    -------
    float
        Threshold on the map.

    Raises
    ------
    InputError
        As `scores.targets.resolve_threshold`.
    """
    if isinstance(target, int | float):
        return resolve_threshold(target, None)
    raw = model.threshold if target is None else resolve_threshold(target, model.card.curves)
    return min(raw / plateau, _HIGHEST)
