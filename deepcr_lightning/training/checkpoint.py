"""What a checkpoint says of itself, written and read without executing anything."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import deepcr_lightning
from deepcr_lightning.batches.compose import LABEL_SNR
from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.deepcr_weights import deepcr_network, fold_batch_norm
from deepcr_lightning.networks.holes import RECIPE
from deepcr_lightning.networks.scale import OURS, SCALES, Scale
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.scores.targets import Target, resolve_threshold
from deepcr_lightning.training.model_file import (
    SHIPPED,
    UNIVERSAL,
    description_of,
    find_model_file,
    read_plain,
    sha256_of,
)

log = logging.getLogger(__name__)

DESCRIPTION_KEY = "deepcr_lightning"
FORMAT = 2
FINDER, FILLER = "finder", "filler"
"""What the network of a checkpoint does; older checkpoints, which do not say, find."""
_HIGHEST = 0.9999


def describe(
    network: dict[str, Any],
    threshold: float,
    calibrated: bool,
    data: dict[str, Any],
    curves: dict[str, list[float]] | None = None,
    plateau: float | None = None,
    calibration: tuple[float, float] = (1.0, 0.0),
    run: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a model in plain values.

    Parameters
    ----------
    network : dict
        ``depth``, ``hidden``, ``norm``, ``contrast`` and ``fold`` of the `UNet`.
    threshold : float
        Default threshold on the probability.
    calibrated : bool
        Whether the map is a probability (trained with ``calibrated_bce``).
    data : dict
        Filters, label definition, normalisation and provenance, from the data module.
    curves : dict of list of float, optional
        ``threshold``, ``completeness``, ``purity`` and ``false_positive_rate`` on the validation side.
    plateau : float, optional
        Value at which the map saturates (`scores.truth_free.plateau`).
    calibration : (float, float)
        Scale and shift of the logit (`scores.calibration.fit_scale`); `load_model` puts them into the weights.
    run : dict, optional
        How it was trained (`training.run_record`).

    Returns
    -------
    dict
        Plain values, so that a checkpoint loads with ``weights_only=True``.
    """
    return {
        "format": FORMAT,
        "version": deepcr_lightning.__version__,
        "network": dict(network),
        "normalisation": data.get("normalisation", OURS),
        "gaps": "closed",
        "threshold": float(threshold),
        "calibrated": bool(calibrated),
        "curves": curves,
        "plateau": plateau,
        "calibration": [float(value) for value in calibration],
        "data": data,
        "run": run,
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

    @property
    def threshold(self) -> float:
        """Default threshold on the map."""
        return self.description["threshold"]

    def introduce(self) -> None:
        """Say what the model is, where it came with the package and nobody may have chosen it."""
        if self.path == SHIPPED:
            log.info("Model: universal, trained on simulated cameras in space and on the ground (docs/universal.md)")

    @property
    def closes_gaps(self) -> bool:
        """Whether it was trained on images whose unusable pixels were filled smoothly; older ones were not."""
        return self.description.get("gaps") == "closed"

    @property
    def scale(self) -> Scale:
        """How the network wants a chip."""
        return SCALES[self.description["normalisation"]]


def load_model(path: str | Path = UNIVERSAL) -> Model:
    """Load a network from a checkpoint of ours, or from weights in the form of deepCR.

    Batch norm and weight norm are folded into the convolutions, and so is the calibration.

    Parameters
    ----------
    path : str or Path
        ``best.ckpt`` or ``last.ckpt`` of a run, a ``.pth`` of deepCR, or the name of one of them
        (`training.model_file.find_model_file`); the model that comes with the package by default.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If there is no such file, it is neither of the two, or it holds anything but plain values.
    """
    path = find_model_file(path)
    if path.suffix == ".pth":
        net, description = _read_deepcr(path)
    else:
        net, description = _read_ours(path)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(net.eval(), description, path, sha256_of(path))


def _read_ours(path: Path) -> tuple[UNet, dict[str, Any]]:
    checkpoint = read_checkpoint(path)
    description = checkpoint[DESCRIPTION_KEY]
    if kind_of(description) != FINDER:
        raise InputError(
            f"ckpt_path={path}: is of a network that fills cosmic rays and finds none; predict.py takes it as "
            "fill_ckpt_path="
        )
    try:
        net = UNet(**description["network"])
        weights = weights_of(checkpoint)
        scale, shift = description["calibration"]
        weights["out.weight"], weights["out.bias"] = scale * weights["out.weight"], scale * weights["out.bias"] + shift
        net.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path}: its weights do not fit the network it describes; the file is damaged") from error
    return (fold_batch_norm(net.eval()) if net.norm == "batch" else net), description


