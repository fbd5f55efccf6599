"""A trained network that finds cosmic rays, with its card."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.card import DataCard, FinderCard
from deepcr_lightning.models.checkpoint import (
    DESCRIPTION_KEY,
    MisfitError,
    card_of,
    network_with,
    read_checkpoint,
    weights_of,
)
from deepcr_lightning.models.deepcr_weights import deepcr_network
from deepcr_lightning.models.model_file import (
    OF_HUBBLE,
    SHIPPED,
    UNIVERSAL,
    description_of,
    find_model_file,
    read_plain,
    sha256_of,
)
from deepcr_lightning.networks.choice import NETWORKS, Choice, Network, described, is_named, make_network, name_of
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
    net : UNet or OwnNetwork
        The network, in evaluation mode.
    card : FinderCard
        What its checkpoint says of it.
    path : Path
        File of the checkpoint.
    sha256 : str
        SHA-256 of that file.
    hubble : Model or None
        What takes its place for exposures of HST, in the model that comes with the package.
    """

    net: Network
    card: FinderCard
    path: Path
    sha256: str
    hubble: Model | None = None

    @property
    def parts(self) -> tuple[Model, ...]:
        """The model, and what takes its place for some exposures."""
        return (self,) if self.hubble is None else (self, self.hubble)

    def __repr__(self) -> str:
        return f"Model({self.path.name}: {described(self.net)}, threshold {self.threshold:.3g})"

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
        if self.hubble is not None:
            log.info(
                "Model: universal, trained on simulated cameras; %s for exposures of HST, %s for others "
                "(docs/reference/universal.md)",
                self.hubble.path.name,
                self.path.name,
            )


def load_model(path: str | Path = UNIVERSAL, network: Choice | None = None) -> Model:
    """Load a network from a checkpoint of ours, or from weights in the form of deepCR.

    Batch norm and weight norm are folded into the convolutions, and so is the calibration.

    Parameters
    ----------
    path : str or Path
        ``best.ckpt`` or ``last.ckpt`` of a run, a ``.pth`` of deepCR, or the name of one of them
        (`models.model_file.find_model_file`); the model that comes with the package by default.
    network : str or callable, optional
        For a model whose network is the user's own: its name, such as ``mypackage.MyNet``, or its class. The checkpoint
        says which it was, but nothing is imported because a file names it.

    Returns
    -------
    Model
        The network with its card.

    Raises
    ------
    InputError
        If there is no such file, it is neither of the two, it holds anything but plain values, or `network` is not what
        it was trained with.
    """
    path = find_model_file(path)
    if path.suffix == ".pth" and network is not None:
        raise InputError(f"network={name_of(network)}: {path.name} is of deepCR; leave network= out")
    net, card = _read_deepcr(path) if path.suffix == ".pth" else _read_ours(path, network)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    hubble = load_model(SHIPPED[OF_HUBBLE]) if path == SHIPPED[UNIVERSAL] else None
    return Model(net.eval(), card, path, sha256_of(path), hubble)


def _read_ours(path: Path, network: Choice | None) -> tuple[Network, FinderCard]:
    checkpoint = read_checkpoint(path)
    card = card_of(checkpoint, path)
    if not isinstance(card, FinderCard):
        raise InputError(f"ckpt_path={path}: is an inpainting network, not a detector; pass it as fill_ckpt_path=")
    chosen = _chosen(path, card, network)
    try:
        net = network_with(lambda: make_network(chosen, card.network), weights_of(checkpoint), path, chosen in NETWORKS)
        net.load_state_dict(net.calibrated(net.state_dict(), *card.calibration))
    except MisfitError as error:
        if chosen in NETWORKS:
            raise
        raise InputError(
            f"{path}: its weights do not fit network={name_of(chosen)}; the network has changed since, or the file "
            "is damaged"
        ) from error
    return (fold_batch_norm(net) if isinstance(net, UNet) and net.norm == "batch" else net), card


def _chosen(path: Path, card: FinderCard, network: Choice | None) -> Choice:
    """Say which network to make: one of ours, or what the user names if the file agrees."""
    recorded = card.network_name
    if recorded in NETWORKS:
        if network is not None and name_of(network) != recorded:
            raise InputError(f"network={name_of(network)}: {path} was trained with {recorded}; leave network= out")
        return recorded
    if network is None:
        raise InputError(
            f"{path}: was trained with {recorded}, which is not a network of this package and is not imported because "
            f"a file names it; if it is yours, add network={recorded}"
        )
    if not is_named(recorded, network):
        raise InputError(f"network={name_of(network)}: {path} was trained with {recorded}; name that")
    return network


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
    return net, FinderCard(
        network=network, data=DataCard(normalisation=normalisation), closes_gaps=False, evens_noise=False
    )


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
