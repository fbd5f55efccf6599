"""The way of chips through a GPU, on the CPU: several at once and small ones together, with the same maps."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deepcr_lightning
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.sky import sky_noise_and_floor
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.scale import SCALES
from deepcr_lightning.prediction import predictor as predictor_module
from deepcr_lightning.prediction.lanes import in_lanes
from deepcr_lightning.prediction.mask import grown, threshold_mask
from deepcr_lightning.prediction.predictor import PACES, ExposurePredictor, Pace, probability

ROUNDING = 1e-5
"""Of probabilities. Of images that go together sums are made in another order."""
AS_ON_A_GPU = Pace(tile=64, pixels=3 * 50 * 60, lanes=2)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACES, "cpu", AS_ON_A_GPU)


def images(count: int, shape: tuple[int, int] = (50, 60)) -> np.ndarray:
    rng = np.random.default_rng(count)
    made = (
        rng.normal(100, 10, (count, *shape)).astype(np.float32)
        * (1 + np.arange(count, dtype=np.float32))[:, None, None]
    )
    made[:, 20, 10:16] += 5000
    return made


@given(st.integers(1, 4), st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_lanes_give_all_in_order_and_take_no_more_than_they_need(lanes: int, count: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(count):
            taken.append(item)
            yield item

    for done, made in enumerate(in_lanes(lambda item, lane: (item * item, lane), items(), lanes)):
        assert made == (done * done, done % lanes)
        assert len(taken) <= done + 1 + lanes
    assert taken == list(range(count))


def test_two_lanes_work_at_once() -> None:
    both = threading.Barrier(2, timeout=20)
    assert list(in_lanes(lambda item, lane: both.wait() * 0 + item, range(4), 2)) == [0, 1, 2, 3]


def test_what_fails_in_a_lane_is_raised_in_its_turn() -> None:
    def work(item: int, lane: int) -> int:
        if item == 2:
            raise InputError("chip 2")
        return item

    made = in_lanes(work, range(5), 2)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(InputError, match="chip 2"):
        next(made)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_stack_in_lanes_and_batches_is_the_stack_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = deepcr_lightning.load_model(tile=64)
    stack, hidden = images(8), np.zeros((8, 50, 60), bool)
    hidden[:, 30:34, 5:9] = True
    found = model.clean(stack, mask=hidden, grow=1)
    monkeypatch.setitem(PACES, "cpu", Pace(64, 1, 1))
    for place, one in enumerate(stack):
        expected = model.clean(one, mask=hidden[place], grow=1)
        np.testing.assert_allclose(found.probability[place], expected.probability, atol=ROUNDING)
        np.testing.assert_array_equal(found.mask[place], expected.mask)
        np.testing.assert_array_equal(found.cleaned[place], expected.cleaned)
        assert expected.mask[20, 10:16].all()
        assert not expected.mask[hidden[place]].any()


@pytest.mark.usefixtures("as_on_a_gpu")
def test_chips_of_equal_shape_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    scaled = predictor_module.scaled

    def watched(electrons: torch.Tensor, *given: object) -> torch.Tensor:
        seen.append(tuple(electrons.shape))
        return scaled(electrons, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(predictor_module, "scaled", watched)
    chips = [*images(5), *images(2, (40, 60))]
    predictor = ExposurePredictor(load_model())
    made = list(predictor.each((chip, np.zeros(chip.shape, bool)) for chip in chips))
    assert sorted(seen) == [(2, 40, 60), (2, 50, 60), (3, 50, 60)]
    assert [found.shape for (found,) in made] == [chip.shape for chip in chips]


@pytest.mark.usefixtures("as_on_a_gpu")
def test_lanes_work_in_the_precision_of_their_caller() -> None:
    predictor, chip = ExposurePredictor(load_model()), images(1)[0]
    given = [(chip, np.zeros(chip.shape, bool))] * 4
    plain = [found for (found,) in predictor.each(given)]
    assert predictor.precision == "float32"
    with torch.autocast("cpu", torch.bfloat16):
        assert predictor.precision == "bfloat16"
        half = [found for (found,) in predictor.each(given)]
    off = np.abs(np.stack(half) - np.stack(plain)).max(axis=(1, 2))
    assert (off > 1e-5).all(), "in half precision no map is the same"
    assert (off < 0.1).all()


@pytest.mark.parametrize(
    ("capability", "allowed", "name"), [(9, True, "tf32"), (9, False, "float32"), (7, True, "float32")]
)
def test_tf32_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch, capability: int, allowed: bool, name: str) -> None:
    monkeypatch.setattr(ExposurePredictor, "device", torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (capability, 0))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    predictor = ExposurePredictor(load_model())
    assert predictor.precision == name
    with torch.autocast("cuda", torch.bfloat16, enabled=False):
        assert predictor.precision == name


def test_a_network_that_gives_no_numbers_is_refused() -> None:
    predictor, chip = ExposurePredictor(load_model()), images(1)[0]
    torch.nn.init.constant_(predictor.net.out.bias, float("nan"))
    with pytest.raises(InputError, match="NaN or infinite values"):
        next(predictor.each([(chip, np.zeros(chip.shape, bool))], (probability,)))


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2**31), st.booleans())
@settings(max_examples=60, deadline=None)
def test_levels_of_tensors_are_those_of_arrays(rows: int, columns: int, bad: float, seed: int, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(30, 6, (rows, columns)).astype(np.float32)
    image[rng.random(image.shape) < 0.05] += 900
    image = np.rint(image) if whole else image
    usable = rng.random(image.shape) >= bad
    given = torch.from_numpy(image), torch.from_numpy(usable)
    assert sky_noise_and_floor(*given) == pytest.approx(sky_noise_and_floor(image, usable), rel=1e-12)
    for scale in SCALES.values():
        assert scale.levels(*given) == pytest.approx(scale.levels(image, usable), rel=1e-12)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 4), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_masks_of_tensors_are_those_of_arrays(rows: int, columns: int, grow: int, seed: int) -> None:
    import scipy.ndimage

    rng = np.random.default_rng(seed)
    map_ = rng.random((rows, columns)).astype(np.float32)
    usable, before = rng.random(map_.shape) < 0.9, map_.copy()
    mask = (map_ > 0.9) & usable
    square = np.ones((2 * grow + 1, 2 * grow + 1), bool)
    expected = mask | (scipy.ndimage.binary_dilation(mask, square) & usable)
    np.testing.assert_array_equal(threshold_mask(map_, 0.9, usable, grow), expected)
    found = threshold_mask(torch.from_numpy(map_)[None], 0.9, torch.from_numpy(usable)[None], grow)
    np.testing.assert_array_equal(found[0].numpy(), expected)
    np.testing.assert_array_equal(map_, before)
    assert grown(mask, 0) is mask
