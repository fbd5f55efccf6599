"""Weights that deepCR publishes, as a network of ours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.unet import UNet

_BLOCKS = {"inc.conv.conv": "down.0", "down1.mpconv.1.conv": "down.1", "up8.conv.conv": "merge.0"}
_BATCH_NORM_EPS = 1e-5
_IN_HUNDREDS = ("ACS-WFC-F606W-2-4", "ACS-WFC-F606W-2-32")
"""Weights that take hundreds of electrons, as the package registers them."""


def deepcr_network(name: str, weights: Any) -> tuple[UNet, str]:
    """Make a network of the mask weights that deepCR publishes (Zhang & Bloom 2020; BSD-3-Clause).

    Weight norm and batch norm are folded into the convolutions, and so is the unit of the input.

    Parameters
    ----------
    name : str
        Name of the weights in the package, such as ``WFC3-UVIS``.
    weights : dict of Tensor
        State dict of a deepCR mask network of depth 2, of any width.

    Returns
    -------
    net : UNet
        Without norms; its logits go through the sigmoid that deepCR's network ends with.
    normalisation : str
        ``standard`` for weights with weight norm, ``electrons`` for those with batch norm, as the package
        prepares their input (`batches.normalise.SCALES`).

    Raises
    ------
    InputError
        If the weights are those of another network.
    """
    try:
        plain = {key.removeprefix("module."): value for key, value in weights.items()}
        weight_norm = "inc.conv.conv.0.weight_v" in plain
        state = {
            "up.0.weight": plain["up8.up.weight"],
            "up.0.bias": plain["up8.up.bias"],
            "out.weight": plain["outc.conv.weight"],
            "out.bias": plain["outc.conv.bias"],
        }
        for theirs, ours in _BLOCKS.items():
            for place, index in enumerate((0, 2) if weight_norm else (0, 3)):
                folded = _unweighted(plain, f"{theirs}.{index}") if weight_norm else _unbatched(plain, theirs, index)
                state[f"{ours}.{2 * place}.weight"], state[f"{ours}.{2 * place}.bias"] = folded
        if name in _IN_HUNDREDS:
            state["down.0.0.weight"] = state["down.0.0.weight"] / 100
        net = UNet(2, len(state["down.0.0.bias"]), "none")
        net.load_state_dict(state)
    except (KeyError, AttributeError, RuntimeError, TypeError) as error:
        raise InputError(f"{name}.pth: not the weights of a deepCR mask network of depth 2") from error
    return net, "standard" if weight_norm else "electrons"


def _unweighted(weights: dict[str, Tensor], key: str) -> tuple[Tensor, Tensor]:
    direction = weights[f"{key}.weight_v"]
    length = direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return direction * (weights[f"{key}.weight_g"] / length), weights[f"{key}.bias"]


def _unbatched(weights: dict[str, Tensor], block: str, index: int) -> tuple[Tensor, Tensor]:
    norm = f"{block}.{index + 1}"
    gain = weights[f"{norm}.weight"] * torch.rsqrt(weights[f"{norm}.running_var"] + _BATCH_NORM_EPS)
    bias = (weights[f"{block}.{index}.bias"] - weights[f"{norm}.running_mean"]) * gain + weights[f"{norm}.bias"]
    return weights[f"{block}.{index}.weight"] * gain.view(-1, 1, 1, 1), bias
