"""Pixels without data, saturated pixels and coarse integers, as the universal model sees them: no false cosmic rays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

import deepcr_lightning
from deepcr_lightning.exposures.blanks import bulk_zeros, fill_nearby
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.sky import sky_noise_and_floor
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.prediction.finder import CosmicRayFinder

SHAPE = (128, 150)
Y, X = np.indices(SHAPE)


@pytest.fixture(scope="module")
def universal() -> CosmicRayFinder:
    return deepcr_lightning.load_model()


def light(sky: float = 60.0, seed: int = 1) -> tuple[NDArray[np.float64], np.random.Generator]:
    """Expected light of a sky with twelve stars."""
    rng = np.random.default_rng(seed)
    image = np.full(SHAPE, sky)
    for _ in range(12):
        y, x, flux = rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1]), 10 ** rng.uniform(2.5, 5)
        image += flux * 0.05 * (1 + ((Y - y) ** 2 + (X - x) ** 2) / 4.5) ** -2.5
    return image, rng


def exposed(expected: NDArray[np.float64], rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What a CCD makes of it, with three cosmic rays; and where these are."""
    rays = np.zeros(SHAPE)
    rays[50, 60:75], rays[90:100, 110], rays[20, 30] = 800, 500, 1500
    return (rng.poisson(expected) + rng.normal(0, 4, SHAPE) + rays).astype(np.float32), rays > 0


