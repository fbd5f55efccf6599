"""What a checkpoint says of itself, written and read without executing anything."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import deepcr_lightning
from deepcr_lightning.batches.normalise import SOFTENING
from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.unet import UNet

DESCRIPTION_KEY = "deepcr_lightning"
FORMAT = 1
NORMALISATION = f"stabilised-{SOFTENING:g}"
"""Name of `batches.normalise.normalise`; a checkpoint that names another scale is refused."""


def describe(network: dict[str, Any], threshold: float, calibrated: bool, data: dict[str, Any]) -> dict[str, Any]:
    """Describe a model in plain values.

    Parameters
    ----------
    network : dict
        ``depth``, ``hidden`` and ``norm`` of the `UNet`.
    threshold : float
        Default threshold on the probability.
    calibrated : bool
        Whether the map is a probability (trained with ``calibrated_bce``).
    data : dict
        Filters, label definition and provenance, from the data module.

    Returns
    -------
    dict
        Plain values, so that a checkpoint loads with ``weights_only=True``.
    """
    return {
        "format": FORMAT,
        "version": deepcr_lightning.__version__,
        "network": dict(network),
        "normalisation": NORMALISATION,
        "threshold": float(threshold),
        "calibrated": bool(calibrated),
        "data": data,
    }


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and what prediction must know of it.

    Attributes
    ----------
    net : UNet
        In evaluation mode.
    description : dict
        As `describe` made it.
    path : Path
        The checkpoint.
    sha256 : str
        Of the checkpoint file.
    """

    net: UNet
    description: dict[str, Any]
    path: Path
    sha256: str


def load_model(path: str | Path) -> Model:
    """Load a network from a checkpoint of ours.

    Parameters
    ----------
    path : str or Path
        ``best.ckpt`` or ``last.ckpt`` of a run.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If there is no such file, it is not a checkpoint of ours, or it holds anything but plain values.
    """
    path = Path(path).expanduser()
    checkpoint = read_checkpoint(path)
    description = checkpoint[DESCRIPTION_KEY]
    try:
        net = UNet(**description["network"])
        weights = {k.removeprefix("net."): v for k, v in checkpoint["state_dict"].items() if k.startswith("net.")}
        net.load_state_dict(weights)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path}: its weights do not fit the network it describes; the file is damaged") from error
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(net.eval(), description, path, sha256_of(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint as plain values and see that it is one of ours.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        With the description under `DESCRIPTION_KEY`.

    Raises
    ------
    InputError
        As `load_model`.
    """
    if not path.is_file():
        raise InputError(f"ckpt_path={path}: no such file; a run keeps its checkpoints in outputs/.../checkpoints/")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not a PyTorch checkpoint, or a truncated one; give the best.ckpt of a run")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds pickled code, which is never executed; give a file made by train.py"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a PyTorch checkpoint; give the best.ckpt of a run") from error
    description = checkpoint.get(DESCRIPTION_KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(description, dict):
        raise InputError(f"{path}: a checkpoint of another program; give one made by train.py")
    if description.get("format") != FORMAT or description.get("normalisation") != NORMALISATION:
        made_by = description.get("version")
        raise InputError(f"{path}: made by deepcr-lightning {made_by}, which this version cannot read; train again")
    return checkpoint


def require_same_network(path: Path, settings: Mapping[str, Any]) -> None:
    """See that a checkpoint can go on with the network of a config.

    Parameters
    ----------
    path : Path
        The checkpoint.
    settings : mapping
        With ``depth``, ``hidden`` and ``norm``.

    Raises
    ------
    InputError
        As `load_model`, or if the shapes differ.
    """
    network = read_checkpoint(path)[DESCRIPTION_KEY]["network"]
    other = [f"model.{name}={value}" for name, value in network.items() if settings[name] != value]
    if other:
        raise InputError(f"ckpt_path={path}: was trained with {' '.join(other)}; resume with the same")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
