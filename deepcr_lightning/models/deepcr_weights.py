"""Weights in the form of deepCR, read as a network of ours and written from one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.unet import UNet, fold_batch_norm

_BLOCKS = {"inc.conv.conv": "down.0", "down1.mpconv.1.conv": "down.1", "up8.conv.conv": "merge.0"}
_BATCH_NORM_EPS = 1e-5
_IN_HUNDREDS = ("ACS-WFC-F606W-2-4", "ACS-WFC-F606W-2-32", "example_model")
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
        prepares their input (`networks.scale.SCALES`).

    Raises
    ------
    InputError
        If the weights are those of another network.
    """
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{name}.pth: not the weights of a deepCR mask network, which are a dict of tensors")
    plain = {str(key).removeprefix("module."): value for key, value in weights.items()}
    weight_norm = "inc.conv.conv.0.weight_v" in plain
    _require_keys(name, set(plain), weight_norm)
    state = {
        "up.0.weight": plain["up8.up.weight"],
        "up.0.bias": plain["up8.up.bias"],
        "out.weight": plain["outc.conv.weight"],
        "out.bias": plain["outc.conv.bias"],
    }
    try:
        for theirs, ours in _BLOCKS.items():
            for place, index in enumerate((0, 2) if weight_norm else (0, 3)):
                folded = _unweighted(plain, f"{theirs}.{index}") if weight_norm else _unbatched(plain, theirs, index)
                state[f"{ours}.{2 * place}.weight"], state[f"{ours}.{2 * place}.bias"] = folded
        if name in _IN_HUNDREDS:
            state["down.0.0.weight"] = state["down.0.0.weight"] / 100
        net = UNet(2, len(state["down.0.0.bias"]), "none")
        net.load_state_dict(state)
    except (RuntimeError, IndexError, TypeError) as error:
        raise InputError(f"{name}.pth: its tensors do not fit the mask network of deepCR, of any width") from error
    if not all(bool(torch.isfinite(value).all()) for value in net.state_dict().values()):
        raise InputError(f"{name}.pth: some of its weights are NaN or infinite; fetch it again")
    return net, "standard" if weight_norm else "electrons"


def deepcr_state(net: UNet) -> dict[str, Tensor]:
    """Name the weights of a network as the package deepCR does, which gives it its sigmoid.

    Parameters
    ----------
    net : UNet
        A network of depth 2, with or without batch norm.

    Returns
    -------
    dict of Tensor
        What ``deepCR(mask=PATH, hidden=H)`` loads: weight norm of which the weights are what they were.

    Raises
    ------
    InputError
        If the network is of another depth or has group norm.
    """
    if net.depth != 2 or net.contrast or net.fold > 1:
        shape = f"depth {net.depth}, contrast {net.contrast}, fold {net.fold}"
        raise InputError(
            f"a network of {shape} cannot be written for deepCR, which needs depth 2, contrast false and fold 1; "
            "write ONNX instead"
        )
    plain = fold_batch_norm(net)
    weights = {key: value.detach().clone() for key, value in plain.state_dict().items()}
    state = {"up8.up": "up.0", "outc.conv": "out"}
    named = {
        f"{theirs}.{kind}": weights[f"{ours}.{kind}"] for theirs, ours in state.items() for kind in ("weight", "bias")
    }
    for theirs, ours in _BLOCKS.items():
        for index in (0, 2):
            weight = weights[f"{ours}.{index}.weight"]
            length = weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            named[f"{theirs}.{index}.weight_g"] = length
            # A channel that is all zero has no direction; any will do.
            named[f"{theirs}.{index}.weight_v"] = torch.where(length > 0, weight, 1.0)
            named[f"{theirs}.{index}.bias"] = weights[f"{ours}.{index}.bias"]
    return {f"module.{key}": value for key, value in named.items()}


def _require_keys(name: str, found: set[str], weight_norm: bool) -> None:
    wanted = {f"{layer}.{kind}" for layer in ("up8.up", "outc.conv") for kind in ("weight", "bias")}
    optional = set()
    for block in _BLOCKS:
        if weight_norm:
            wanted |= {f"{block}.{at}.{kind}" for at in (0, 2) for kind in ("weight_g", "weight_v", "bias")}
        else:
            wanted |= {f"{block}.{at}.{kind}" for at in (0, 1, 3, 4) for kind in ("weight", "bias")}
            wanted |= {f"{block}.{at}.running_{kind}" for at in (1, 4) for kind in ("mean", "var")}
            optional |= {f"{block}.{at}.num_batches_tracked" for at in (1, 4)}
    parts = [("unexpected", found - wanted - optional), ("missing", wanted - found)]
    told = [f"{word}: {', '.join(sorted(keys)[:4])}{' ...' if len(keys) > 4 else ''}" for word, keys in parts if keys]
    if told:
        raise InputError(f"{name}.pth: not the weights of a deepCR mask network of depth 2 ({'; '.join(told)})")


def _unweighted(weights: dict[str, Tensor], key: str) -> tuple[Tensor, Tensor]:
    direction = weights[f"{key}.weight_v"]
    length = direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return direction * (weights[f"{key}.weight_g"] / length), weights[f"{key}.bias"]


def _unbatched(weights: dict[str, Tensor], block: str, index: int) -> tuple[Tensor, Tensor]:
    norm = f"{block}.{index + 1}"
    gain = weights[f"{norm}.weight"] * torch.rsqrt(weights[f"{norm}.running_var"] + _BATCH_NORM_EPS)
    bias = (weights[f"{block}.{index}.bias"] - weights[f"{norm}.running_mean"]) * gain + weights[f"{norm}.bias"]
    return weights[f"{block}.{index}.weight"] * gain.view(-1, 1, 1, 1), bias
