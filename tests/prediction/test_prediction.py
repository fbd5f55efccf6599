from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_hst
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.scale import normalise
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.prediction.fill import FILLS, fill_median
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.prediction.sliding_window import predict_probability, reflected, windows

ROUNDING = 1e-4
"""Of probabilities. In tiles of another size sums are made in another order, which has changed a map by up to 2e-5."""


def lively(depth: int, norm: str = "none") -> UNet:
    """Make a network whose far pixels matter."""
    torch.manual_seed(depth)
    net = UNet(depth, 6, norm).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return net


@torch.no_grad()
def whole_chip(net: UNet, electrons: np.ndarray, sky: float, noise: float) -> np.ndarray:
    """Map the chip in one piece, continued by reflection as far as the network sees."""
    rows, columns = electrons.shape
    pad = 128
    y, x = (reflected(-pad, -(-length // 16) * 16 + pad, length) for length in (rows, columns))
    image = normalise(torch.from_numpy(electrons[np.ix_(y, x)]), sky, noise)
    return torch.sigmoid(net(image[None, None]))[0, 0, pad : pad + rows, pad : pad + columns].numpy()


@pytest.mark.parametrize("shape", [(130, 257), (64, 64), (51, 300), (5, 7), (1, 40)])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_no_seam_shows(depth: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    electrons = (rng.normal(30, 6, shape) + 500 * (rng.random(shape) < 0.02)).astype(np.float32)
    net = lively(depth)
    expected = whole_chip(net, electrons, 30.0, 6.0)
    assert expected.std() > 1e-3, "a flat map would show nothing"
    for tile in (64, 100):
        tiled = predict_probability(net, electrons, 30.0, 6.0, margin=net.margin, step=net.step, tile=tile)
        np.testing.assert_allclose(tiled, expected, rtol=0, atol=ROUNDING)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own parts
def test_a_compiled_network_gives_the_same_map(trained: Path) -> None:
    image = np.random.default_rng(1).normal(30, 6, (70, 90)).astype(np.float32)
    image[20:23, 30:60] += 900
    usable = np.ones(image.shape, bool)
    checkpoint = trained / "checkpoints" / "best.ckpt"
    plain, compiled = (
        ExposurePredictor(load_model(checkpoint), compile=asked).chip_probability(image, ~usable)
        for asked in (False, True)
    )
    assert plain.max() > 0.01
    np.testing.assert_allclose(compiled, plain, atol=1e-5)


def test_a_margin_too_small_would_show() -> None:
    rng = np.random.default_rng(1)
    electrons = rng.normal(30, 60, (128, 128)).astype(np.float32)
    net = lively(2)
    expected = whole_chip(net, electrons, 30.0, 6.0)
    tiled = predict_probability(net, electrons, 30.0, 6.0, margin=net.margin - 2, step=net.step, tile=64)
    assert np.abs(tiled - expected).max() > ROUNDING


@given(st.integers(1, 60), st.integers(-200, 0), st.integers(1, 300))
def test_reflection_repeats_the_axis(length: int, start: int, count: int) -> None:
    index = reflected(start, start + count, length)
    assert index.min() >= 0
    assert index.max() < length
    inside = [n for n in range(start, start + count) if 0 <= n < length]
    assert [index[n - start] for n in inside] == inside
    assert (np.abs(np.diff(index)) == (length > 1)).all()


@given(st.integers(1, 5000), st.integers(64, 1024), st.sampled_from([1, 2, 4, 8, 16]))
def test_windows_cover_once(length: int, tile: int, step: int) -> None:
    tile = tile // step * step
    covered = np.zeros(length, int)
    for start, stop in windows(length, tile, step):
        assert start % step == 0
        assert 0 < stop - start <= tile
        covered[start:stop] += 1
    assert (covered == 1).all()


def test_mask_is_above_the_threshold_on_usable_pixels() -> None:
    probability = np.zeros((9, 9), np.float32)
    probability[4, 4], probability[0, 0], probability[8, 8] = 0.9, 0.5, 0.9
    usable = np.ones((9, 9), bool)
    usable[8, 8], usable[3, 3] = False, False
    assert np.argwhere(threshold_mask(probability, 0.5, usable)).tolist() == [[4, 4]]
    grown = threshold_mask(probability, 0.5, usable, grow=1)
    assert grown.sum() == 8
    assert not grown[3, 3]
    assert not grown[7, 7], "what is not usable does not grow"
    assert threshold_mask(probability, 0.5, grow=2)[2:7, 2:7].all()


def test_fill_takes_the_median_around() -> None:
    image = np.arange(49, dtype=np.float32).reshape(7, 7)
    image[3, 3] = 10_000
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = True
    assert fill_median(image, mask)[3, 3] == 24
    usable = np.ones((7, 7), bool)
    usable[2, 2:5] = False
    assert fill_median(image, mask, usable)[3, 3] == np.median([23, 25, 30, 31, 32])


def test_fill_grows_its_box_over_large_holes() -> None:
    image = np.full((30, 30), 5, np.float32)
    mask = np.zeros((30, 30), bool)
    mask[5:20, 5:20] = True
    image[mask] = np.nan
    np.testing.assert_array_equal(fill_median(image, mask), 5)


def test_a_hole_of_any_size_is_filled_in_a_moment() -> None:
    image = np.arange(200 * 200, dtype=np.float32).reshape(200, 200)
    mask = np.zeros(image.shape, bool)
    mask[20:180, 20:180] = True
    filled = fill_median(np.where(mask, np.nan, image).astype(np.float32), mask)
    assert np.isfinite(filled).all()
    assert filled[100, 22] == pytest.approx(image[100, 20], abs=1000)


@pytest.mark.parametrize("fill", FILLS)
def test_fills_go_under_a_cosmic_ray(fill: str) -> None:
    y, x = np.mgrid[:40, :40]
    smooth = (20 + 0.5 * y + 100 * np.exp(-((y - 20) ** 2 + (x - 20) ** 2) / 60)).astype(np.float32)
    mask = np.zeros(smooth.shape, bool)
    mask[18:22, 10:14], mask[0, 0], mask[3:16, 25:38] = True, True, True
    usable = np.ones(smooth.shape, bool)
    usable[18:22, 14] = False
    image = np.where(mask | ~usable, 50_000, smooth).astype(np.float32)
    filled = FILLS[fill](image, mask, usable)
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    assert np.abs(filled - smooth)[mask].max() < 25
    all_masked = np.ones(smooth.shape, bool)
    np.testing.assert_array_equal(FILLS[fill](image, all_masked, usable), image)


@settings(max_examples=50)
@given(
    hnp.arrays(np.float32, (8, 11), elements=st.floats(-100, 1e5, width=32)),
    hnp.arrays(bool, (8, 11)),
    hnp.arrays(bool, (8, 11)),
)
def test_fill_leaves_the_rest_alone(image: np.ndarray, mask: np.ndarray, usable: np.ndarray) -> None:
    before = image.copy()
    filled = fill_median(image, mask, usable)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    good = ~mask & usable
    if good.any():
        assert (
            filled[mask].size == 0 or image[good].min() <= filled[mask].min() <= filled[mask].max() <= image[good].max()
        )


def test_predictor_maps_every_chip(trained: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.normal(30, 6, shape) for shape in ((70, 90), (33, 41))]
    images[0][40, 40] += 3000
    images[0][5, 5] = np.nan
    exposure = read_exposure(write_hst(tmp_path / "icau01abq_flc.fits", images))
    model = load_model(trained / "checkpoints" / "best.ckpt")
    maps = ExposurePredictor(model, tile=64).probabilities(exposure)
    assert [probability.shape for probability in maps] == [(70, 90), (33, 41)]
    for probability in maps:
        assert probability.dtype == np.float32
        assert np.isfinite(probability).all()
        assert 0 <= probability.min() <= probability.max() <= 1


def test_tile_is_checked(trained: Path) -> None:
    with pytest.raises(InputError, match="tile=8"):
        ExposurePredictor(load_model(trained / "checkpoints" / "best.ckpt"), tile=8)