def ring(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return ndimage.binary_dilation(hole, np.ones((3, 3), bool), iterations=2) & ~hole


@pytest.mark.parametrize("step", [5.0, 12.0, 20.0, 30.0, 60.0])
def test_coarse_integers_are_as_good_as_floats(universal: CosmicRayFinder, step: float) -> None:
    image, rays = exposed(*light())
    found = universal.find_cosmic_rays(np.rint(image / step), unit="counts", gain=step)
    assert found[rays].mean() > 0.85
    assert found[~rays].mean() < 0.0015, "67 to 87 % once"


@pytest.mark.parametrize("step", [0.3, 0.5, 1.0, 1.5, 2.0, 2.3, 3.0, 6.0])
def test_the_noise_is_at_least_that_of_rounding(step: float) -> None:
    rng = np.random.default_rng(2)
    image = (60 + rng.normal(0, 10, (300, 400))).astype(np.float32)
    rounded = np.rint(image / (10 * step)).astype(np.float32) * np.float32(10 * step)
    _, noise, floor = sky_noise_and_floor(rounded)
    assert 0.9 * np.hypot(10, 10 * step / np.sqrt(12)) < noise < max(12.0, 8.0 * step)
    assert floor == pytest.approx(max(0.1, 6.0 * step) if step > 0.2 else 0.1, rel=1e-4)
    assert sky_noise_and_floor(image)[1] == pytest.approx(10, rel=0.02)
    assert sky_noise_and_floor(image)[2] == 0.1


@pytest.mark.parametrize(("first", "count"), [(1, 1), (17, 3), (599, 1), (61, 59), (40, 500)])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_the_sky_is_that_of_usable_rows_wherever_they_lie(first: int, count: int, kind: Callable) -> None:
    rng = np.random.default_rng(first)
    image, usable = np.full((600, 200), 3e5, np.float32), np.zeros((600, 200), bool)
    there = slice(first, first + count)
    image[there], usable[there] = rng.normal(60, 10, (count, 200)), True
    sky, noise, _ = sky_noise_and_floor(kind(image), kind(usable), sample=2000)
    assert sky == pytest.approx(60, abs=5), "300000 once"
    assert noise == pytest.approx(10, rel=0.3), "0.1 once"


def test_a_slit_in_a_mask_has_noise_of_its_own(universal: CosmicRayFinder, caplog: pytest.LogCaptureFixture) -> None:
    image = np.random.default_rng(3).normal(60, 10, (300, 2000)).astype(np.float32)
    hidden = np.ones(image.shape, bool)
    hidden[10:16] = False
    universal.find_cosmic_rays(image, mask=hidden)
    assert not [message for message in caplog.messages if "noise is too small" in message]


def test_mostly_zeros(universal: CosmicRayFinder) -> None:
    image, rays = exposed(*light(0.5))
    image -= 0.5
    padded, there = np.zeros((300, 200), np.float32), np.zeros((300, 200), bool)
    padded[:128, :150], there[:128, :150] = image, rays
    found = universal.find_cosmic_rays(padded)
    alone = universal.find_cosmic_rays(image)[rays].mean()
    assert found[there].mean() == pytest.approx(alone, abs=0.05)
    assert alone > 0.65
    assert (found & ~there).sum() < 10, "up to 63 % once"
    assert not found[140:, :].any()


def test_blocks_of_zeros_are_no_data_and_lone_zeros_are() -> None:
    image = np.random.default_rng(3).normal(0, 5, (200, 200)).round()
    lost = np.abs(Y[:, :128] - X[:, :128]) > 60
    image[:128, :128][lost] = 0
    found = bulk_zeros(image)
    assert found[:128, :128][lost].mean() > 0.98
    np.testing.assert_array_equal(image[found], 0)
    assert found.sum() < 1.02 * lost.sum()
    assert not bulk_zeros(np.random.default_rng(4).poisson(0.5, (200, 200))).any()
    assert not bulk_zeros(np.zeros((10, 10))).any(), "nothing that small is a border"


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0, 0.99), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_holes_are_filled_from_what_is_known(rows: int, columns: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(1000, 5, (rows, columns)).astype(np.float32)
    known = rng.random(image.shape) >= share
    known.flat[rng.integers(known.size)] = True
    filled = np.where(known, image, np.nan).astype(np.float32)
    fill_nearby(filled, ~known, known)
    np.testing.assert_array_equal(filled[known], image[known])
    assert np.isfinite(filled).all()
    assert filled.min() >= image[known].min() - 0.01
    assert filled.max() <= image[known].max() + 0.01


def test_holes_in_light_leave_no_rings(universal: CosmicRayFinder) -> None:
    nebula = 300 + 20000 * np.exp(-((Y - 64) ** 2 + (X - 75) ** 2) / 2 / 30**2)
    star = 60 + 60000 * (1 + ((Y - 64) ** 2 + (X - 75) ** 2) / 9) ** -2.5
    rng = np.random.default_rng(5)
    core = (Y - 64) ** 2 + (X - 75) ** 2 <= 9.5
    for expected, hole in ((nebula, rng.random(SHAPE) < 0.01), (star, core)):
        image = (rng.poisson(expected) + rng.normal(0, 4, SHAPE)).astype(np.float32)
        image[hole] = np.nan
        found = universal.find_cosmic_rays(image)
        assert found[ring(hole)].mean() <= max(found.mean(), 1e-3)
        assert not found[hole].any()


def test_values_under_a_mask_do_not_matter(universal: CosmicRayFinder) -> None:
    image, _ = exposed(*light())
    core = (Y - 64) ** 2 + (X - 40) ** 2 <= 9.5
    for value in (-999.0, 65000.0):
        image[core] = value
        assert not universal.find_cosmic_rays(image, mask=core)[ring(core)].any()


@pytest.mark.parametrize("cards", [{"SATURATE": 60000.0}, {}])
def test_saturated_columns_stay(universal: CosmicRayFinder, tmp_path: Path, cards: dict[str, float]) -> None:
    image, rays = exposed(*light())
    column = (X == 100) & (Y >= 30) & (Y < 90)
    image[column] = 65535
    whole = np.rint(image).astype(np.uint16)
    header = fits.Header({"EXPTIME": 300.0, "BUNIT": "ELECTRONS", **cards})
    fits.PrimaryHDU(whole, header).writeto(tmp_path / "a.fits")
    (chip,) = read_exposure(tmp_path / "a.fits").chips
    np.testing.assert_array_equal(chip.saturated, column)
    found = universal.find_cosmic_rays(chip.electrons, mask=chip.unusable)
    assert not found[column].any()
    assert not found[ring(column) & ~rays].any()
    assert found[rays].mean() > 0.85


def test_saturation_is_believed_with_sense(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, _ = exposed(*light())
    header = fits.Header({"EXPTIME": 300.0, "BUNIT": "ELECTRONS", "SATURATE": 40.0})
    fits.PrimaryHDU(image, header).writeto(tmp_path / "a.fits")
    assert not read_exposure(tmp_path / "a.fits").chips[0].unusable.any()
    assert "SATURATE 40 is ignored" in caplog.messages[0]


def test_a_saturation_below_the_image_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, _ = exposed(*light())
    fits.PrimaryHDU(image, fits.Header({"EXPTIME": 300.0, "BUNIT": "ELECTRONS"})).writeto(tmp_path / "a.fits")
    assert read_exposure(tmp_path / "a.fits", ReadSettings(saturation=40.0)).chips[0].unusable.mean() > 0.9
    assert "saturation=40: most pixels exceed it and are excluded" in caplog.messages[0]


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.uint32])
@pytest.mark.parametrize("packed", [False, True])
def test_undefined_integers_are_of_no_use(tmp_path: Path, dtype: type, packed: bool) -> None:
    image = np.full((60, 70), 100, dtype) + np.arange(70, dtype=dtype)
    image[5, 6] = 40
    header = fits.Header({"EXPTIME": 300.0, "BUNIT": "ELECTRONS"})
    zero = 2 ** (8 * image.itemsize - 1) if image.dtype.kind == "u" else 0
    header["BLANK"] = 40 - zero
    image_hdu = fits.CompImageHDU(image, header) if packed else fits.PrimaryHDU(image, header)
    hdus = [fits.PrimaryHDU(), image_hdu] if packed else [image_hdu]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits", output_verify="ignore")
    assert fits.getheader(tmp_path / "a.fits", len(hdus) - 1)["BLANK"] == 40 - zero
    assert np.argwhere(read_exposure(tmp_path / "a.fits").chips[0].unusable).tolist() == [[5, 6]]
