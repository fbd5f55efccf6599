"""The inpainting network that deepCR publishes, as a way to fill of benchmarks/inpaint.py."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.prediction.fill import Fill

WEIGHTS = "ACS-WFC-F606W-2-32"
"""The only ones that the package registers."""
ELECTRONS = 100.0
"""Their unit. The package gives them that of the mask network beside them, electrons: they then do less well."""


def published_fill() -> Fill | None:
    """Load the network, or say that the package is not there."""
    if importlib.util.find_spec("deepCR") is None:
        print("deepCR is not installed, its network is left out: pip install 'deepcr-lightning[peers]'")
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package
        from deepCR import deepCR

        network = deepCR(mask="ACS-WFC", inpaint=WEIGHTS)
    network.scale = ELECTRONS

    def fill(
        electrons: NDArray[np.float32], mask: NDArray[np.bool_], usable: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        return np.where(mask, network.inpaint(electrons, mask), electrons).astype(np.float32)

    return fill
