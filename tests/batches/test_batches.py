from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcr_lightning.batches.augment import Augmentation
from deepcr_lightning.batches.compose import compose_batch, dark_share
from deepcr_lightning.batches.dataset import TileDraws
from deepcr_lightning.batches.splits import split_by_visit
from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.scale import SOFTENING, normalise
from deepcr_lightning.tiles.dark_cr import UNKNOWN

STRONG = Augmentation(True, (0.2, 1.0), (-0.7, 2.0), (0.5, 2.0), (0.0, 0.5), (1, 3))


def tiles(count: int = 4, size: int = 32, layers: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    charge = torch.zeros(count, layers, size, size)
    charge[:, :, 5:8, 10] = 400.0
    charge[:, :, 20, 20] = 6.0
    return {
        "electrons": 30 + 6 * torch.randn(count, size, size, generator=generator),
        "usable": torch.rand(count, size, size, generator=generator) > 0.02,
        "sky": torch.full((count,), 30.0),
        "noise": torch.full((count,), 6.0),
        "science_time": torch.linspace(100.0, 1300.0, count),
        "charge": charge,
        "kind": (charge > 0).to(torch.uint8),
        "dark_noise": torch.zeros(count, layers),
        "dark_time": torch.full((count, layers), 900.0),
        "seed": torch.arange(count),
    }


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_augmentation_it_is_the_sum() -> None:
    batch = tiles()
    composed = compose_batch(batch, generator(), label_snr=3.0)
    total = batch["electrons"] + batch["charge"].sum(1)
    torch.testing.assert_close(composed["image"][:, 0], normalise(total, 30.0, 6.0))
    assert composed["cr_mask"][:, 0, 5:8, 10].all()
    assert composed["cr_mask"][:, 0, 20, 20].sum() == 0, "charge that drowns in the sky is no CR"
    assert composed["cr_mask"].sum() == 4 * 3
    torch.testing.assert_close(composed["ignore"][:, 0], ~batch["usable"])
    torch.testing.assert_close(composed["dark_share"], 1800 / (1800 + batch["science_time"]))


def test_the_noise_of_a_dark_goes_everywhere_and_is_no_label() -> None:
    """Were it in the places of added CRs alone, a network would know them by it."""
    batch = tiles(count=16)
    batch["charge"] += 4.0 * torch.randn(batch["charge"].shape, generator=generator(5))
    batch["dark_noise"] += 4.0
    composed = compose_batch(batch, generator(), label_snr=5.0)
    assert composed["cr_mask"].sum() == composed["cr_mask"][:, 0, 5:8, 10].sum() == 16 * 3
    quiet = composed["image"][:, 0, 9:19]
    assert float(contrast(quiet).std()) == pytest.approx(1, abs=0.05)


def test_what_a_dark_cannot_tell_is_ignored() -> None:
    batch = tiles()
    batch["kind"][:, 0, 6, 10] = UNKNOWN
    composed = compose_batch(batch, generator())
    assert composed["ignore"][:, 0, 6, 10].all()
    assert composed["cr_mask"][:, 0, 6, 10].sum() == 0
    assert composed["cr_mask"][:, 0, 5, 10].all()
    torch.testing.assert_close(composed["image"], compose_batch(tiles(), generator())["image"])


def test_charge_on_a_bright_star_must_exceed_its_poisson_noise() -> None:
    batch = tiles()
    batch["electrons"][:, 5:8, 10] = 100_030.0
    assert compose_batch(batch, generator(), label_snr=3.0)["cr_mask"].sum() == 0


@given(st.lists(st.floats(1, 5000), min_size=1, max_size=4), st.floats(0.1, 5000))
def test_dark_share_is_a_share(dark: list[float], science: float) -> None:
    share = float(dark_share(torch.tensor([dark]), torch.tensor([science]))[0])
    assert 0 < share <= 1
    assert share == pytest.approx(sum(dark) / (sum(dark) + science), rel=1e-5)


def test_composition_is_a_pure_function_of_batch_and_generator() -> None:
    batch = tiles()
    before = {name: tensor.clone() for name, tensor in batch.items()}
    first, again, other = (compose_batch(batch, generator(seed), STRONG) for seed in (1, 1, 2))
    for name in first:
        torch.testing.assert_close(first[name], again[name], rtol=0, atol=0)
    assert not torch.equal(first["image"], other["image"])
    for name, tensor in before.items():
        torch.testing.assert_close(batch[name], tensor, rtol=0, atol=0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_label_stays_with_its_charge(seed: int) -> None:
    composed = compose_batch(tiles(), generator(seed), STRONG)
    assert torch.isfinite(composed["image"]).all()
    bright = composed["image"] > 5
    assert (composed["cr_mask"].bool() | ~bright).all(), "what was added is what is labelled, whatever way it is turned"
    assert composed["cr_mask"].sum() > 0


def contrast(image: torch.Tensor) -> torch.Tensor:
    """Undo the softening of the bright end: contrast in units of the local noise."""
    return SOFTENING * torch.sinh(image / SOFTENING)


@pytest.mark.parametrize("level", [0.0, 50.0, 1000.0, 20_000.0])
def test_noise_is_the_same_on_sky_and_galaxy(level: float) -> None:
    rng = np.random.default_rng(0)
    sky, read_noise = 30.0, 3.1
    image = rng.poisson(sky + level, (200, 200)) + rng.normal(0, read_noise, (200, 200))
    normalised = normalise(torch.from_numpy(image.astype(np.float32)), sky, float(np.hypot(read_noise, sky**0.5)))
    assert float(contrast(normalised).std()) == pytest.approx(1, abs=0.05)


def test_normalisation_is_smooth_and_rising_through_the_sky() -> None:
    electrons = torch.linspace(-100, 1e5, 200_001)
    steps = normalise(electrons, 30.0, 6.0).diff()
    assert (steps > 0).all()
    near = normalise(torch.tensor([29.9, 30.0, 30.1]), 30.0, 6.0)
    torch.testing.assert_close(near[2] - near[1], near[1] - near[0], rtol=0.01, atol=0)


@pytest.mark.parametrize(
    "augmentation",
    [Augmentation(), Augmentation(flux=(0.4, 0.4)), Augmentation(sky=(2.0, 2.0)), Augmentation(noise=(0.5, 0.5))],
)
def test_augmented_noise_is_what_the_image_is_normalised_by(augmentation: Augmentation) -> None:
    rng = np.random.default_rng(0)
    for light in (0.0, 1000.0):  # sky, and a galaxy
        batch = tiles(count=16)
        image = rng.poisson(30 + light, batch["electrons"].shape) + rng.normal(0, 2.45, batch["electrons"].shape)
        batch["electrons"], batch["charge"] = torch.from_numpy(image.astype(np.float32)), 0 * batch["charge"]
        normalised = compose_batch(batch, generator(), augmentation)["image"]
        assert float(contrast(normalised).std()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "settings",
    [
        {"flux": [1.0, 0.5]},
        {"flux": [0.5, 2.0]},
        {"flux": [0.1, 0.2, 0.3]},
        {"layers": [1.5, 2.5]},
        {"sky": [-2.0, 0.0]},
        {"layers": [0, 1]},
        {"noise": [-0.1, 0.1]},
        {"blur": [0, 1]},
    ],
)
def test_augmentation_checks_its_ranges(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="augmentation"):
        Augmentation.from_config(settings)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(0, 99))
def test_no_visit_serves_two_sides(visit_numbers: list[int], seed: int) -> None:
    visits = [f"visit{n}" for n in visit_numbers]
    exposures = [f"{visit}/{n % 3}" for n, visit in enumerate(visits)]
    sides = split_by_visit("science", visits, exposures, (0.1, 0.1), seed)
    again = split_by_visit("science", visits, exposures, (0.1, 0.1), seed)
    assert all(np.array_equal(sides[name], again[name]) for name in sides)
    assert len(sides["train"]) > 0
    assert len(sides["val"]) > 0
    if len(set(exposures)) == 1:
        return
    groups = visits if len(set(visits)) > 1 else exposures
    members = [{groups[i] for i in side} for side in sides.values()]
    assert sum(len(side) for side in sides.values()) == len(visits)
    assert sum(len(group) for group in members) == len(set(groups))


def test_one_visit_is_split_by_exposure_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        sides = split_by_visit("science", ["v"] * 8, list("aabbccdd"), (0.25, 0.25), 1)
    assert "split by exposure" in caplog.text
    assert {name: len(side) for name, side in sides.items()} == {"train": 4, "val": 2, "test": 2}
    split_by_visit("darks", ["d"], ["d"], (0.1, 0.1), 1)
    assert "A single exposure of darks" in caplog.text


def test_draws_change_by_epoch_and_by_nothing_else() -> None:
    draws = TileDraws(np.arange(10), seed=1)
    first = list(draws)
    assert list(draws) == first
    assert sorted(index for index, _ in first) == list(range(10))
    draws.set_epoch(1)
    second = list(draws)
    assert second != first
    resumed = TileDraws(np.arange(10), seed=1)
    resumed.set_epoch(1)
    assert list(resumed) == second


def test_every_tile_comes_before_any_comes_again() -> None:
    draws = TileDraws(np.arange(10), seed=1, count=4)
    drawn = []
    for epoch in range(5):
        draws.set_epoch(epoch)
        drawn += [index for index, _ in draws]
    assert sorted(drawn) == sorted(list(range(10)) * 2)
    assert sorted(drawn[:10]) == list(range(10))


def test_no_process_is_left_without_a_validation_batch() -> None:
    draws = [list(TileDraws(np.arange(3), 1, shuffle=False, rank=rank, world_size=4)) for rank in range(4)]
    assert [len(draw) for draw in draws] == [1, 1, 1, 1]


def test_fixed_draws_do_not_change() -> None:
    draws = TileDraws(np.arange(10), seed=1, shuffle=False)
    first = list(draws)
    draws.set_epoch(3)
    assert list(draws) == first
    assert [index for index, _ in first] == list(range(10))


@pytest.mark.parametrize("shuffle", [True, False])
def test_ranks_share_the_draws(shuffle: bool) -> None:
    every = list(TileDraws(np.arange(10), seed=1, shuffle=shuffle))
    ranks = [list(TileDraws(np.arange(10), 1, shuffle=shuffle, rank=r, world_size=2)) for r in (0, 1)]
    assert sorted(ranks[0] + ranks[1]) == sorted(every)
    assert not set(ranks[0]) & set(ranks[1])


def test_filters_are_drawn_equally_often() -> None:
    filters = np.array(["F275W"] * 5 + ["F814W"] * 95)
    draws = TileDraws(np.arange(100), seed=1, count=2000, groups=filters)
    count = Counter(filters[index] for index, _ in draws)
    assert count["F275W"] == pytest.approx(1000, abs=120)
