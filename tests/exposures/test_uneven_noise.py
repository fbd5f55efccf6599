"""Noise that differs over a chip: told from stars, light and rounding, and made even before a network sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.uneven_noise import uneven_noise
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.hand_over import export
from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import SHIPPED
from deepcr_lightning.prediction.finder import CosmicRayFinder
from deepcr_lightning.prediction.predictor import PACES, ExposurePredictor, Pace

SHAPE = (512, 500)


def sky(shape: tuple[int, int] = SHAPE, noise: float | NDArray = 10.0, seed: int = 0) -> NDArray[np.float32]:
    return (100 + noise * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def halves(shape: tuple[int, int], factor: float) -> NDArray[np.float64]:
    return np.where(np.arange(shape[1]) < shape[1] // 2, 1.0, factor)[None] * np.ones(shape)


def measured(image: NDArray[np.float32], usable: NDArray[np.bool_] | None = None) -> NDArray[np.float32] | None:
    usable = np.ones(image.shape, bool) if usable is None else usable
    return uneven_noise(image, usable, *sky_and_noise(image, usable))


@pytest.mark.parametrize(("shape", "side"), [((512, 500), 64), ((192, 640), 64), ((1200, 1100), 128)])
@pytest.mark.parametrize("factor", [1.4, 1.8, 0.5])
def test_the_noise_of_two_amplifiers(shape: tuple[int, int], side: int, factor: float) -> None:
    image = sky(shape, 10 * halves(shape, factor))
    usable = np.random.default_rng(1).random(shape) > 0.05
    image[~usable] = 5e4
    found = measured(image, usable)
    assert found is not None
    assert found.dtype == np.float32
    assert found.shape == tuple(round(length / side) for length in shape)
    left, right = found[:, : found.shape[1] // 2 - 1], found[:, (found.shape[1] + 1) // 2 + 1 :]
    assert np.median(right) / np.median(left) == pytest.approx(factor, rel=0.08)
    noise = sky_and_noise(image, usable)[1]
    assert noise * np.median(left) == pytest.approx(10, rel=0.08)
    assert left.std() < 0.08 * left.mean()
    assert right.std() < 0.08 * right.mean()


def test_noise_that_grows_along_a_chip() -> None:
    grows = np.linspace(1, 2, SHAPE[1])[None]
    found = measured(sky(noise=10 * grows))
    assert found is not None
    blocks = grows[0][: 8 * (SHAPE[1] // 8)].reshape(8, -1).mean(1)
    along = np.median(found, 0)
    np.testing.assert_allclose(along / along[0], blocks / blocks[0], rtol=0.1)


def with_stars(image: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    rng, (y, x) = np.random.default_rng(count), np.mgrid[-9:10, -9:10]
    for row, column in rng.integers(10, 490, (count, 2)):
        light = 10 ** rng.uniform(1, 4.5) * np.exp(-(y**2 + x**2) / 4)
        image[row - 9 : row + 10, column - 9 : column + 10] += rng.poisson(light)
    return image


def with_wings(image: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Moffat stars, whose wings reach far, of up to 5000 times their own noise."""
    rng, light, (y, x) = np.random.default_rng(count), np.zeros(SHAPE), np.indices(SHAPE)
    for row, column in rng.integers(0, 500, (count, 2)):
        light += 10 ** rng.uniform(1.5, 7.4) * (1 + ((y - row) ** 2 + (x - column) ** 2) / 1.2) ** -2.5
    return image + rng.poisson(light).astype(np.float32)


