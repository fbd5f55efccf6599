"""Whether a checkpoint can go on with the network of a run."""

from __future__ import annotations

from pathlib import Path

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.card import FILLER
from deepcr_lightning.models.checkpoint import card_of, read_checkpoint
from deepcr_lightning.training.module import CosmicRayModule


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
        If the checkpoint cannot be read, contains weights only, is of a network for the other task, or if the shapes
        or the losses differ.
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
    other = [f"model.{name}={value}" for name, value in card.network.items() if model.network.get(name) != value]
    loss = checkpoint.get("hyper_parameters", {}).get("loss")
    if loss != model.hparams.get("loss"):
        other.append(f"loss={loss}")
    if other:
        raise InputError(f"ckpt_path={path}: was trained with {' '.join(other)}; resume with the same")
