"""The inpainting networks that come with deepCR, as ways to fill of benchmarks/inpaint.py."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deepcr_lightning.prediction.fill import Fill

ELECTRONS = 100.0
"""Their unit (Zhang & Bloom 2020, table 3). The package gives them that of the mask network beside them."""
# Pixels that the sides of an image must be a multiple of.
_STEP = 4


def published_fills() -> dict[str, Fill]:
    """Load both networks, trained on ACS/WFC in F606W, or say that the package is not there."""
    if importlib.util.find_spec("deepCR") is None:
        print("deepCR is not installed, its networks are left out: pip install 'deepcr-lightning[peers]'")
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package
        from deepCR.unet_batchnorm import UNet2BatchNorm, UNet3BatchNorm
        from learned_models import default_model_path
    networks = {"2-32": UNet2BatchNorm(2, 1, 32), "3-32": UNet3BatchNorm(2, 1, 32)}
    for shape, network in networks.items():
        file = Path(default_model_path) / f"inpaint/ACS-WFC-F606W-{shape}.pth"
        weights = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict({key.removeprefix("module."): value for key, value in weights.items()})
        network.eval()
    return {f"deepCR-{shape}": _fill(network) for shape, network in networks.items()}


def _fill(network: torch.nn.Module) -> Fill:
    def fill(electrons: NDArray[np.float32], mask: NDArray[np.bool_], usable: NDArray[np.bool_]) -> NDArray[np.float32]:
        # Unusable pixels are holes to it, too: every other way is told of them.
        beyond = [(0, -length % _STEP) for length in mask.shape]
        hole = torch.from_numpy(np.pad(mask | ~usable, beyond, mode="symmetric"))[None, None]
        known = np.where(usable, electrons, 0) / np.float32(ELECTRONS)
        image = torch.from_numpy(np.pad(known, beyond, mode="symmetric"))[None, None]
        with torch.inference_mode():
            made = network(torch.cat([torch.where(hole, 0, image), hole.float()], dim=1))[0, 0]
        rows, columns = mask.shape
        return np.where(mask, made.numpy()[:rows, :columns] * ELECTRONS, electrons).astype(np.float32)

    return fill
