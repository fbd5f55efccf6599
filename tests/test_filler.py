"""The network that fills: what it starts from, and what changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import add_cosmic_rays, scene
from torch import Tensor

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.networks.deepcr_weights import fold_batch_norm
from deepcr_lightning.networks.filler import Filler
from deepcr_lightning.networks.holes import bridge
from deepcr_lightning.networks.scale import denormalise, normalise
from deepcr_lightning.prediction.network_fill import CosmicRayFiller
from deepcr_lightning.training.fill_checkpoint import FillModel

Planes = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def planes() -> Planes:
    """Return a bridged field of stars, its known pixels, and no saturated one."""
    rng = np.random.default_rng(5)
    image = torch.from_numpy(scene((64, 64), rng, stars=30).astype(np.float32))[None, None]
    known = torch.from_numpy(~add_cosmic_rays(np.zeros((64, 64), np.float32), rng, 25))[None, None]
    return bridge(normalise(image, 30.0, 6.0), known), known, torch.zeros_like(known)


def test_the_first_map_is_half_a_bridge_and_half_a_star(planes: Planes) -> None:
    bridged, known, _ = planes
    filled, stars = Filler(2, 4)(*planes, 6.0)
    assert torch.allclose(filled, (bridged + stars) / 2, atol=1e-5)
    assert torch.equal(stars[known], bridged[known])
    fitted = stars != bridged
    assert fitted.any()
    saturated = fitted & (torch.arange(64) < 32)
    _, fewer = Filler(2, 4)(bridged, known, saturated, 6.0)
    left = fitted & ~saturated
    assert torch.equal(fewer[~left], bridged[~left]), "what stars have saturated is not fitted"
    # Fits of fewer pixels at once sum products in another order, which has changed them by 6e-5.
    torch.testing.assert_close(fewer[left], stars[left], rtol=0, atol=1e-3)


def test_batch_norm_is_folded_and_half_precision_is_close(planes: Planes) -> None:
    torch.manual_seed(1)
    net = Filler(2, 8, "batch")
    torch.nn.init.normal_(net.unet.out.weight, std=0.1)
    net(*planes, 6.0)  # leaves its mark on the means of the norm
    expected, _ = net.eval()(*planes, 6.0)
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = net(*planes, 6.0)
    assert half.dtype == torch.float32
    assert torch.allclose(half, expected, atol=0.5)
    net.unet = fold_batch_norm(net.unet)
    assert torch.allclose(net(*planes, 6.0)[0], expected, atol=1e-4)


def test_no_pixel_beyond_a_chip_is_taken_for_known() -> None:
    rng = np.random.default_rng(6)
    image = scene((40, 40), rng, stars=3).astype(np.float32)
    y, x = np.indices(image.shape)
    image += 4e4 * np.exp(-(y**2 + (x - 20.3) ** 2) / 2).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[0:2, 20:22] = True
    net = Filler(2, 4).eval()
    filled = CosmicRayFiller(FillModel(net, {}, Path("net.ckpt"), "0" * 64))(image, mask)
    levels = sky_and_noise(np.where(mask, 0, image), ~mask)
    known = torch.from_numpy(~mask)[None, None]
    bridged = bridge(normalise(torch.from_numpy(image)[None, None], *levels), known)
    with torch.no_grad():
        expected = denormalise(net(bridged, known, torch.zeros_like(known), levels[1])[0], *levels)[0, 0].numpy()
    assert np.allclose(filled[mask], expected[mask], rtol=1e-4)
