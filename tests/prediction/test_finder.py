"""Arrays instead of files: the three lines of the README."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.nddata import CCDData, NDData
from conftest import write_hst
from deepcr_state import weights_of

import deepcr_lightning
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.finder import CosmicRayFinder
from deepcr_lightning.prediction.predictor import ExposurePredictor


@pytest.fixture(scope="module")
def model(trained: Path) -> CosmicRayFinder:
    return deepcr_lightning.load_model(trained / "checkpoints" / "best.ckpt")


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(5)
    image = rng.normal(30, 6, (60, 70)).astype(np.float32)
    image[30, 20:26] += 1500
    return image


def test_an_array_and_a_file_give_the_same_map(
    model: CosmicRayFinder, image: np.ndarray, tmp_path: Path, trained: Path
) -> None:
    exposure = read_exposure(write_hst(tmp_path / "a_flc.fits", [image]))
    [expected] = ExposurePredictor(load_model(trained / "checkpoints" / "best.ckpt")).probabilities(exposure)
    np.testing.assert_array_equal(model.probability(image), expected)
    np.testing.assert_array_equal(model.find_cosmic_rays(image, threshold=0.2), expected > 0.2)
    assert expected.max() > 0.2


@pytest.mark.parametrize(
    ("factor", "settings"),
    [
        (1 / 400, {"unit": "electrons/s", "exptime": 400}),
        (1 / 1.5, {"unit": "counts", "gain": 1.5}),
        (1 / 600, {"unit": "COUNTS/S", "gain": 1.5, "exptime": 400}),
    ],
)
def test_units_do_not_matter(model: CosmicRayFinder, image: np.ndarray, factor: float, settings: dict) -> None:
    scaled = (image * factor).astype(np.float64)
    np.testing.assert_allclose(model.probability(scaled, **settings), model.probability(image), atol=1e-3)


def test_nddata_say_it_themselves(model: CosmicRayFinder, image: np.ndarray) -> None:
    expected = model.find_cosmic_rays(image, threshold=0.2)
    assert expected.any()
    counts = CCDData(image / 2, unit=u.adu, meta={"GAIN": 2.0})
    for given in (counts, NDData(image, unit=u.electron)):
        np.testing.assert_array_equal(model.find_cosmic_rays(given, threshold=0.2), expected)
    # Divided by 400 and multiplied again, electrons are rounded, and so is the map, by some 1e-7.
    rate = CCDData(image / 400, unit=u.electron / u.s, meta={"EXPTIME": 400.0})
    clear = np.abs(model.probability(image) - 0.2) > 1e-5
    np.testing.assert_array_equal(model.find_cosmic_rays(rate, threshold=0.2)[clear], expected[clear])
    hidden = np.ma.MaskedArray(image, expected)
    assert not (model.find_cosmic_rays(hidden, threshold=0.2) & expected).any()
    masked = CCDData(image, unit=u.electron, mask=expected)
    assert not (model.find_cosmic_rays(masked, threshold=0.2) & expected).any(), "masked pixels are never flagged"


def test_a_quantity_is_read_as_a_ccddata_of_the_same(model: CosmicRayFinder, image: np.ndarray) -> None:
    rate = image / 300 * u.electron / u.s
    expected = model.probability(CCDData(rate, meta={"EXPTIME": 300.0}))
    np.testing.assert_array_equal(model.probability(rate, exptime=300), expected)
    assert (expected > 0.2).any()


def test_the_input_is_left_alone(model: CosmicRayFinder, image: np.ndarray) -> None:
    image[3, 3] = np.nan
    before = image.copy()
    model.find_cosmic_rays(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("kind", [">f4", "<f8", ">i2", np.uint16, np.int32])
def test_any_type_and_byte_order(model: CosmicRayFinder, image: np.ndarray, kind: str) -> None:
    whole = np.rint(image)
    np.testing.assert_array_equal(model.probability(whole.astype(kind)), model.probability(whole))


@pytest.mark.parametrize(
    ("bad", "settings", "message"),
    [
        (np.zeros((2, 5, 5)), {}, "2-D"),
        (np.zeros((0, 5)), {}, "2-D"),
        (np.zeros((5, 5), complex), {}, "real"),
        (np.full((5, 5), np.nan), {}, "every pixel is unusable"),
        (np.zeros((5, 5)), {"mask": np.zeros((4, 5), bool)}, "mask: has shape"),
        (np.zeros((5, 5)), {"unit": "electrons/s"}, "exptime=SECONDS"),
        (np.zeros((5, 5)), {"unit": "counts"}, "gain"),
        (np.zeros((5, 5)), {"unit": "magnitudes"}, "^unit=magnitudes"),
        (np.zeros((5, 5)), {"threshold": 1.5}, "threshold"),
        (np.zeros((5, 5)), {"grow": -1}, "grow=-1"),
        (NDData(np.zeros((5, 5))), {}, "its unit is missing.*give unit=ELECTRONS"),
    ],
)
def test_bad_images_are_said(model: CosmicRayFinder, bad: np.ndarray, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.find_cosmic_rays(bad, **settings)


@pytest.mark.parametrize("tile", [0, 63, 64.5, "a", True])
def test_tiles_are_whole_numbers(trained: Path, tile: Any) -> None:
    with pytest.raises(InputError, match=f"^tile={tile}: must be a whole number of at least 64"):
        deepcr_lightning.load_model(trained / "checkpoints" / "best.ckpt", tile=tile)


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (2, 200)])
def test_chips_of_any_size(model: CosmicRayFinder, shape: tuple[int, int]) -> None:
    found = model.probability(np.full(shape, 30.0))
    assert found.shape == shape
    assert np.isfinite(found).all()


def test_one_wild_pixel_does_not_empty_the_mask(model: CosmicRayFinder, image: np.ndarray) -> None:
    expected = model.find_cosmic_rays(image, threshold=0.2)
    # One pixel less moves sky and noise a little, and the map by some 1e-4.
    clear = (np.abs(model.probability(image) - 0.2) > 2e-3)[:40, :50]
    assert (clear & expected[:40, :50]).any()
    for value in (np.nan, np.inf, -np.inf, 1e30, -1e30, 1e300):
        wild = image.astype(np.float64)
        wild[50, 60] = value
        found = model.find_cosmic_rays(wild, threshold=0.2)
        np.testing.assert_array_equal(found[:40, :50][clear], expected[:40, :50][clear])


def test_devices_that_are_not_here_are_named(trained: Path) -> None:
    best = trained / "checkpoints" / "best.ckpt"
    deepcr_lightning.load_model(best, device="auto")
    with pytest.raises(InputError, match=r"^device=gpu: is not available; choose from auto, cpu"):
        deepcr_lightning.load_model(best, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"^device=cuda: is not available"):
            deepcr_lightning.load_model(best, device="cuda")


def test_finders_pickle(model: CosmicRayFinder, image: np.ndarray, tmp_path: Path) -> None:
    torch.save(weights_of("weight"), tmp_path / "other.pth")
    for finder in (model, deepcr_lightning.load_model(tmp_path / "other.pth")):
        again = pickle.loads(pickle.dumps(finder))
        np.testing.assert_array_equal(again.probability(image), finder.probability(image))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_goes_on(model: CosmicRayFinder, image: np.ndarray) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = model.probability(image)  # which starts the threads that a forked process would wait for
        with multiprocessing.get_context("fork").Pool(1) as pool:
            found = pool.map_async(model.probability, [image]).get(timeout=60)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
