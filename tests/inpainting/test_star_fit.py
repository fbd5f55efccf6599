"""Fits of stars to the surroundings of holes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from deepcr_lightning.inpainting import star_fit
from deepcr_lightning.inpainting.holes import bridge
from deepcr_lightning.inpainting.star_fit import PLANES, StarFit
from deepcr_lightning.networks.scale import normalise

NOISE = 6.0
NONE = torch.zeros(1, 1, 1, 1, dtype=torch.bool)
"""No pixel that a star has saturated."""
ROUNDING = 1e-3
"""Normalised. Fits of more or fewer pixels at once sum products in another order, which has changed them by 6e-5."""


def field(count: int, seed: int, width: float = 1.9, oblong: float = 1.0) -> tuple[Tensor, Tensor]:
    """Make normalised images of a star each, anywhere in a pixel, and holes of 3 x 2 pixels over their cores.

    `oblong` is by how much stars are longer along columns than along rows. Returns what stood in the holes, too.
    """
    torch.manual_seed(seed)
    place = torch.rand(count, 2, 1, 1) - 0.5
    pixel = torch.arange(-10.0, 11.0)
    core = width / (2 * math.sqrt(2 ** (1 / 2.5) - 1))
    radius = torch.hypot((pixel[:, None] - place[:, 0]) / oblong, (pixel - place[:, 1]) * oblong)
    flux = 10 ** (3 + torch.rand(count, 1, 1))
    light = flux * (1 + (radius / core) ** 2) ** -2.5
    known = torch.ones(count, 1, 21, 21, dtype=torch.bool)
    known[..., 9:12, 10:12] = False
    struck = light + (NOISE**2 + light).sqrt() * torch.randn(count, 21, 21)
    image = torch.where(known, normalise(struck[:, None], 0.0, NOISE), 1e4)
    return image, normalise(light[:, None], 0.0, NOISE)


def errors(fit: StarFit, seed: int, width: float = 1.9, oblong: float = 1.0) -> tuple[float, float]:
    """Return the mean absolute errors of fit and of bridge at the middle of the holes, normalised."""
    image, truth = field(64, seed, width, oblong)
    known = image < 1e3
    bridged = bridge(image, known)
    planes = fit(bridged, known, NONE, NOISE)
    off = bridged + planes[:, :1] - truth, bridged - truth
    return tuple(float(error[..., 10, 10].abs().mean()) for error in off)  # type: ignore[return-value]


def test_a_star_is_told_from_what_is_left_of_it() -> None:
    fitted, bridged = errors(StarFit(), 0)
    assert fitted < 0.7
    assert fitted < bridged / 3


def test_fits_are_of_holes_near_stars_and_do_not_see_into_them() -> None:
    image, _ = field(2, 1)
    known = image < 1e3
    known[..., 2, 3] = False  # a hole in the sky
    fit, bridged = StarFit(), bridge(image, known)
    planes = fit(bridged, known, NONE, NOISE)
    assert planes.shape == (2, PLANES, 21, 21)
    fitted = planes[:, 1:2] > 0
    assert torch.equal(fitted[..., 4:, :], ~known[..., 4:, :])
    assert not fitted[..., :4, :].any()
    assert torch.equal(planes[:, 2:] == 1, ~fitted), "where nothing is fitted, nothing is explained"
    changed = torch.where(known, bridged, bridged + 3)
    again = fit(changed, known, NONE, NOISE)
    assert torch.allclose((again - planes)[:, :1][fitted], torch.tensor(-3.0), atol=1e-4)
    assert torch.equal(again[:, 1:], planes[:, 1:])
    assert torch.allclose(fit(bridged, known, NONE, torch.full((2, 1, 1, 1), NOISE)), planes)
    saturated = torch.zeros_like(known)
    saturated[..., 11, :] = ~known[..., 11, :]
    some = fit(bridged, known, saturated, NOISE)
    assert torch.equal(some[:, 1:2] > 0, fitted & ~saturated), "nobody fills what a star has saturated"
    torch.testing.assert_close(some[..., :11, :], planes[..., :11, :], rtol=0, atol=ROUNDING)


def test_how_many_are_fitted_at_once_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = field(3, 2)
    known = image < 1e3
    fit, bridged = StarFit(), bridge(image, known)
    whole = fit(bridged, known, NONE, NOISE)
    monkeypatch.setattr(star_fit, "_SCORED_AT_ONCE", 2)
    monkeypatch.setattr(star_fit, "_FITTED_AT_ONCE", 5)
    torch.testing.assert_close(fit(bridged, known, NONE, NOISE), whole, rtol=0, atol=ROUNDING)


def test_a_single_known_pixel_is_enough_to_give_a_number() -> None:
    bridged, known = torch.full((1, 1, 9, 9), 30.0), torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    known[..., 4, 4] = True
    fit = StarFit()
    planes = fit(bridged, known, NONE, NOISE)
    assert planes.isfinite().all()
    assert (planes[:, 1] > 0).sum() == 24


def test_what_is_no_number_stays_none() -> None:
    image, _ = field(2, 4)
    known = image < 1e3
    bridged = bridge(image, known)
    bridged[0, :, 10, 9] = torch.nan  # a known pixel: the loss is none, which training stops for
    planes = StarFit()(bridged, known, NONE, NOISE)
    assert planes[0].isnan().any()
    assert planes[1].isfinite().all()
