"""Photometry of stars under masks."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from skies import READ_NOISE, SHAPE, SKY, grid_of_stars, sky_of

from deepcr_lightning.photometry.measure import ChipReference, measure, prepare
from deepcr_lightning.photometry.psf_of_stars import gaussian_psf
from deepcr_lightning.photometry.star_lists import join_filters
from deepcr_lightning.thresholds.good_stars import Cuts, good_stars
from deepcr_lightning.thresholds.star_counts import chip_stars, count

FWHM = 1.8


def test_photometry_finds_stars_and_their_light() -> None:
    rng = np.random.default_rng(5)
    y, x = grid_of_stars(rng)
    flux = 10 ** rng.uniform(2.8, 4.5, 81)
    image = sky_of(flux, y, x, rng).astype(np.float32)
    none = np.zeros(SHAPE, bool)
    found = measure(prepare(image, none, none, "image"), none)
    partner = [np.argmin(np.hypot(found["y"] - one, found["x"] - other)) for one, other in zip(y, x, strict=True)]
    found = found[partner]
    assert np.hypot(found["y"] - y, found["x"] - x).max() < 0.3
    relative = np.asarray(found["flux"] / flux)
    assert abs(np.median(relative) - 1) < 0.05
    assert np.percentile(np.abs(relative / np.median(relative) - 1), 90) < 0.1
    assert (np.abs(found["sharpness"]) < 0.3).mean() > 0.95
    assert np.all(found["crowding"] < 0.05)


def test_fit_agrees_with_photutils() -> None:
    from photutils.psf import CircularGaussianPRF, PSFPhotometry

    rng = np.random.default_rng(6)
    y, x = grid_of_stars(rng)
    light = sky_of(np.full(81, 5000.0), y, x, rng) - SKY
    noise = float(np.hypot(READ_NOISE, np.sqrt(SKY)))
    none = np.zeros(SHAPE, bool)
    ours = measure(ChipReference(light, noise, none, gaussian_psf(FWHM)), none)
    first = Table({"y": y, "x": x, "flux": np.full(81, 4000.0)})
    error = np.sqrt(noise**2 + np.maximum(light, 0))
    theirs = PSFPhotometry(CircularGaussianPRF(fwhm=FWHM), (5, 5))(light, error=error, init_params=first)
    for row in theirs:
        nearest = ours[np.argmin(np.hypot(ours["y"] - row["y_fit"], ours["x"] - row["x_fit"]))]
        assert np.hypot(nearest["y"] - row["y_fit"], nearest["x"] - row["x_fit"]) < 0.05
        assert abs(nearest["flux"] / row["flux_fit"] - 1) < 0.04


def test_masked_pixels_are_no_light() -> None:
    rng = np.random.default_rng(7)
    y, x, flux = np.array([30.0, 80.0]), np.array([40.0, 90.0]), np.array([8000.0, 8000.0])
    image = sky_of(flux, y, x, rng) - SKY
    none = np.zeros(SHAPE, bool)
    image[60:63, 60] += 3000
    mask = none.copy()
    mask[60:63, 60] = True
    mask[79:82, 89:92] = True

    def near(found: Table, row: float, column: float) -> int:
        return int((np.hypot(found["y"] - row, found["x"] - column) < 2).sum())

    reference = ChipReference(image, 6.3, none, gaussian_psf(FWHM))
    without, under = measure(reference, none), measure(reference, mask)
    assert [near(without, 30, 40), near(without, 80, 90)] == [1, 1]
    assert near(without, 61, 60) > 0
    # The cosmic ray is gone, and the star whose core is masked is not found.
    assert [near(under, 30, 40), near(under, 80, 90), near(under, 61, 60)] == [1, 0, 0]


def test_neighbours_show_as_crowding() -> None:
    rng = np.random.default_rng(8)
    image = sky_of(np.array([6000.0, 6000.0, 6000.0]), np.array([30.0, 30.0, 80.0]), np.array([40.0, 42.6, 80.0]), rng)
    none = np.zeros(SHAPE, bool)
    found = measure(ChipReference(image - SKY, 6.3, none, gaussian_psf(FWHM)), none)
    found = found[found["signal_to_noise"] > 40]
    assert len(found) == 3
    close = np.asarray(found["y"]) < 50
    assert np.all(found["crowding"][close] > 0.02)
    assert np.all(found["crowding"][~close] < 0.01)
    assert np.all(np.abs(found["flux"] / 6000 - 1) < 0.05)


def test_field_without_stars_is_empty() -> None:
    rng = np.random.default_rng(14)
    image = (SKY + rng.normal(0, 6, SHAPE)).astype(np.float32)
    none = np.zeros(SHAPE, bool)
    found = measure(prepare(image, none, none, "image"), none)
    found["magnitude"] = -2.5 * np.log10(found["flux"])
    assert not good_stars(found, Cuts(signal_to_noise=6), "image").any()
    # A chip of which nothing is left has no star either.
    assert len(measure(ChipReference(np.zeros(SHAPE), 6.0, none, gaussian_psf()), ~none)) == 0
    nothing = join_filters([found[:0], found[:0]])
    assert count([chip_stars("field", SHAPE, nothing, [nothing])]).legacy.sum() == 0
