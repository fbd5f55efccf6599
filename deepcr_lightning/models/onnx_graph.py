"""A network with its scale as an ONNX graph, for programs without PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.unet import UNet


class _Graph(nn.Module):
    def __init__(self, net: UNet, apply: Callable[..., Tensor]) -> None:
        super().__init__()
        self.net, self.apply_scale = net, apply

    def forward(self, electrons: Tensor, sky: Tensor, noise: Tensor) -> Tensor:
        return torch.sigmoid(self.net(self.apply_scale(electrons, sky, noise)))


def write_onnx(net: UNet, apply: Callable[..., Tensor], path: Path) -> None:
    """Write a network as an ONNX graph from electrons to probability, for images of any size.

    Parameters
    ----------
    net : UNet
        In evaluation mode.
    apply : callable
        Takes ``electrons`` (B, 1, H, W), ``sky`` and ``noise`` (B, 1, 1, 1); gives what the network sees
        (`networks.scale.Scale.apply`). It becomes a part of the graph.
    path : Path
        Where the graph is written, whole, with its weights in it.

    Raises
    ------
    InputError
        If the packages onnx and onnxscript are not installed.
    """
    side = 4 * 2**net.depth
    example = (torch.zeros(2, 1, side, side + 2**net.depth), torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1))
    batch, rows, columns = (torch.export.Dim(name) for name in ("batch", "rows", "columns"))
    shapes = ({0: batch, 2: rows, 3: columns}, {0: batch}, {0: batch})
    graph = _Graph(net, apply).eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                example,
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=["electrons", "sky", "noise"],
                output_names=["probability"],
                verbose=False,
            )
    except ImportError as error:
        raise InputError("ONNX needs two more packages: pip install 'deepcr-lightning[onnx]'") from error
    assert program is not None
    program.save(str(path), external_data=False)