def _read_deepcr(path: Path) -> tuple[UNet, dict[str, Any]]:
    weights, beside = read_plain(path), description_of(path)
    if beside.is_file():  # an export of ours, which says how it wants its input
        try:
            told = json.loads(beside.read_text())
            description = told[DESCRIPTION_KEY]
            if told["sha256"] != sha256_of(path) or description["normalisation"] not in SCALES:
                raise ValueError("it is of other weights")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{beside}: does not describe {path.name}; remove it or export again") from error
        return deepcr_network("", weights)[0], description
    net, normalisation = deepcr_network(path.stem, weights)
    data: dict[str, Any] = {"filters": [], "science": [], "darks": [], "label_snr": LABEL_SNR}
    description = describe({"depth": 2, "hidden": net.hidden, "norm": "none"}, 0.5, False, data)
    return net, {**description, "normalisation": normalisation, "gaps": "open"}


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
    checkpoint = read_plain(path)
    description = checkpoint.get(DESCRIPTION_KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(description, dict):
        raise InputError(f"{path}: a checkpoint of another program; give one made by train.py")
    if description.get("format") != FORMAT or description.get("normalisation") not in SCALES:
        made_by = description.get("version")
        raise InputError(f"{path}: made by deepcr-lightning {made_by}, which this version cannot read; train again")
    return checkpoint


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the weights of the network from a checkpoint, by their names in the `UNet`."""
    return {k.removeprefix("net."): v for k, v in checkpoint["state_dict"].items() if k.startswith("net.")}


def kind_of(description: Mapping[str, Any]) -> str:
    """Tell whether the network of a checkpoint finds or fills, from its description: `FINDER` or `FILLER`."""
    return description.get("kind", FINDER)


def model_threshold(model: Model, target: Target = None, plateau: float = 1.0) -> float:
    """Choose the threshold for the maps of a model.

    Parameters
    ----------
    model : Model
    target : float, str, mapping, optional
        A threshold, or how to choose one (`scores.targets`); the checkpoint's own by default.
    plateau : float
        What its maps are divided by; a number given as `target` is meant on the divided map.

    Returns
    -------
    float

    Raises
    ------
    InputError
        As `scores.targets.resolve_threshold`.
    """
    if isinstance(target, int | float):
        return resolve_threshold(target, None)
    raw = model.threshold if target is None else resolve_threshold(target, model.description["curves"])
    return min(raw / plateau, _HIGHEST)


def require_same_network(path: Path, settings: Mapping[str, Any]) -> None:
    """See that a checkpoint can go on with the network of a config.

    Parameters
    ----------
    path : Path
        The checkpoint.
    settings : mapping
        With ``depth``, ``hidden``, ``norm``, ``contrast``, ``fold`` and ``loss``; with ``cleaned_by`` if it is to fill.

    Raises
    ------
    InputError
        As `load_model`, if it is an export or of a network for the other task, or if the shapes or the losses differ.
    """
    checkpoint = read_checkpoint(path)
    if "optimizer_states" not in checkpoint:
        raise InputError(f"ckpt_path={path}: holds weights alone, with which no run can go on; give a last.ckpt")
    kind, network = kind_of(checkpoint[DESCRIPTION_KEY]), checkpoint[DESCRIPTION_KEY]["network"]
    if kind != (FILLER if "cleaned_by" in settings else FINDER):
        cure = "with model=inpaint" if kind == FILLER else "without model=inpaint"
        raise InputError(f"ckpt_path={path}: is of a {kind} of cosmic rays; resume {cure}")
    if kind == FILLER and checkpoint[DESCRIPTION_KEY].get("recipe") != RECIPE:
        raise InputError(f"ckpt_path={path}: is of an earlier version, which saw images in another way; begin anew")
    if kind == FINDER:
        network = {"contrast": False, "fold": 1, **network}  # checkpoints of earlier versions do not say
    other = [f"model.{name}={value}" for name, value in network.items() if settings[name] != value]
    loss = checkpoint.get("hyper_parameters", {}).get("loss")
    if loss != settings.get("loss"):
        other.append(f"loss={loss}")
    if other:
        raise InputError(f"ckpt_path={path}: was trained with {' '.join(other)}; resume with the same")
