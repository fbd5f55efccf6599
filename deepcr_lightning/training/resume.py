"""Whether a checkpoint can go on with the network of a run."""

from __future__ import annotations

from pathlib import Path

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.card import FILLER, FillerCard, FinderCard
from deepcr_lightning.models.checkpoint import card_of, read_checkpoint
from deepcr_lightning.networks.choice import NETWORKS
from deepcr_lightning.training.losses import LOSSES
from deepcr_lightning.training.module import CosmicRayModule
from deepcr_lightning.training.optimiser import ADAMW


def require_same_network(path: Path, model: CosmicRayModule) -> None:
    """Raise if a checkpoint cannot go on with the network of a run.

    Parameters
    ----------
    path : Path
        The checkpoint.
    model : CosmicRayModule
        The network of the run, as its config builds it.

    Raises
    ------
    InputError
        If the checkpoint cannot be read, contains weights only, is of a network for the other task, or if the
        networks, the losses or the optimisers differ.
    """
    checkpoint = read_checkpoint(path)
    if "optimizer_states" not in checkpoint:
        raise InputError(f"ckpt_path={path}: contains weights only and cannot be resumed; use last.ckpt")
    card = card_of(checkpoint, path)
    if card.kind != model.card_class.kind:
        kind, cure = ("an inpainting network", "with") if card.kind == FILLER else ("a detector", "without")
        raise InputError(f"ckpt_path={path}: is {kind}; resume {cure} model=inpaint")
    if card.recipe != model.recipe:
        raise InputError(
            f"ckpt_path={path}: was trained by an earlier version, which prepared images differently; start a new run"
        )
    other = _other_network(card, model)
    kept = checkpoint.get("hyper_parameters", {})
    if kept.get("loss") != model.hparams.get("loss"):
        other.append(f"{'loss' if kept.get('loss') in LOSSES else 'model.loss'}={kept.get('loss')}")
    if kept.get("optimiser", ADAMW) != model.hparams["optimiser"]:
        other.append(f"model.optimiser={kept.get('optimiser', ADAMW)}")
    if other:
        raise InputError(f"ckpt_path={path}: was trained with {' '.join(other)}; resume with the same")


def _other_network(card: FinderCard | FillerCard, model: CosmicRayModule) -> list[str]:
    if isinstance(card, FinderCard):
        if card.network_name != model.network_name:
            return [f"model.network={card.network_name}"]
        if card.network_name not in NETWORKS:
            return [] if card.network == model.network else [f"model.settings={dict(card.network)}"]
    return [f"model.{name}={value}" for name, value in card.network.items() if model.network.get(name) != value]
