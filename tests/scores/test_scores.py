"""Scores against truth, as functions of arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deepcr_lightning.evaluation.events import count_events, find_stars
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.scores.intervals import interval, resampled
from deepcr_lightning.scores.reliability import calibration_error, reliability
from deepcr_lightning.scores.with_truth import count_chip, label_pixels, score

THRESHOLD = 0.5


def chip_truth() -> ChipTruth:
    cr, ignore = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    cr[5:7, 5:7] = True
    ignore[15] = True
    return ChipTruth(cr, ignore)


def scores_of(probability: np.ndarray, truth: ChipTruth, threshold: float = THRESHOLD) -> dict[str, float]:
    counts = count_chip(probability.astype(np.float32), truth, truth.cr, np.ones(truth.cr.shape, bool))
    return {name: float(value) for name, value in score(counts, threshold).items()}


def test_the_rim_of_a_cr_counts_as_neither() -> None:
    truth = chip_truth()
    mask = np.full((20, 20), 0.1)
    mask[4:8, 4:8] = 0.9
    mask[15] = 0.9
    scores = scores_of(mask, truth)
    assert (scores["completeness"], scores["purity"], scores["false_positive_rate"]) == (1, 1, 0)
    assert scores["strict_purity"] == pytest.approx(4 / 16)
    assert scores["strict_false_positive_rate"] == pytest.approx(12 / (400 - 20 - 4))
    mask[10, 10], mask[5, 5] = 0.9, 0.1
    scores = scores_of(mask, truth)
    assert scores["completeness"] == 0.75
    assert scores["purity"] == 0.75
    assert scores["false_positive_rate"] == pytest.approx(1 / (400 - 20 - 12 - 4))


def test_grown_masks_pay_for_what_they_flag() -> None:
    """One found pixel, grown by one, holds the CR; one false pixel becomes nine."""
    truth = chip_truth()
    mask = np.full((20, 20), 0.1)
    mask[5, 5] = mask[10, 10] = 0.9
    scores = scores_of(mask, truth)
    assert scores["completeness"] == 0.25
    assert scores["grown_completeness"] == 1
    assert scores["grown_false_positive_rate"] == pytest.approx(9 / (400 - 20 - 12 - 4))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_scores_agree_with_sorting_every_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cr = ndimage.binary_dilation(rng.random((60, 60)) < 0.02)
    truth = ChipTruth(cr, rng.random((60, 60)) < 0.05)
    rim = ndimage.binary_dilation(cr, np.ones((3, 3))) & ~cr
    counted = ~truth.ignore & ~rim
    probability = np.clip(rng.normal(0.3 + 0.3 * cr, 0.15), 0.001, 0.999).astype(np.float32)
    scores = scores_of(probability, truth)
    labels = cr[counted][np.argsort(-probability[counted])]
    purity = np.cumsum(labels) / np.arange(1, labels.size + 1)
    assert scores["average_precision"] == pytest.approx(purity[labels].mean(), abs=0.01)
    false_rate = np.cumsum(~labels) / (~labels).sum()
    exact = np.cumsum(labels)[false_rate <= 0.005][-1] / labels.sum()
    assert scores["completeness_at_fpr_0.005"] == pytest.approx(exact, abs=0.02)
    flagged = (probability > THRESHOLD) & counted
    assert scores["completeness"] == pytest.approx((flagged & cr).sum() / (cr & counted).sum(), abs=0.01)


def test_labels_follow_the_charge_where_it_is_known() -> None:
    truth = chip_truth()
    electrons = np.full((20, 20), 100, np.float32)
    assert label_pixels(electrons, truth, 100, 5, 2) is truth.cr
    charge = np.zeros((20, 20), np.float32)
    charge[5, 5], charge[6, 6], charge[10, 10] = 9.9, 10.1, 20
    electrons[10, 10] = 100 + 20 + 200
    known = ChipTruth(truth.cr, truth.ignore, charge)
    assert np.argwhere(label_pixels(electrons + charge * (charge < 20), known, 100, 5, 2)).tolist() == [[6, 6]]


def histogram(probability: np.ndarray) -> np.ndarray:
    truth = ChipTruth(np.zeros((1, probability.size), bool), np.zeros((1, probability.size), bool))
    return count_chip(probability[None].astype(np.float32), truth, truth.cr, ~truth.cr)["unlabelled"]


def test_an_honest_map_has_no_calibration_error_and_a_boasting_one_has() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.4, 0.6, 400_000)
    cr = rng.random(probability.size) < probability
    honest = histogram(probability[cr]), histogram(probability[~cr])
    assert calibration_error(*honest) < 0.004
    said, seen, pixels, _ = reliability(*honest)
    np.testing.assert_allclose(said, seen, atol=0.015)
    assert pixels.sum() == probability.size
    boasting = np.clip(2 * probability, 0.001, 0.999)
    expected = np.abs(boasting - probability).mean()
    assert calibration_error(histogram(boasting[cr]), histogram(boasting[~cr])) == pytest.approx(expected, abs=0.02)
    assert reliability(*honest, lowest=0.5)[2][:7].sum() == 0


def test_events_by_charge_length_and_distance() -> None:
    rng = np.random.default_rng(1)
    electrons = rng.normal(100, 5, (80, 80)).astype(np.float32)
    charge = np.zeros((80, 80), np.float32)
    charge[10, 10:14] = 300  # four pixels, 1200 e, found
    charge[40, 40] = 150  # one pixel, missed
    charge[60, 20], charge[61, 21] = 4000, 4000  # two in a diagonal, half found
    y, x = np.mgrid[:80, :80]
    star = 5000 * np.exp(-((y - 40) ** 2 + (x - 45) ** 2) / 1.6)
    electrons += charge + star.astype(np.float32)
    truth = ChipTruth(charge > 0, np.zeros((80, 80), bool), charge)
    assert np.argwhere(find_stars(electrons, truth, 100, 5)).tolist() == [[40, 45]]
    mask = np.zeros((80, 80), bool)
    mask[10, 10:14] = mask[60, 20] = True
    found = count_events(mask, truth, electrons, 100, 5)
    assert found["charge"].total.tolist() == [0, 1, 0, 0, 1, 0, 1, 0]
    assert found["charge"].found.tolist() == [0, 0, 0, 0, 1, 0, 1, 0]
    assert found["length"].total.tolist() == [1, 1, 0, 1, 0, 0, 0]
    assert found["distance"].total.sum() == 7
    assert found["distance"].total[4] == 1, "the missed one is five pixels from the star"
    assert found["distance"].found.sum() == 5
    dark = ChipTruth(truth.cr, truth.ignore)
    empty = count_events(mask, ChipTruth(np.zeros((80, 80), bool), truth.ignore), electrons, 100, 5)
    assert empty["charge"].total.sum() == 0
    assert count_events(mask, dark, electrons, 100, 5)["charge"].total.sum() == 3, "charge measured on the image"


def test_intervals_hold_the_scatter_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(5, 2, 100)
    low, high = interval(resampled(100) @ values / 100)
    assert (high - low) / 2 == pytest.approx(2 * values.std() / 10, rel=0.15)
    assert low < values.mean() < high
