"""A trained network that fills, with its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepcr_lightning.errors import InputError
from deepcr_lightning.inpainting.network import Filler
from deepcr_lightning.inpainting.planes import RECIPE
from deepcr_lightning.models.card import FillerCard
from deepcr_lightning.models.checkpoint import card_of, network_with, read_checkpoint, weights_of
from deepcr_lightning.models.model_file import SHIPPED_FILLER, sha256_of
from deepcr_lightning.networks.choice import described
from deepcr_lightning.networks.unet import fold_batch_norm


@dataclass(frozen=True, eq=False)
class FillModel:
    """A trained network that fills, and where it came from.

    Attributes
    ----------
    net : Filler
        The network, in evaluation mode.
    card : FillerCard
        What its checkpoint says of it.
    path : Path
        File of the checkpoint.
    sha256 : str
        SHA-256 of that file.
    """

    net: Filler
    card: FillerCard
    path: Path
    sha256: str

    def __repr__(self) -> str:
        return f"FillModel({self.path.name}: {described(self.net)})"


def load_fill_model(path: str | Path | None = None) -> FillModel:
    """Load a network that fills cosmic rays.

    Parameters
    ----------
    path : str or Path, optional
        ``best.ckpt`` or ``last.ckpt`` of a run of ``experiment=inpaint``; the network that comes with the package by
        default.

    Returns
    -------
    FillModel
        The network with its card.

    Raises
    ------
    InputError
        If there is no such file, its network finds cosmic rays, or it holds anything but plain values.
    """
    file = SHIPPED_FILLER if path is None else Path(path).expanduser()
    if not file.is_file():
        raise InputError(
            f"fill_ckpt_path={file}: no such file; give the best.ckpt of a run of experiment=inpaint; without one the "
            "network that comes with the package is taken"
        )
    checkpoint = read_checkpoint(file)
    card = card_of(checkpoint, file)
    if not isinstance(card, FillerCard):
        raise InputError(
            f"fill_ckpt_path={path}: is a detector, not an inpainting network; give the best.ckpt of a run of "
            "experiment=inpaint"
        )
    if card.recipe != RECIPE:
        raise InputError(
            f"fill_ckpt_path={path}: was trained by an earlier version, which prepared images differently; train it "
            "again"
        )
    try:
        weights = weights_of(checkpoint)
    except (KeyError, AttributeError) as error:
        raise InputError(f"{file}: its weights do not fit the network it describes; the file is damaged") from error
    net = network_with(lambda: Filler(**card.network), weights, file)
    if net.unet.norm == "batch":
        net.unet = fold_batch_norm(net.unet)
    return FillModel(net, card, file, sha256_of(file))
