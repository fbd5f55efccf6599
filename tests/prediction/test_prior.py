"""Maps of chips that fewer cosmic rays cover than those that taught the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcr_lightning.export import main as export
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import SHIPPED
from deepcr_lightning.prediction.finder import CosmicRayFinder
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.prediction.prior import lower_to_share

TAUGHT = 0.02


def lowered(found: np.ndarray, usable: np.ndarray | None = None, taught: float = TAUGHT) -> np.ndarray:
    made = torch.from_numpy(found.astype(np.float32))[None].clone()
    counts = np.ones(found.shape, bool) if usable is None else usable
    lower_to_share(made, torch.from_numpy(counts)[None], taught)
    return made[0].numpy()


def log_odds(found: np.ndarray) -> np.ndarray:
    return np.log(found / (1 - found.astype(float)))


def posterior(share: float, shape: tuple[int, int] = (600, 500), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Give what a network knows that was taught with a share of 2 %, and what is true, at another share."""
    rng = np.random.default_rng(seed)
    true = rng.random(shape) < share
    seen = rng.normal(np.where(true, 3.5, 0), 1)
    # Two normal distributions of one width: the log odds are a straight line (Bishop 2006, section 4.2).
    return 1 / (1 + np.exp(-(3.5 * seen - 3.5**2 / 2 + np.log(TAUGHT / (1 - TAUGHT))))), true


