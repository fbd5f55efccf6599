"""The network that fills: what it starts from, and what changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skies import add_cosmic_rays, scene
from torch import Tensor

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.inpainting.fill_model import FillModel
from deepcr_lightning.inpainting.filler import CosmicRayFiller
from deepcr_lightning.inpainting.inpainter import SEEN, CosmicRayInpainter
from deepcr_lightning.inpainting.network import Filler
from deepcr_lightning.inpainting.planes import PARTS, planes_of
from deepcr_lightning.inpainting.star_shapes import shapes_of_stars
from deepcr_lightning.models.card import FillerCard
from deepcr_lightning.networks.scale import denormalise, normalise
from deepcr_lightning.networks.unet import fold_batch_norm

NOISE = 6.0


@pytest.fixture
def field() -> tuple[Tensor, Tensor]:
    """Return a normalised field of stars and its known pixels."""
    rng = np.random.default_rng(5)
    image = torch.from_numpy(scene((64, 64), rng, stars=30).astype(np.float32))[None, None]
    known = torch.from_numpy(~add_cosmic_rays(np.zeros((64, 64), np.float32), rng, 25))[None, None]
    return normalise(image, 30.0, NOISE), known


def seen(net: Filler, image: Tensor, known: Tensor) -> Tensor:
    """Prepare what a network sees where no pixel is unusable."""
    return planes_of(net.stars, image, known, torch.zeros_like(known), NOISE)


def test_the_first_map_is_half_a_bridge_and_half_a_star(field: tuple[Tensor, Tensor]) -> None:
    net, (_, known) = Filler(2, 4), field
    planes = seen(net, *field)
    bridged, _, saturated, fits = planes.split(PARTS, dim=1)
    stars = bridged + fits[:, :1]
    assert torch.allclose(net(planes), (bridged + stars) / 2, atol=1e-5)
    assert torch.equal(stars[known], bridged[known])
    fitted = stars != bridged
    assert fitted.any()
    assert not saturated.any()
    saturated = fitted & (torch.arange(64) < 32)
    tables = [shapes_of_stars(net.stars, *field, torch.full((1, 1, 1, 1), NOISE))]
    fewer = bridged + net.stars(bridged, known, saturated, NOISE, tables)[:, :1]
    left = fitted & ~saturated
    assert torch.equal(fewer[~left], bridged[~left]), "what stars have saturated is not fitted"
    # Fits of fewer pixels at once sum products in another order, which has changed them by 6e-5.
    torch.testing.assert_close(fewer[left], stars[left], rtol=0, atol=1e-3)


def test_batch_norm_is_folded_and_half_precision_is_close(field: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(1)
    net = Filler(2, 8, "batch")
    torch.nn.init.normal_(net.unet.out.weight, std=0.1)
    planes = seen(net, *field)
    net(planes)  # leaves its mark on the means of the norm
    expected = net.eval()(planes)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(seen(net, *field))
    assert half.dtype == torch.float32
    assert torch.allclose(half, expected, atol=0.5)
    net.unet = fold_batch_norm(net.unet)
    assert torch.allclose(net(planes), expected, atol=1e-4)


def test_no_pixel_beyond_a_chip_is_taken_for_known() -> None:
    rng = np.random.default_rng(6)
    image = scene((40, 40), rng, stars=3).astype(np.float32)
    y, x = np.indices(image.shape)
    image += 4e4 * np.exp(-(y**2 + (x - 20.3) ** 2) / 2).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[0:2, 20:22] = True
    net = Filler(2, 4).eval()
    filled = CosmicRayFiller(FillModel(net, FillerCard(network={}), Path("net.ckpt"), "0" * 64))(image, mask)
    levels = sky_and_noise(np.where(mask, 0, image), ~mask)
    known = torch.from_numpy(~mask)[None, None]
    given = normalise(torch.from_numpy(image)[None, None], *levels)
    with torch.no_grad():
        planes = planes_of(net.stars, given, known, torch.zeros_like(known), levels[1])
        expected = denormalise(net(planes), *levels)[0, 0].numpy()
    assert np.allclose(filled[mask], expected[mask], rtol=1e-4)


def test_training_and_prediction_see_the_same_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile whose holes training cut, given to prediction as a chip with a mask."""
    size, rng = 48, np.random.default_rng(9)
    electrons = torch.from_numpy(scene((size, size), rng, stars=12).astype(np.float32))
    mask = torch.from_numpy(add_cosmic_rays(np.zeros((size, size), np.float32), rng, 12))
    electrons[20:23, 30], electrons[20:23, 29], electrons[20:23, 31] = 68_000.0, 900.0, 900.0
    unusable = electrons > 60_000
    mask &= ~unusable
    levels = sky_and_noise(electrons.numpy(), (~mask & ~unusable).numpy())
    sky, noise = (torch.tensor(level, dtype=torch.float32).view(1, 1, 1, 1) for level in levels)
    charge = 700.0 * mask
    module = CosmicRayInpainter(hidden=4, copies=0).eval()
    module._own_logit = float("inf")  # nothing is an own CR
    batch = {"image": normalise(electrons + charge, *levels), "cr_mask": mask.float(), "charge": charge}
    batch |= {"ignore": unusable, "unusable": unusable}
    holes = module.holes({**{name: plane[None, None] for name, plane in batch.items()}, "sky": sky, "noise": noise})
    trained_on = planes_of(module.net.stars, *(holes[name] for name in SEEN))[0]

    given: list[Tensor] = []

    def in_tiles(_: object, planes: Tensor, **settings: int) -> Tensor:
        given.append(planes)
        return planes[0]

    monkeypatch.setattr("deepcr_lightning.inpainting.filler.in_tiles", in_tiles)
    monkeypatch.setattr("deepcr_lightning.inpainting.filler.sky_and_noise", lambda *_: levels)
    fill = CosmicRayFiller(FillModel(module.net, FillerCard(network={}), Path("net.ckpt"), "0" * 64))
    fill((electrons + charge).numpy(), mask.numpy(), (~unusable).numpy())
    assert len(trained_on) == sum(PARTS)
    assert trained_on[2].any(), "a star has saturated some"
    assert (trained_on[3] != 0).any(), "some holes are near a star"
    torch.testing.assert_close(given[0], trained_on, rtol=0, atol=1e-3)
