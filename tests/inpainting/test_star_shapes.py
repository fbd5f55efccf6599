"""The shapes of stars that an image teaches."""

from __future__ import annotations

import torch
from test_star_fit import NOISE, errors, field
from torch import Tensor

from deepcr_lightning.inpainting.star_fit import StarFit
from deepcr_lightning.inpainting.star_shapes import shapes_of_stars, whole_stars

WIDTH, OBLONG = 2.5, 1.2
LEVEL = torch.full((1, 1, 1, 1), NOISE)


def stars(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Make an image of whole stars, side by side; all of its pixels are known."""
    image, truth = field(count, seed, WIDTH, OBLONG)
    whole = torch.where(image < 1e3, image, truth)
    row = whole.permute(1, 2, 0, 3).reshape(1, 1, whole.shape[2], -1)
    return row, torch.ones_like(row, dtype=torch.bool), LEVEL


def test_the_psf_of_an_image_is_learned_from_its_stars() -> None:
    fit = StarFit()
    before, _ = errors(fit, 3, WIDTH, OBLONG)
    table = shapes_of_stars(fit, *stars(200, 5))
    assert table.shape[1:] == fit.table.shape[1:]
    fit.table = table
    after, _ = errors(fit, 3, WIDTH, OBLONG)
    assert after < 0.6 * before
    shape = fit.table.softmax(-1).mean(0)  # along rows
    other = fit.table.softmax(-2).mean(0)
    middle = len(shape) // 2
    assert shape[middle, middle] > 1.1 * other[middle, middle], "stars are longer along columns, as these are"
    assert fit.table.diff(n=3, dim=1).square().mean() < 0.05, "noise is not learned"


def test_an_image_with_few_bright_stars_keeps_the_shapes_of_the_network() -> None:
    fit = StarFit()
    image, known, noise = stars(4, 5)
    for table in (shapes_of_stars(fit, image, known, noise), shapes_of_stars(fit, 0 * image, known, noise)):
        assert torch.equal(table, fit.table[1::2])


def test_pixels_that_are_unknown_teach_nothing() -> None:
    fit = StarFit()
    image, known, noise = stars(40, 7)
    hidden = known.clone()
    hidden[..., ::7, ::5] = False
    expected = shapes_of_stars(fit, image, hidden, noise)
    spoilt = torch.where(hidden, image, torch.nan)
    assert torch.equal(shapes_of_stars(fit, spoilt, hidden, noise), expected)
    assert not torch.equal(shapes_of_stars(fit, image, known, noise), expected)


def test_stars_that_lack_a_pixel_of_the_core_or_are_faint_teach_nothing() -> None:
    image, truth = field(4, 6, WIDTH, OBLONG)
    image, noise = torch.where(image < 1e3, image, truth), LEVEL.expand(4, 1, 1, 1)
    known = torch.ones_like(image, dtype=torch.bool)
    light, there, _ = whole_stars(image, known, noise)
    assert len(light) == 4
    assert there.all()
    known[1, 0, 10, 12] = False  # in its core
    known[2, 0, 10, 13] = False  # in its wings
    image[2, 0, 10, 13] = torch.nan
    image[3] = image[3].clamp(max=10)
    edge = image[:1].roll(9, 2)  # the core ends a pixel from the edge: what lies beyond is not known
    assert edge[..., -2, :].max() > 20
    assert not len(whole_stars(edge, known[:1], noise[:1])[0])
    light, there, _ = whole_stars(image, known, noise)
    assert len(light) == 2
    assert light.isfinite().all()
    assert (there == 0).sum() == 1
    assert light[1][there[1] == 0] == 0
