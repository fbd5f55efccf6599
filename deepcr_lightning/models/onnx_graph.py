"""A network with its scale as an ONNX graph, for programs without PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from deepcr_lightning.errors import InputError
from deepcr_lightning.named import first_line
from deepcr_lightning.networks.choice import Network
from deepcr_lightning.networks.own import OwnNetwork

_PYTORCH = "2.9"
"""The first that exports in this way by default; graphs by 2.6 fail on other sizes than that of the example."""


class _Graph(nn.Module):
    def __init__(self, net: Network, apply: Callable[..., Tensor]) -> None:
        super().__init__()
        self.net, self.apply_scale = net, apply

    def forward(self, electrons: Tensor, sky: Tensor, noise: Tensor) -> Tensor:
        return torch.sigmoid(self.net(self.apply_scale(electrons, sky, noise)))


def write_onnx(net: Network, apply: Callable[..., Tensor], path: Path) -> None:
    """Write a network as an ONNX graph from electrons to probability, for images of any size.

    A network of the user's own takes sides in multiples of its step.

    Parameters
    ----------
    net : UNet or OwnNetwork
        In evaluation mode.
    apply : callable
        Takes ``electrons`` (B, 1, H, W), ``sky`` and ``noise`` (B, 1, 1, 1); gives what the network sees
        (`networks.scale.Scale.apply`). It becomes a part of the graph.
    path : Path
        Where the graph is written, whole, with its weights in it.

    Raises
    ------
    InputError
        If PyTorch is too old, if the packages onnx and onnxscript are not installed, or if a network of the user's own
        has no such form.
    """
    if torch.__version__ < _PYTORCH:
        raise InputError(f"ONNX needs PyTorch {_PYTORCH} or newer, and {torch.__version__} is installed")
    side = 8 * net.step
    example = (torch.zeros(2, 1, side, side + 2 * net.step), torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1))
    batch, rows, columns = (torch.export.Dim(name) for name in ("batch", "rows", "columns"))
    own = isinstance(net, OwnNetwork)
    if own and net.step > 1:  # it need not know what to do with other sizes
        rows, columns = net.step * rows, net.step * columns
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
    except Exception as error:  # whatever a network of the user's own cannot be translated for
        if not own:
            raise
        raise InputError(f"{net.name}: cannot be written as ONNX ({first_line(error)})") from error
    assert program is not None
    program.save(str(path), external_data=False)
