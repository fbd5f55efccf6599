"""How much arithmetic a step of training is, and how much of it a processor can do in a second."""

from __future__ import annotations

import time
from statistics import median

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from deepcr_lightning.training.segmenter import CosmicRaySegmenter

MATRIX = 3072
"""Rows and columns of the matrices that are multiplied."""


def flops(model: CosmicRaySegmenter, batch: dict[str, Tensor]) -> float:
    """Count the floating-point operations of a step, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        model.loss(model(batch["image"]), batch["cr_mask"], batch["ignore"], batch["dark_share"]).backward()
    return counter.get_total_flops()


def matrix_peak(device: torch.device) -> float:
    """Gflop/s of a large matrix product in the precision that training multiplies in."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        product = a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        del product
    return 2 * MATRIX**3 / median(seconds[1:]) / 1e9