EVEN = {
    "sky": lambda: sky(),
    "few stars": lambda: with_stars(sky(), 100),
    "a crowd": lambda: with_stars(sky(), 3000),
    "bright stars with wings": lambda: with_wings(sky(noise=7), 250),
    "light that grows": lambda: np.random.default_rng(2).poisson(np.linspace(100, 5000, 500), SHAPE).astype(np.float32),
    "a spectrum": lambda: sky() + 3000 * (np.abs(np.arange(512) % 16 - 8) < 3)[:, None].astype(np.float32),
    "coarse steps": lambda: 5 * np.round(sky(noise=10 * halves(SHAPE, 1.6)) / 5),
    "steps that the scatter of blocks falls between": lambda: np.round(sky(noise=np.linspace(3.55, 3.8, 500)[None])),
    "all alike": lambda: np.full(SHAPE, 7, np.float32),
    "smoothed": lambda: (sky() + np.roll(sky(), 1, 1)) / 2,
    "too small": lambda: sky((90, 90), 10 * halves((90, 90), 2.0)),
    "narrow": lambda: sky((20, 2000), 10 * halves((20, 2000), 2.0)),
}


@pytest.mark.parametrize("name", EVEN)
def test_what_is_no_uneven_noise(name: str) -> None:
    assert measured(EVEN[name]().astype(np.float32)) is None


def test_blocks_with_stars_light_or_little_that_is_usable_take_the_noise_of_others() -> None:
    image, usable = sky(noise=10 * halves(SHAPE, 1.8)), np.ones(SHAPE, bool)
    image[64:128, 62:124] += np.random.default_rng(4).poisson(3000, (64, 62))
    image[256:320, 312:375] = with_stars(sky(), 3000)[:64, :63]
    usable[320:384, 62:124] = np.random.default_rng(5).random((64, 62)) > 0.6
    image[~usable] = -1e6
    found = measured(image, usable)
    assert found is not None
    assert found[1, 1] == pytest.approx(np.median(found[:, :3]), rel=0.08)
    assert found[4, 5] == pytest.approx(np.median(found[:, 5:]), rel=0.08)
    assert found[5, 1] == pytest.approx(np.median(found[:, :3]), rel=0.08)


def test_the_largest_numbers_give_no_warning() -> None:
    for factor in (1e19, 1e21, 1e35):
        measured((factor * (sky(noise=10 * halves(SHAPE, 2.0)) - 100)).astype(np.float32))
    image = sky()
    image[10, 10:14] = [3e38, -3e38, 3e38, -3e38]
    assert measured(image) is None


