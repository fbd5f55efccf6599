"""The shapes of stars that are learned before a network is trained to fill."""

from __future__ import annotations

import pytest
import torch
from test_star_fit import NOISE, errors, field
from torch import Tensor

from deepcr_lightning.inpainting import star_shapes
from deepcr_lightning.inpainting.star_fit import StarFit
from deepcr_lightning.inpainting.star_shapes import learn_shapes, whole_stars

WIDTH, OBLONG = 2.4, 1.2


def stars(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Make normalised images of a whole star each; all pixels are known."""
    image, truth = field(count, seed, WIDTH, OBLONG)
    whole = torch.where(image < 1e3, image, truth)
    return whole, torch.ones_like(whole, dtype=torch.bool), torch.full((count, 1, 1, 1), NOISE)


def test_another_psf_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(star_shapes, "_STEPS", 100)
    fit = StarFit()
    before, _ = errors(fit, 3, WIDTH, OBLONG)
    left = learn_shapes(fit, *whole_stars(*stars(500, 5)), seed=1)
    assert 0 < left < 0.05
    after, _ = errors(fit, 3, WIDTH, OBLONG)
    assert after < 0.5 * before
    shape = fit.table.softmax(-1).mean(0)  # along rows
    other = fit.table.softmax(-2).mean(0)
    middle = len(shape) // 2
    assert shape[middle, middle] > 1.1 * other[middle, middle], "stars are longer along columns, as these are"
    assert fit.table.diff(n=3, dim=1).square().mean() < 0.05, "noise is not learned"


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_run_that_begins_again_learns_the_same(monkeypatch: pytest.MonkeyPatch, deterministic: bool) -> None:
    """To the bit with trainer.deterministic=true; without it several threads add up gradients in any order."""
    monkeypatch.setattr(star_shapes, "_STEPS", 5)
    one, other = StarFit(), StarFit()
    torch.use_deterministic_algorithms(deterministic)
    try:
        for fit in (one, other):
            learn_shapes(fit, *whole_stars(*stars(300, 5)), seed=1)
    finally:
        torch.use_deterministic_algorithms(False)
    # Two threads have made a difference of 2e-4, another seed makes one of 0.5.
    torch.testing.assert_close(one.table, other.table, rtol=0, atol=0 if deterministic else 0.01)


def test_stars_that_lack_a_pixel_of_the_core_or_are_faint_teach_nothing() -> None:
    image, known, noise = stars(4, 6)
    light, there, _ = whole_stars(image, known, noise)
    assert len(light) == 4
    assert there.all()
    known[1, 0, 10, 12] = False  # in its core
    known[2, 0, 10, 13] = False  # in its wings
    image[2, 0, 10, 13] = torch.nan
    image[3] = image[3].clamp(max=10)
    edge = image[:1].roll(9, 2)  # the core ends a pixel from the edge: what lies beyond is not known
    assert edge[..., -2, :].max() > 25
    assert not len(whole_stars(edge, known[:1], noise[:1])[0])
    light, there, _ = whole_stars(image, known, noise)
    assert len(light) == 2
    assert light.isfinite().all()
    assert (there == 0).sum() == 1
    assert light[1][there[1] == 0] == 0
