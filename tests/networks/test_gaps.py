"""Gaps: closed smoothly before the network, in prediction as in training; and those that training adds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepcr_lightning.batches.augment import Augmentation, hot_columns
from deepcr_lightning.batches.compose import compose_batch
from deepcr_lightning.batches.drawn_gaps import draw_gaps
from deepcr_lightning.errors import InputError
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.contrast import contrast
from deepcr_lightning.networks.gaps import close_gaps
from deepcr_lightning.networks.scale import asinh
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.prediction.predictor import ExposurePredictor


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_closed_gaps_lie_within_what_is_known(rows: int, columns: int, share: float, seed: int) -> None:
    torch.manual_seed(seed)
    image, usable = torch.randn(2, 1, rows, columns), torch.rand(2, 1, rows, columns) >= share
    image[~usable] = 1e6
    before = image.clone()
    closed = close_gaps(image, usable)
    assert torch.equal(image, before), "the input is not changed"
    assert torch.equal(closed[usable], image[usable])
    for one, known, was in zip(closed, usable, image, strict=True):
        low, high = (was[known].min(), was[known].max()) if known.any() else (0.0, 0.0)
        assert (one >= low - 1e-4).all()
        assert (one <= high + 1e-4).all()


def test_a_wide_gap_in_a_slope_follows_it_at_its_edge() -> None:
    y, x = torch.meshgrid(torch.arange(120.0), torch.arange(130.0), indexing="ij")
    slope, usable = 0.1 * y + 0.05 * x, torch.ones(120, 130, dtype=torch.bool)
    usable[40:80, 50:100] = False
    closed = close_gaps(slope.mT, usable.mT).mT  # of any layout in memory
    inner = (closed - slope).abs()[~usable]
    assert inner.max() < 1.0
    edge = (closed - slope).abs()[40, 50:100]
    assert edge.max() < 0.3
    assert torch.equal(close_gaps(slope, torch.ones_like(usable)), slope)


def test_contrast_is_that_of_the_sky_on_bright_light_too() -> None:
    sky = torch.zeros(1, 1, 40, 40)
    light = 45 * torch.ones(1, 1, 40, 40)  # some 60 000 electrons
    for ground in (sky, light):
        struck = ground.clone()
        struck[..., 20, 10:14] = 10 * torch.asinh(torch.sinh(ground[0, 0, 0, 0] / 10) + 1.0)  # ten sigma
        seen = contrast(struck)
        assert seen[..., 20, 10:14].min() == pytest.approx(5 * np.arcsinh(2), rel=1e-3)
        assert seen[..., 30:, :].abs().max() == 0
    wide = sky.clone()
    wide[..., 10:20, 10:20] = 30.0
    assert contrast(wide).max() == 0, "what is wider than the window is no contrast"


def test_prediction_never_sees_what_stands_in_a_gap(trained: Path) -> None:
    predictor = ExposurePredictor(load_model(trained / "checkpoints" / "best.ckpt"))
    rng = np.random.default_rng(4)
    image = rng.normal(3000, 60, (96, 96)).astype(np.float32)
    unusable = np.zeros(image.shape, bool)
    unusable[40:52, 30:60] = True
    maps = []
    for value in (-999.0, 0.0, 65000.0):
        hurt = image.copy()
        hurt[unusable] = value
        maps.append(predictor.chip_probability(hurt, unusable))
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])


def test_models_of_earlier_versions_see_their_gaps_as_before(trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    del checkpoint["deepcr_lightning"]["gaps"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    old, new = (
        ExposurePredictor(load_model(path)) for path in (tmp_path / "old.ckpt", trained / "checkpoints" / "best.ckpt")
    )
    image = np.random.default_rng(4).normal(30, 6, (96, 96)).astype(np.float32)
    unusable = np.zeros(image.shape, bool)
    np.testing.assert_array_equal(old.chip_probability(image, unusable), new.chip_probability(image, unusable))
    image[40:44, 40:44] = 5000
    unusable[40:44, 40:44] = True
    assert not np.array_equal(old.chip_probability(image, unusable), new.chip_probability(image, unusable))
    np.testing.assert_array_equal(old.chip_probability(image, unusable), old.chip_probability(image, ~(image < 9e9)))


def test_training_gaps_are_few_and_of_every_kind() -> None:
    image = torch.randn(400, 64, 64)
    image[:, 30:33, 30:33] = 40.0
    gaps = draw_gaps(image, 1.0, torch.Generator().manual_seed(1))
    assert 0.01 < gaps.float().mean() < 0.3
    whole_columns = gaps.all(1).any(1).float().mean()
    assert 0.0 < whole_columns < 0.5
    assert gaps[:, 31, 31].float().mean() > 0.5
    assert not draw_gaps(image, 0.0, torch.Generator().manual_seed(1)).any()
    with pytest.raises(InputError, match="gaps"):
        Augmentation(gaps=1.5)


def blank_batch() -> dict[str, torch.Tensor]:
    one = torch.ones(2)
    return {
        "electrons": torch.full((2, 64, 64), 50.0),
        "usable": torch.ones(2, 64, 64, dtype=torch.bool),
        "sky": 50 * one,
        "noise": 7 * one,
        "science_time": one,
        "charge": torch.zeros(2, 1, 64, 64),
        "kind": torch.zeros(2, 1, 64, 64, dtype=torch.uint8),
        "dark_time": torch.ones(2, 1),
        "dark_noise": torch.ones(2, 1),
    }


def test_hot_pixels_are_bright_and_no_cosmic_rays() -> None:
    generator = torch.Generator().manual_seed(3)
    made = [compose_batch(blank_batch(), generator, Augmentation(hot=1.0)) for _ in range(20)]
    images = torch.cat([each["image"] for each in made])
    bright = images > 4
    assert 1e-5 < bright.float().mean() < 3e-2  # columns among them
    assert (images < -2.9).any()
    assert not torch.cat([each["cr_mask"] for each in made]).any()
    assert not torch.cat([each["ignore"] for each in made]).any()
    with pytest.raises(InputError, match="hot"):
        Augmentation(hot=-0.1)


def test_hot_columns_run_to_an_edge_and_hold_one_charge() -> None:
    drawn = hot_columns(4000, 48, 1.0, torch.Generator().manual_seed(3))
    some = drawn[drawn.flatten(1).any(1)]
    assert 0.2 < len(some) / len(drawn) < 0.25
    upright = torch.stack([tile if tile.bool().any(0).sum() <= tile.bool().any(1).sum() else tile.mT for tile in some])
    hot = upright.bool()
    assert 1 < hot.any(1).sum(1).float().mean() < 6
    for column, where in zip(upright.mT[hot.any(1)], hot.mT[hot.any(1)], strict=True):
        assert where[0] or where[-1]
        assert where.sum() >= 16
        assert column[where].unique().numel() == 1
        assert where.diff().sum() == (~where).any()  # in one piece
    assert hot_columns(50, 8, 1.0, torch.Generator().manual_seed(3)).isfinite().all()
    charge = upright[hot]
    assert charge.max() > 500
    assert charge.median() < 60
    rows = (some != 0).all(2).any(1).float().mean()
    assert 0 < rows < 0.3


def test_hot_columns_are_no_cosmic_rays() -> None:
    generator = torch.Generator().manual_seed(4)
    made = [compose_batch(blank_batch(), generator, Augmentation(hot=1.0)) for _ in range(20)]
    images = torch.cat([each["image"] for each in made])
    assert ((images > 2).float().mean(2) > 0.95).any() or ((images > 2).float().mean(3) > 0.95).any()
    assert not torch.cat([each["cr_mask"] for each in made]).any()


def test_composed_gaps_do_not_count() -> None:
    made = compose_batch(blank_batch(), torch.Generator().manual_seed(2), Augmentation(gaps=1.0))
    assert made["unusable"].any()
    assert (made["ignore"] | ~made["unusable"]).all()


@given(hnp.arrays(np.float32, st.integers(1, 30), elements=st.floats(-(2.0**59), 2.0**59, width=32)))
def test_asinh_is_that_of_pytorch(values: np.ndarray) -> None:
    given_ = torch.from_numpy(values)
    torch.testing.assert_close(asinh(given_), torch.asinh(given_), rtol=4e-7, atol=1e-30)


@pytest.mark.parametrize("shape", [(1, 1, 6, 8), (2, 1, 5, 7), (1, 3, 8, 9)])
@pytest.mark.parametrize("contrasted", [False, True])
@pytest.mark.parametrize("fold", [1, 2])
def test_folding_is_that_of_pytorch(fold: int, contrasted: bool, shape: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    inputs = 1 if contrasted else shape[1]
    image = torch.randn(shape[0], inputs, *shape[2:])
    net = UNet(1, 4, inputs=inputs, outputs=2, contrast=contrasted, fold=fold)
    planes = torch.cat([image, contrast(image)], 1) if contrasted else image
    edges = (0, -shape[3] % fold, 0, -shape[2] % fold)
    folded = net.folded(image)
    assert torch.equal(folded, F.pixel_unshuffle(F.pad(planes, edges, mode="replicate"), fold))
    numbers = torch.randn(shape[0], 2 * fold**2, *folded.shape[2:])
    for laid_out in (numbers, numbers.contiguous(memory_format=torch.channels_last)):
        expected = F.pixel_shuffle(numbers, fold)[..., : shape[2], : shape[3]]
        assert torch.equal(net.unfolded(laid_out, image), expected)
