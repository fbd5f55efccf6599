"""Training images that were interpolated with their cosmic rays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcr_lightning.batches.augment import Augmentation
from deepcr_lightning.batches.compose import compose_batch
from deepcr_lightning.batches.resampled import draw_resampling, noise_share, resample, touched
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.networks.scale import normalise
from deepcr_lightning.tiles.dark_cr import UNKNOWN


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(-1e4, 1e4))
def test_interpolation_keeps_a_level_and_the_light_of_a_source(seed: int, level: float) -> None:
    weights = draw_resampling(4, 1.0, generator(seed))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4))
    plane = torch.full((4, 16, 16), level)
    torch.testing.assert_close(resample(plane, weights), plane, rtol=1e-4, atol=1e-4)
    source = torch.zeros(4, 16, 16)
    source[:, 8, 7] = 1000.0
    moved = resample(source, weights)
    torch.testing.assert_close(moved.sum((1, 2)), torch.full((4,), 1000.0), rtol=1e-4, atol=0.1)
    peaks = moved.flatten(1).argmax(1)
    assert ((peaks // 16 - 8).abs() <= 1).all(), "by no more than a part of a pixel"
    assert ((peaks % 16 - 7).abs() <= 1).all()


def test_kinds_of_interpolation_are_among_the_drawn() -> None:
    weights = draw_resampling(400, 1.0, generator())[0]
    linear = ((weights != 0).sum(-1) <= 2).float().mean()
    ringing = (weights.min(-1).values < -1e-3).float().mean()
    assert 0.3 < linear < 0.5
    assert 0.3 < ringing < 0.5
    assert draw_resampling(400, 0.0, generator())[..., 3].eq(1).all()


def test_the_noise_is_what_prediction_would_measure() -> None:
    """Noise that interpolation correlates is measured too small, and a network has to have seen it so."""
    weights = draw_resampling(16, 1.0, generator())
    images = resample(100 + 10 * torch.randn(16, 200, 200, generator=generator(2)), weights).numpy()
    measured = [sky_and_noise(image, np.ones(image.shape, bool))[1] for image in images]
    np.testing.assert_allclose(measured, 10 * noise_share(weights).flatten(), rtol=0.05)
    assert (noise_share(weights).flatten() < (weights**2).sum(-1).prod(0).sqrt()).sum() > 10, "less than there is"


def test_what_an_unusable_pixel_lends_to_is_unusable() -> None:
    weights = draw_resampling(64, 1.0, generator())
    lost = torch.zeros(64, 16, 16, dtype=torch.bool)
    lost[:, 8, 8] = True
    charge = resample(torch.where(lost, 1e5, 0.0), weights)
    assert (charge[~touched(lost, weights)].abs() <= 1e3).all()


def _batch() -> dict[str, torch.Tensor]:
    """Twelve blank tiles with one bright track each, and one that drowns in the noise."""
    count, size = 12, 48
    charge = torch.zeros(count, 1, size, size)
    charge[:, 0, 20:30, 24] = 600.0
    charge[:, 0, 10, 10] = 6.0
    return {
        "electrons": 30 + 6 * torch.randn(count, size, size, generator=generator(3)),
        "usable": torch.ones(count, size, size, dtype=torch.bool),
        "sky": torch.full((count,), 30.0),
        "noise": torch.full((count,), 6.0),
        "science_time": torch.full((count,), 900.0),
        "charge": charge,
        "kind": (charge > 0).to(torch.uint8),
        "dark_noise": torch.zeros(count, 1),
        "dark_time": torch.full((count, 1), 900.0),
        "seed": torch.arange(count),
    }


def test_cosmic_rays_are_interpolated_with_the_image_and_their_labels_too() -> None:
    batch = _batch()
    composed = compose_batch(batch, generator(), Augmentation(resampled=1.0), label_snr=3.0)
    weights = draw_resampling(12, 1.0, _after_other_draws(batch))
    noise = 6.0 * noise_share(weights)
    total = resample(batch["electrons"] + batch["charge"][:, 0], weights)
    torch.testing.assert_close(composed["image"][:, 0], normalise(total, 30.0, noise))
    torch.testing.assert_close(composed["noise"][:, 0], noise)
    charge = resample(batch["charge"][:, 0], weights)
    variance = 36 + (batch["electrons"] - 30).clamp(min=0)  # light above the sky brings its own
    assert torch.equal(composed["cr_mask"][:, 0] > 0, charge >= 3.0 * resample(variance, weights**2).sqrt())
    assert (composed["cr_mask"].sum((1, 2, 3)) >= 10).all(), "the track is there"
    assert not composed["cr_mask"][:, 0, :16, :16].any(), "charge that drowns in the noise is no CR"


def _after_other_draws(batch: dict[str, torch.Tensor]) -> torch.Generator:
    """The generator as composition has left it where nothing else is augmented."""
    count = len(batch["electrons"])
    made = generator()
    for _ in range(4):  # charge, flux, sky and noise are drawn whatever their range
        torch.rand(count, 1, 1, generator=made)
    return made


def test_what_is_lost_or_unknown_is_interpolated_too() -> None:
    batch = {name: plane[:1] for name, plane in _batch().items()}
    batch["usable"][0, 40, 40] = False
    batch["kind"][0, 0, 22, 24] = UNKNOWN
    batch["own_charge"] = torch.zeros(1, 48, 48)
    batch["own_charge"][0, 5:9, 40] = 900.0
    batch["electrons"] += batch["own_charge"]
    composed = compose_batch(batch, generator(), Augmentation(resampled=1.0, gaps=0.5), label_snr=3.0)
    weights = draw_resampling(1, 1.0, _after_other_draws(batch))
    lost, unknown = (torch.zeros(1, 48, 48, dtype=torch.bool) for _ in range(2))
    lost[0, 40, 40], unknown[0, 22, 24] = True, True
    assert touched(lost, weights).sum() > 1
    assert (composed["unusable"][:, 0] | ~touched(lost, weights)).all()
    assert (composed["ignore"][:, 0] | ~touched(unknown, weights)).all()
    assert not composed["cr_mask"][:, 0][touched(unknown, weights)].any()
    assert composed["cr_mask"][0, 0, 5:9, 38:43].any(), "the tile's own"


def test_without_a_chance_nothing_changes() -> None:
    plain, chance = (compose_batch(_batch(), generator(), Augmentation(resampled=chance)) for chance in (0.0, 1e-9))
    assert torch.equal(plain["image"], chance["image"])
    assert torch.equal(plain["cr_mask"], chance["cr_mask"])


@pytest.mark.parametrize("chance", [-0.1, 1.1])
def test_a_chance_is_a_probability(chance: float) -> None:
    with pytest.raises(ValueError, match="must be a probability"):
        Augmentation(resampled=chance)
