"""What a checkpoint of a network that fills says of itself, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deepcr_lightning
from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.deepcr_weights import fold_batch_norm
from deepcr_lightning.networks.filler import Filler
from deepcr_lightning.networks.holes import RECIPE
from deepcr_lightning.training.checkpoint import DESCRIPTION_KEY, FILLER, FORMAT, kind_of, read_checkpoint, weights_of
from deepcr_lightning.training.model_file import sha256_of


def describe_filler(network: dict[str, Any], data: dict[str, Any], run: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe a network that fills in plain values.

    Parameters
    ----------
    network : dict
        ``depth``, ``hidden`` and ``norm`` of the U-Net.
    data : dict
        Filters, normalisation and provenance, from the data module.
    run : dict, optional
        How it was trained (`training.run_record`).

    Returns
    -------
    dict
        Plain values, so that a checkpoint loads with ``weights_only=True``.
    """
    return {
        "format": FORMAT,
        "kind": FILLER,
        "version": deepcr_lightning.__version__,
        "network": dict(network),
        "recipe": RECIPE,
        "normalisation": data["normalisation"],
        "data": data,
        "run": run,
    }


@dataclass(frozen=True, eq=False)
class FillModel:
    """A trained network that fills, and where it came from.

    Attributes
    ----------
    net : Filler
        In evaluation mode.
    description : dict
        As `describe_filler` made it.
    path : Path
        The checkpoint.
    sha256 : str
        Of the checkpoint file.
    """

    net: Filler
    description: dict[str, Any]
    path: Path
    sha256: str


def load_fill_model(path: str | Path) -> FillModel:
    """Load a network that fills cosmic rays.

    Parameters
    ----------
    path : str or Path
        ``best.ckpt`` or ``last.ckpt`` of a run of ``experiment=inpaint``.

    Returns
    -------
    FillModel

    Raises
    ------
    InputError
        If there is no such file, it is of a network that finds cosmic rays, or it holds anything but plain values.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"fill_ckpt_path={path}: no such file; give the best.ckpt of a run of experiment=inpaint")
    checkpoint = read_checkpoint(file)
    description = checkpoint[DESCRIPTION_KEY]
    if kind_of(description) != FILLER:
        raise InputError(
            f"fill_ckpt_path={path}: is of a network that finds cosmic rays and fills none; give the best.ckpt of "
            "experiment=inpaint"
        )
    if description.get("recipe") != RECIPE:
        raise InputError(
            f"fill_ckpt_path={path}: is of an earlier version, which saw images in another way; train it again"
        )
    try:
        net = Filler(**description["network"])
        net.load_state_dict(weights_of(checkpoint))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(f"{file}: its weights do not fit the network it describes; the file is damaged") from error
    net.eval()
    if net.unet.norm == "batch":
        net.unet = fold_batch_norm(net.unet)
    return FillModel(net, description, file, sha256_of(file))
