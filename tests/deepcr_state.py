"""Weights as the package deepCR keeps them."""

from __future__ import annotations

import torch
from torch import Tensor


def weights_of(norm: str, hidden: int = 4, prefix: str = "module.") -> dict[str, Tensor]:
    """Random weights under the names of the package deepCR."""
    torch.manual_seed(3)
    convolutions = {"inc.conv.conv": (1, 1), "down1.mpconv.1.conv": (1, 2), "up8.conv.conv": (2, 1)}
    state: dict[str, Tensor] = {
        "up8.up.weight": torch.randn(2 * hidden, hidden, 2, 2) / 4,
        "up8.up.bias": torch.randn(hidden),
        "outc.conv.weight": torch.randn(1, hidden, 1, 1),
        "outc.conv.bias": torch.randn(1),
    }
    for name, (inputs, outputs) in convolutions.items():
        first = 1 if name.startswith("inc") else inputs * hidden
        for place, channels in enumerate((first, outputs * hidden)):
            key = f"{name}.{place * (2 if norm == 'weight' else 3)}"
            weight = torch.randn(outputs * hidden, channels, 3, 3) / 5
            state[f"{key}.bias"] = torch.randn(outputs * hidden)
            if norm == "weight":
                state |= {f"{key}.weight_v": weight, f"{key}.weight_g": torch.rand(outputs * hidden, 1, 1, 1) + 0.5}
            else:
                state[f"{key}.weight"] = weight
                after = f"{name}.{place * 3 + 1}"
                for kind in ("weight", "bias", "running_mean", "running_var"):
                    state[f"{after}.{kind}"] = torch.rand(outputs * hidden) + 0.2
                state[f"{after}.num_batches_tracked"] = torch.tensor(7)
    return {prefix + key: value for key, value in state.items()}