@given(st.integers(0, 10_000), st.floats(1e-4, 0.5), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_nothing_is_raised_nor_leaves_its_order(seed: int, taught: float, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    found = (rng.random((rows, columns)) ** rng.integers(1, 200)).astype(np.float32)
    found.flat[0], found.flat[-1] = 0, 1
    made = lowered(found, rng.random((rows, columns)) < 0.9, taught)
    assert (made <= found * (1 + 1e-6)).all()
    assert made.min() >= 0
    in_order = made.flatten()[np.argsort(found, axis=None, kind="stable")]
    assert (np.diff(in_order) >= -1e-6).all()
    assert (made.flat[0], made.flat[-1]) == (0, 1) or found.size == 1


@pytest.mark.parametrize("share", [0.01, 0.003, 0.001])
def test_a_part_of_what_the_true_share_asks_for(share: float) -> None:
    found, true = posterior(share)
    made = lowered(found)
    change = (log_odds(made) - log_odds(found))[(found > 1e-3) & (found < 0.999)]
    asked = np.log(true.mean() / TAUGHT)
    assert change.std() < 1e-3
    assert change.mean() == pytest.approx(0.3 * asked, abs=0.07)
    # Nearer to the truth, in the mean and in the score that is proper (Brier 1950).
    assert abs(made.mean() - true.mean()) < abs(found.mean() - true.mean())
    assert ((made - true) ** 2).mean() < ((found - true) ** 2).mean()


@pytest.mark.parametrize("share", [0.021, 0.1])
def test_chips_that_as_many_cover_are_left_as_they_are(share: float) -> None:
    found, _ = posterior(share)
    np.testing.assert_array_equal(lowered(found), found.astype(np.float32))


def test_an_empty_chip_is_lowered_by_a_bound_that_leaves_a_sure_cosmic_ray() -> None:
    found = np.full((3000, 3000), 1e-7)
    found[500, 500:505] = [0.6, 0.999, 0.9999, 0.999, 0.6]
    made = lowered(found)
    np.testing.assert_allclose(log_odds(made) - log_odds(found.astype(np.float32)), -2, atol=2e-3)
    assert (made[500, 501:504] > 0.99).all()
    assert (made[500, [500, 504]] < 0.5).all()


def test_a_small_image_says_little() -> None:
    found = np.full((16, 16), 1e-4)
    change = (log_odds(lowered(found)) - log_odds(found.astype(np.float32))).mean()
    assert -0.2 < change < 0


def test_pixels_of_no_use_do_not_count() -> None:
    found, _ = posterior(0.001)
    usable = np.ones(found.shape, bool)
    usable[:200] = False
    hidden = found.copy()
    hidden[:100] = 0.99
    np.testing.assert_allclose(lowered(hidden, usable)[200:], lowered(found[200:]), rtol=0.03)
    faint = np.full(found.shape, 2e-3)  # its share is that of small probabilities alone
    usable[60:] = False
    usable[:60] = True
    np.testing.assert_allclose(lowered(faint, usable)[:60], lowered(faint[:60]), rtol=1e-4)
    none = lowered(found, np.zeros(found.shape, bool))
    np.testing.assert_array_equal(none, found.astype(np.float32))


def test_chips_of_a_batch_are_lowered_each_by_its_own_share() -> None:
    shares = (0.0005, 0.03, 0.004)
    chips = [posterior(share, (120, 130), seed)[0].astype(np.float32) for seed, share in enumerate(shares)]
    batch = torch.from_numpy(np.stack(chips))
    lower_to_share(batch, torch.ones(batch.shape, dtype=torch.bool), TAUGHT)
    for chip, made in zip(chips, batch.numpy(), strict=True):
        np.testing.assert_array_equal(made, lowered(chip))
    np.testing.assert_array_equal(batch.numpy()[1], chips[1])
    assert (batch.numpy()[0] < chips[0]).any()
    assert (batch.numpy()[2] < chips[2]).any()


def test_a_map_that_saturates_is_divided_first(trained: Path) -> None:
    model = load_model(trained / "checkpoints" / "best.ckpt")
    image = faint_peaks(1)[0]
    plain = ExposurePredictor(model, plateau=0.8).chip_probability(image, np.zeros(image.shape, bool))
    both = replace(model, card=replace(model.card, prior=0.2))
    made = ExposurePredictor(both, plateau=0.8).chip_probability(image, np.zeros(image.shape, bool))
    assert (made < plain).any()
    np.testing.assert_allclose(made, lowered(plain, taught=0.2), atol=1e-6)


def faint_peaks(count: int = 3, shape: tuple[int, int] = (300, 330)) -> np.ndarray:
    rng = np.random.default_rng(count)
    images = rng.normal(100, 10, (count, *shape)).astype(np.float32)
    for image in images:
        image[rng.integers(0, shape[0], 40), rng.integers(0, shape[1], 40)] += 60
    for row, column in zip(range(8, 290, 7), rng.permutation(range(10, 310, 7)), strict=False):
        images[0, row, column : column + 4] += 4000
        images[0, row + 1, column + 4 : column + 6] += 2000
    return images


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_model_does_it_chip_by_chip(name: str) -> None:
    model = load_model(name)
    assert model.card.prior is not None
    alone = CosmicRayFinder(replace(model, card=replace(model.card, prior=None)))
    images, changes = faint_peaks(), []
    stack = CosmicRayFinder(model).clean(images).probability
    for image, in_stack in zip(images, stack, strict=True):
        made, found = CosmicRayFinder(model).probability(image), alone.probability(image)
        np.testing.assert_allclose(in_stack, made, atol=1e-5)
        in_tiles = ExposurePredictor(model, tile=64).chip_probability(image, np.zeros(image.shape, bool))
        np.testing.assert_allclose(in_tiles, made, atol=1e-4)
        change = (log_odds(made) - log_odds(found))[(found > 1e-3) & (found < 0.999)]
        assert change.std() < 1e-2
        changes.append(change.mean())
    assert -2 < changes[0] < -0.05
    assert max(changes[1:]) < changes[0] - 0.2


def test_another_program_is_told_that_the_network_alone_does_not(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint[DESCRIPTION_KEY]["prior"] = TAUGHT
    torch.save(checkpoint, tmp_path / "with.ckpt")
    for path, said in ((tmp_path / "with.ckpt", True), (trained / "checkpoints" / "best.ckpt", False)):
        assert export([str(path), str(tmp_path / "net.pth")]) == 0
        assert ("cover less than 0.02" in capsys.readouterr().out) == said
    assert load_model(tmp_path / "with.ckpt").card.prior == TAUGHT
    assert export([str(tmp_path / "with.ckpt"), str(tmp_path / "lean.ckpt")]) == 0
    assert load_model(tmp_path / "lean.ckpt").card.prior == TAUGHT