def test_nothing_usable() -> None:
    assert uneven_noise(sky(), np.zeros(SHAPE, bool), 100.0, 10.0) is None


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_any_image_gives_bounded_numbers_or_none(rows: int, columns: int, hidden: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = (rng.normal(size=(rows, columns)) * 10 ** rng.uniform(-3, 5, (rows, columns))).astype(np.float32)
    usable = rng.random(image.shape) >= hidden
    found = measured(image, usable)
    if found is not None:
        assert np.isfinite(found).all()
        assert found.min() >= 0.4
        assert found.max() <= 4


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_model_is_not_misled(name: str) -> None:
    model = load_model(name)
    assert model.card.evens_noise
    before = CosmicRayFinder(replace(model, card=replace(model.card, evens_noise=False)))
    image = sky(noise=10 * halves(SHAPE, 2.0), seed=3)
    hit = np.zeros(SHAPE, bool)
    hit[20:500:40, 100:106] = hit[20:500:40, 400:406] = True
    image[hit] += 900
    kept = image.copy()
    stack = CosmicRayFinder(model).clean(np.stack([image, sky(), image])).mask
    mask = CosmicRayFinder(model).find_cosmic_rays(image)
    np.testing.assert_array_equal(image, kept)
    np.testing.assert_array_equal(stack[0], mask)
    np.testing.assert_array_equal(stack[2], mask)
    touches = np.zeros(SHAPE, bool)
    for rows in (-1, 0, 1):
        for columns in (-1, 0, 1):
            touches |= np.roll(hit, (rows, columns), (0, 1))
    assert mask[hit].mean() > 0.85
    false, false_before = (int((found & ~touches).sum()) for found in (mask, before.find_cosmic_rays(image)))
    assert false <= 10
    assert false_before > 5 * false
    # Where the noise is even nothing changes.
    np.testing.assert_array_equal(CosmicRayFinder(model).probability(sky()), before.probability(sky()))


def test_chips_of_a_batch_have_each_its_own_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model()
    chips = [sky((192, 200), 10 * halves((192, 200), factor), seed) for seed, factor in enumerate((1.0, 2.0, 1.5, 1.0))]
    hidden = np.zeros((192, 200), bool)
    alone = [ExposurePredictor(model).chip_probability(chip, hidden) for chip in chips]
    monkeypatch.setitem(PACES, "cpu", Pace(tile=64, pixels=4 * 192 * 200, lanes=2))
    kept = [chip.copy() for chip in chips]
    together = [found for (found,) in ExposurePredictor(model).each([(chip, hidden) for chip in chips])]
    for one, other, chip, before in zip(together, alone, chips, kept, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        np.testing.assert_array_equal(chip, before)
    plain = ExposurePredictor(replace(model, card=replace(model.card, evens_noise=False)))
    changes = [
        not np.allclose(plain.chip_probability(chip, hidden), other) for chip, other in zip(chips, alone, strict=True)
    ]
    assert changes == [False, True, True, False]


def test_cosmic_rays_on_light_in_the_noisier_half_are_found_as_before() -> None:
    """Light brings noise of its own, which is as large in either half."""
    rng, (y, x) = np.random.default_rng(7), np.indices(SHAPE)
    more = halves(SHAPE, 4.0)
    light = 5 + 1e4 * (np.hypot(y - 256, x - 380) < 90)
    image = (rng.poisson(light) + 4 * more * rng.normal(size=SHAPE)).astype(np.float32)
    hit = np.zeros(SHAPE, bool)
    for row, column in rng.integers(30, 470, (400, 2)):
        hit[row, column : column + 2] = hit[row + 1, column + 1 : column + 3] = True
    hit &= np.hypot(y - 256, x - 380) < 80
    image[hit] += 9 * np.sqrt(1e4 + (4 * 4.0) ** 2)
    model = load_model()
    # False pixels elsewhere make the prior larger.
    before, found = (
        CosmicRayFinder(replace(model, card=replace(model.card, evens_noise=evens, prior=None))).find_cosmic_rays(image)
        for evens in (False, True)
    )
    assert measured(image) is not None
    assert found[hit].mean() > before[hit].mean() - 0.02
    assert before[hit].mean() > 0.8


def test_scales_without_noise_are_left_alone(trained: Path, tmp_path: Path) -> None:
    model = load_model(trained / "checkpoints" / "best.ckpt")
    assert model.card.makes_noise_even
    other = replace(model.card, data=replace(model.card.data, normalisation="electrons"))
    assert not other.makes_noise_even
    image, hidden = sky(noise=10 * halves(SHAPE, 2.0)), np.zeros(SHAPE, bool)
    plain = replace(other, evens_noise=False)
    maps = [ExposurePredictor(replace(model, card=card)).chip_probability(image, hidden) for card in (other, plain)]
    np.testing.assert_array_equal(*maps)
    for card, said in ((model.card, True), (other, False)):
        told = export(replace(model, card=card), tmp_path / "net.pth")
        assert ("makes the noise of a chip even first" in told) == said


def test_a_checkpoint_of_an_earlier_version_keeps_its_map(trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    assert load_model(trained / "checkpoints" / "best.ckpt").card.evens_noise
    del checkpoint[DESCRIPTION_KEY]["noise"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    old, image = load_model(tmp_path / "old.ckpt"), sky(noise=10 * halves(SHAPE, 2.0))
    assert not old.card.evens_noise
    new = CosmicRayFinder(replace(old, card=replace(old.card, evens_noise=True)))
    assert not np.array_equal(CosmicRayFinder(old).probability(image), new.probability(image))
    np.testing.assert_array_equal(CosmicRayFinder(old).probability(sky()), new.probability(sky()))
