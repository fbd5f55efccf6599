"""What the network that fills learns from: holes, bridges over them, and their loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skies import add_cosmic_rays, scene

from deepcr_lightning.inpainting.holes import bridge, saturated_by_stars, spread_over_stars
from deepcr_lightning.inpainting.inpainter import CosmicRayInpainter, square_error
from deepcr_lightning.networks.scale import denormalise, normalise


def test_the_scale_goes_back() -> None:
    electrons = torch.tensor([[-30.0, 0.0, 20.0, 21.0, 500.0, 7e4]])
    assert torch.allclose(denormalise(normalise(electrons, 20.0, 5.0), 20.0, 5.0), electrons, rtol=1e-4, atol=1e-3)


def test_a_bridge_keeps_what_is_known_and_does_not_see_what_is_not() -> None:
    image = torch.randn(2, 1, 20, 24)
    known = torch.rand(2, 1, 20, 24) > 0.3
    known[1, :, 3:19, 3:22] = False
    laid = bridge(image, known)
    assert torch.equal(laid[known], image[known])
    assert torch.equal(bridge(torch.where(known, image, 1e4), known), laid)
    assert laid.isfinite().all()
    ramp = torch.arange(24.0).expand(1, 1, 20, 24)
    one = torch.ones(1, 1, 20, 24, dtype=torch.bool)
    one[..., 10, 12] = False
    assert bridge(ramp, one)[0, 0, 10, 12] == pytest.approx(12, abs=1e-4)


def test_holes_are_added_cosmic_rays_and_their_truth_has_none(survey: Path) -> None:
    size = 32
    truth = torch.full((2, 1, size, size), 40.0) + torch.randn(2, 1, size, size)
    charge, mask = torch.zeros_like(truth), torch.zeros_like(truth)
    charge[..., 10, 5:9], mask[..., 10, 5:9] = 900.0, 1.0
    sky, noise = torch.full((2, 1, 1, 1), 40.0), torch.full((2, 1, 1, 1), 5.0)
    ignore = torch.zeros_like(truth, dtype=torch.bool)
    ignore[..., 10, 8] = True
    composed = {"image": normalise(truth + charge, sky, noise), "cr_mask": mask, "charge": charge}
    composed |= {"ignore": ignore, "unusable": ignore}
    module = CosmicRayInpainter(hidden=4, copies=0)
    holes = module.holes({**composed, "sky": sky, "noise": noise})
    assert torch.allclose(holes["truth"], normalise(truth, sky, noise), atol=1e-3)
    assert int(holes["scored"][0].sum()) == 3  # one of the four is of no use
    assert int(holes["scored"][1].sum()) == 17  # every fourth tile has its holes grown by a ring
    assert not holes["known"][..., 10, 5:9].any()
    # The tile's own CR is a hole that nobody knows the truth of, with all that touches it.
    struck = truth.clone()
    struck[..., 20, 15:18] += 900.0
    holes = module.holes({**composed, "image": normalise(struck + charge, sky, noise), "sky": sky, "noise": noise})
    assert not holes["known"][..., 19:22, 14:19].any()
    assert not holes["scored"][..., 15:, :].any()


def test_saturated_pixels_of_stars_are_told_unless_a_hole_hides_them() -> None:
    electrons = torch.full((1, 1, 12, 12), 40.0)
    usable, hole = torch.ones_like(electrons, dtype=torch.bool), torch.zeros_like(electrons, dtype=torch.bool)
    electrons[..., 2, :4] = torch.tensor([900.0, 68_000.0, 68_000.0, 300.0])
    usable[..., 2, 1:4] = False
    hole[..., 2, 2] = True
    electrons[..., 9, 8:11], usable[..., 9, 8:10], hole[..., 9, 10] = 68_000.0, False, True  # a CR, and all it touches
    electrons[..., 6, 0], usable[..., 6, 0] = torch.inf, False
    electrons[..., 6, 1], usable[..., 6, 1] = torch.nan, False
    saturated = saturated_by_stars(normalise(electrons, 40.0, 5.0), usable & ~hole, ~usable & ~hole)[0, 0]
    assert saturated.nonzero().tolist() == [[2, 1]]


def test_trails_of_saturated_stars_are_hit_as_stars_are() -> None:
    electrons = torch.full((4, 1, 64, 64), 40.0)
    electrons[..., 8:40, 30] = 68_000.0
    electrons[..., 40, 31:33] = 400.0  # the star, which lights its trail
    electrons[..., 8:40, 31] = 400.0
    unusable = electrons > 60_000
    mask = torch.zeros_like(unusable)
    mask[..., 50:53, 50] = True
    sky, noise = torch.full((4, 1, 1, 1), 40.0), torch.full((4, 1, 1, 1), 6.0)
    composed = {"image": normalise(electrons + 900 * mask, sky, noise), "cr_mask": mask.float(), "charge": 900.0 * mask}
    module = CosmicRayInpainter(hidden=4)
    module._own_logit = float("inf")  # nothing is an own CR
    holes = module.holes({**composed, "sky": sky, "noise": noise, "ignore": unusable, "unusable": unusable})
    assert saturated_by_stars(holes["image"], holes["known"], holes["unusable"]).any()
    left = holes["scored"][2:, :, 8:40, 28:30]  # of tiles whose holes are not grown
    assert left.any(), "the dark side of a trail, which its light makes nobody hit"


def test_holes_are_cut_again_on_stars_and_anywhere() -> None:
    hole = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    hole[0, 0, 4, 5:9] = True
    light = torch.zeros(2, 1, 32, 32)
    light[:, 0, 20, 20] = 30.0
    # A cosmic ray with a faint rim, of which the hole is the bright part.
    charge = torch.zeros(2, 1, 32, 32)
    charge[0, 0, 4, 4:10] = torch.tensor([7.0, 90.0, 80.0, 70.0, 60.0, 7.0])
    seeds = (1, 1, 2, 3, 4)
    again = [spread_over_stars(hole, charge, light, 2, 6, torch.Generator().manual_seed(seed)) for seed in seeds]
    assert torch.equal(again[0][0], again[1][0]), "the same generator cuts the same"
    for cut, spread in again:
        assert cut[0, 0, 20, 20], "a star takes the place of what is cut anywhere"
        assert not cut[1].any(), "a tile without holes gets none"
        assert torch.equal(spread > 50, cut), "the charge goes where the holes go"
        assert (spread[0, 0, 15:26, 15:26] == 7).any(), "with its rim"
    elsewhere = {tuple(place) for cut, _ in again for place in (cut[0, 0] & ~hole[0, 0]).nonzero().tolist()}
    assert max(abs(y - 20) for y, _ in elsewhere) > 6, "where there is no star"
    for seed in range(20):
        many, _ = spread_over_stars(hole, charge, light, 16, 6, torch.Generator().manual_seed(seed))
        assert many[0, 0, 20, 20], "what is cut anywhere in place of stars that there are not comes first, too"
    # At a corner, what would lie beyond it is left out.
    light[:, 0, 20, 20], light[:, 0, 31, 31] = 0.0, 30.0
    corner, _ = spread_over_stars(hole, charge, light, 2, 6, torch.Generator().manual_seed(0))
    assert corner.shape == hole.shape
    assert corner[0, 0, 31, 31]


def test_every_star_is_hit_before_one_is_hit_twice() -> None:
    hole, light = torch.zeros(1, 1, 64, 64, dtype=torch.bool), torch.full((1, 1, 64, 64), 2.0)  # noise is no star
    hole[..., 2, 2] = True
    stars = [(30, 20), (30, 29), (30, 38), (39, 20)]
    for (y, x), peak in zip(stars, (50.0, 8.0, 8.0, 8.0), strict=True):
        light[..., y, x], light[..., y, x + 1] = peak, peak / 2
    hits = []
    for seed in range(5):
        cut, _ = spread_over_stars(hole, 900.0 * hole, light, 8, 6, torch.Generator().manual_seed(seed))
        assert all(cut[..., y, x : x + 2].sum() == 1 for y, x in stars), "though one has nearly all the weight"
        few, _ = spread_over_stars(hole, 900.0 * hole, light, 2, 6, torch.Generator().manual_seed(seed))
        hits.append(sum(int(few[..., y, x : x + 2].any()) for y, x in stars))
    assert min(hits) == 1, "one of two copies is for a star"
    assert sum(hits) < 7, "and the other anywhere"
    unlit, _ = spread_over_stars(hole, 900.0 * hole, torch.zeros_like(light), 2, 6, torch.Generator().manual_seed(0))
    assert unlit.sum() > 1, "all of them anywhere"


def test_no_added_cosmic_ray_is_left_where_holes_are_cut_on_stars() -> None:
    rng = np.random.default_rng(4)
    truth = torch.from_numpy(scene((64, 64), rng, stars=20).astype(np.float32)).expand(4, 1, -1, -1).clone()
    mask = torch.from_numpy(add_cosmic_rays(np.zeros((64, 64), np.float32), rng, 25)).expand(4, 1, -1, -1)
    charge = mask * 2000.0
    sky, noise = torch.full((4, 1, 1, 1), 30.0), torch.full((4, 1, 1, 1), 6.0)
    none = torch.zeros_like(mask)
    composed = {"image": normalise(truth + charge, sky, noise), "cr_mask": mask.float(), "charge": charge}
    module = CosmicRayInpainter(hidden=4)
    holes = module.holes({**composed, "sky": sky, "noise": noise, "ignore": none, "unusable": none})
    assert (holes["known"] & mask).any(), "some have gone for those that are cut again"
    assert torch.allclose(holes["image"][holes["known"]], holes["truth"][holes["known"]], atol=1e-3)
    assert holes["scored"][1].sum() > holes["scored"][2].sum(), "grown in every fourth tile"


def test_the_loss_is_between_ratios_and_noise() -> None:
    truth = torch.tensor([0.0, 40.0])
    scored = torch.tensor([True, True])
    weights = [
        square_error(truth + step, truth, scored) for step in (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    ]
    assert float(weights[1] / weights[0]) == pytest.approx(np.cosh(4.0) ** 0.5, rel=1e-4)
    assert square_error(truth + 1, truth, ~scored) == 0


def test_a_bridge_is_smooth_where_a_star_is() -> None:
    y, x = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    # The logarithm of a Gaussian is a paraboloid, and the smoothest surface through one is the paraboloid itself.
    star = (30 - ((y - 15.3) ** 2 + (x - 14.8) ** 2) / 4)[None, None]
    known = torch.ones_like(star, dtype=torch.bool)
    known[..., 14:17, 14:17] = False
    assert torch.allclose(bridge(star, known), star, atol=0.05)
    assert torch.equal(bridge(torch.where(known, star, torch.nan), known), bridge(star, known))
