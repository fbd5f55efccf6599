"""Widths of stars, measured in spite of cosmic rays and hot pixels, on images made here."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from skies import add_cosmic_rays, observe, star_field

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.sights.light_peaks import joined, light_peaks
from deepcr_lightning.sights.sight import has_lines
from deepcr_lightning.sights.star_widths import Stars, are_drawn_out, stars_of


def measure(image: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> Stars:
    usable = np.ones(image.shape, bool)
    return stars_of(light_peaks(image, usable, ~usable if mask is None else mask, *sky_and_noise(image)))


@pytest.mark.parametrize("fwhm", [1.6, 2.3, 3.2, 5.0, 9.0])
def test_stars_are_measured_among_cosmic_rays_and_hot_pixels(fwhm: float) -> None:
    rng = np.random.default_rng(3)
    image = observe(star_field(fwhm, 40, rng), rng)
    clean = measure(image)
    assert clean.width == pytest.approx(fwhm, rel=0.15)
    assert clean.count > 15
    add_cosmic_rays(image, rng, 400)
    image[tuple(rng.integers(0, 320, (2, 300)))] += 3000
    dirty = measure(image)
    assert dirty.width == pytest.approx(clean.width, rel=0.05)
    assert dirty.peaks > 5 * clean.peaks


def test_a_mask_counts_stars_and_hides_none() -> None:
    rng = np.random.default_rng(4)
    image = observe(star_field(2.0, 40, rng), rng)
    free, flagged = measure(image), measure(image, np.ones(image.shape, bool))
    assert (free.width, free.count) == (flagged.width, flagged.count)
    assert (free.share_flagged, flagged.share_flagged) == (0.0, 1.0)
    half = np.zeros(image.shape, bool)
    half[:160] = True
    assert 0.2 < measure(image, half).share_flagged < 0.8


def test_broad_stars_are_flagged_by_most_of_their_core_not_by_a_hit() -> None:
    rng = np.random.default_rng(5)
    light = star_field(9.0, 40, rng)
    image = observe(light, rng)
    hits = np.zeros(image.shape, bool)
    hits[::4, ::4] = True
    assert measure(image, hits).share_flagged == 0.0
    assert measure(image, light > 50).share_flagged == 1.0


def test_cosmic_rays_hot_pixels_and_noise_are_no_stars() -> None:
    rng = np.random.default_rng(6)
    image = observe(np.zeros((320, 320)), rng)
    noise = measure(image)
    assert noise.peaks == 0
    add_cosmic_rays(image, rng, 800)
    image[tuple(rng.integers(0, 320, (2, 800)))] += 3000
    hit = measure(image)
    assert hit.peaks > 1000
    for stars in (noise, hit):
        assert math.isnan(stars.width)
        assert math.isnan(stars.share_flagged)


def test_too_few_stars_tell_nothing() -> None:
    rng = np.random.default_rng(7)
    image = observe(star_field(2.0, 3, rng), rng)
    assert math.isnan(measure(image).width)


def test_unusable_stars_do_not_count() -> None:
    rng = np.random.default_rng(8)
    image = observe(star_field(2.0, 40, rng), rng)
    usable = np.ones(image.shape, bool)
    usable[:, ::3] = False
    peaks = light_peaks(image, usable, ~usable, *sky_and_noise(image, usable))
    assert sum(len(scale.width) for scale in peaks) == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (11, 11)])
def test_images_of_any_size(shape: tuple[int, int]) -> None:
    image = np.full(shape, 5.0, np.float32)
    assert math.isnan(measure(image).width)
    assert not has_lines(image, 1.0)


def test_chips_are_measured_together() -> None:
    rng = np.random.default_rng(9)
    chips = []
    for _ in range(2):
        image = observe(star_field(2.0, 4, rng, size=160), rng)
        usable = np.ones(image.shape, bool)
        chips.append(light_peaks(image, usable, ~usable, *sky_and_noise(image)))
        assert math.isnan(stars_of(chips[-1]).width)
    assert stars_of([joined(parts) for parts in zip(*chips, strict=True)]).width == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize(("trail", "long"), [(0.0, False), (8.0, True), (20.0, True)])
def test_trailed_stars_are_told_from_round_ones_among_cosmic_rays(trail: float, long: bool) -> None:
    rng = np.random.default_rng(10)
    image = observe(star_field(2.0, 60, rng, size=512, trail=trail), rng)
    add_cosmic_rays(image, rng, 400)
    usable = np.ones(image.shape, bool)
    assert are_drawn_out(light_peaks(image, usable, ~usable, *sky_and_noise(image))) == long


@pytest.mark.parametrize("axis", [0, 1])
def test_lines_of_a_slit_are_told_from_a_crowd_of_stars(axis: int) -> None:
    rng = np.random.default_rng(11)
    x = np.arange(320)
    lines = sum(rng.uniform(100, 1000) * np.exp(-((x - centre) ** 2) / 3) for centre in range(10, 320, 15))
    image = observe(np.broadcast_to(lines if axis else lines[:, None], (320, 320)), rng)
    assert has_lines(image, 8.0)
    crowd = star_field(2.0, 2500, rng)
    assert (crowd > 80).mean() > 0.3
    assert not has_lines(observe(crowd, rng), 8.0)
