"""Scores from added cosmic rays alone, and thresholds in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import PLAIN, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.checkpoint import read_checkpoint
from deepcr_lightning.models.model import load_model
from deepcr_lightning.scores.calibration import count_labels, fit_scale
from deepcr_lightning.scores.curves import at_threshold, average_precision_of, kept_curves
from deepcr_lightning.scores.targets import check_target, resolve_threshold
from deepcr_lightning.scores.truth_free import count_added, curves_of, own_rate, plateau
from deepcr_lightning.training.metrics import TruthFreeCurves
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

DENSITY = 0.002
"""Events a pixel: a dark of 900 s has about as many."""


def events(rate: float, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Crosses of five pixels at random places."""
    seeds = (torch.rand(shape, generator=generator) < rate).float()
    cross = torch.tensor([[[[0.0, 1, 0], [1, 1, 1], [0, 1, 0]]]])
    return F.conv2d(seeds, cross, padding=1) > 0


def detector(
    cr: torch.Tensor, generator: torch.Generator, found: float = 0.9, rim: float = 0.3, false: float = 0.005
) -> torch.Tensor:
    """Logits that find a share of the CR pixels, the surest with 8, and flag some of their rims and of the rest."""
    touched = (F.max_pool2d(cr.float(), 3, 1, 1) > 0) & ~cr
    chance = torch.full(cr.shape, false)
    chance[touched], chance[cr] = rim, found
    draw = torch.rand(cr.shape, generator=generator)
    return torch.where(draw < chance, torch.where(cr & (draw < 0.6), 8.0, 3.0), -3.0)


def composed(share: float, own_over_expected: float = 1.0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    shape = (8, 1, 300, 300)
    added = events(DENSITY, shape, generator)
    own = events(DENSITY * (1 - share) / share * own_over_expected, shape, generator)
    batch = {
        "cr_mask": added.float(),
        "ignore": torch.zeros(shape, dtype=torch.bool),
        "dark_share": torch.full((8,), share),
        "significance": 30.0 * added,
    }
    return detector(added | own, generator), batch


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("own_over_expected", [0.85, 1.0, 1.2])
def test_curves_recover_what_the_detector_does(share: float, own_over_expected: float) -> None:
    """Whatever the exposure times, and whether CRs came as often as in the darks or not."""
    logits, batch = composed(share, own_over_expected)
    counts = count_added(logits, batch)
    assert float(own_rate(counts)) == pytest.approx(own_over_expected, rel=0.08)
    here = at_threshold(curves_of(counts), 0.5)
    assert float(here["completeness"]) == pytest.approx(0.9, abs=0.01)
    assert float(here["false_positive_rate"]) == pytest.approx(0.005, abs=0.0006)
    own_cover = 5 * DENSITY * (1 - share) / share * own_over_expected
    true, false = 0.9 * own_cover, 0.005 * (1 - 4.2 * own_cover)
    assert float(here["purity"]) == pytest.approx(true / (true + false), abs=0.03)


def test_strict_counts_take_rims_for_false() -> None:
    logits, batch = composed(0.5)
    loose, strict = (at_threshold(curves_of(count_added(logits, batch, s)), 0.5) for s in (False, True))
    assert float(strict["false_positive_rate"]) > 3 * float(loose["false_positive_rate"])
    assert float(strict["completeness"]) == pytest.approx(float(loose["completeness"]))


def test_with_every_cr_labelled_the_curves_are_those_of_the_labels() -> None:
    logits, batch = composed(0.5)
    everything = batch | {"dark_share": torch.ones(8)}
    counts = count_added(logits, everything)
    here = at_threshold(curves_of(counts), 0.5)
    labels = batch["cr_mask"] > 0
    touched = (F.max_pool2d(labels.float(), 3, 1, 1) > 0) & ~labels
    true, false = (logits > 0)[labels].sum(), (logits > 0)[~labels & ~touched].sum()
    assert float(here["purity"]) == pytest.approx(float(true / (true + false)), abs=1e-6)


def test_plateau_is_what_the_map_says_of_bright_crs() -> None:
    labels = torch.rand(1, 1, 60, 60) < 0.1
    logits = torch.where(labels, torch.logit(torch.tensor(0.4)), -6.0)
    batch = {
        "cr_mask": labels.float(),
        "ignore": torch.zeros_like(labels),
        "dark_share": torch.tensor([0.4]),
        "significance": 25.0 * labels,
    }
    assert float(plateau(count_added(logits, batch))) == pytest.approx(0.4, abs=0.003)


def test_batches_and_metric_add_up() -> None:
    logits, batch = composed(0.5)
    metric = TruthFreeCurves()
    for part in (slice(0, 3), slice(3, 8)):
        metric.update(logits[part], {name: values[part] for name, values in batch.items()})
    whole = curves_of(count_added(logits, batch))
    for name, values in whole.items():
        torch.testing.assert_close(metric.compute()[name], values)


def test_perfect_and_empty_scores() -> None:
    labels = (torch.rand(1, 1, 50, 50) < 0.1).float()
    batch = {
        "cr_mask": labels,
        "ignore": torch.zeros(1, 1, 50, 50, dtype=torch.bool),
        "dark_share": torch.ones(1),
        "significance": 30 * labels,
    }
    assert float(average_precision_of(curves_of(count_added(20 * labels - 10, batch)))) == pytest.approx(1)
    nothing = count_added(20 * labels - 10, batch | {"cr_mask": 0 * labels, "significance": 0 * labels})
    assert float(average_precision_of(curves_of(nothing))) == 0, "no CR, no score"
    assert float(own_rate(nothing)) == 1


CURVES = {
    "threshold": [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99],
    "completeness": [1.0, 0.99, 0.97, 0.95, 0.9, 0.7, 0.3],
    "purity": [0.05, 0.4, 0.8, 0.93, 0.97, 0.99, 0.99],
    "false_positive_rate": [0.5, 0.02, 0.005, 0.002, 0.0008, 0.0002, 0.0001],
}


@pytest.mark.parametrize(
    ("target", "threshold"),
    [
        (0.42, 0.42),
        ("auto", 0.5),
        ({"fpr": 0.001}, 0.7),
        ({"completeness": 0.97}, 0.3),
        ({"purity": 0.95}, 0.7),
    ],
)
def test_targets_are_resolved(target: object, threshold: float) -> None:
    assert resolve_threshold(target, CURVES) == threshold  # type: ignore[arg-type]


@given(st.sampled_from(["fpr", "completeness", "purity"]), st.floats(0.001, 0.98))
def test_a_resolved_threshold_keeps_its_word(name: str, wanted: float) -> None:
    try:
        place = CURVES["threshold"].index(resolve_threshold({name: wanted}, CURVES))
    except InputError:
        assert name == "fpr"
        assert wanted < 0.0001 + 1e-9
        return
    value = CURVES["false_positive_rate" if name == "fpr" else name][place]
    assert value <= wanted if name == "fpr" else value >= wanted


def test_a_target_out_of_reach_names_the_closest() -> None:
    with pytest.raises(InputError, match=r"purity: 0.995.*closest is 0.99, with threshold=0.9"):
        resolve_threshold({"purity": 0.995}, CURVES)
    with pytest.raises(InputError, match="has no validation curves"):
        resolve_threshold("auto", None)


@pytest.mark.parametrize("target", [0, 1, 1.5, -0.1, True, "best", {"fpr": 0}, {"recall": 0.9}, {}, {"fpr": "x"}])
def test_targets_that_mean_nothing(target: object) -> None:
    with pytest.raises(InputError, match="give a number between 0 and 1, auto"):
        check_target(target)  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(st.floats(0.02, 0.98))
@example(0.046875)
def test_kept_curves_are_close_to_the_whole(threshold: float) -> None:
    logits, batch = composed(0.5)
    whole = curves_of(count_added(logits[:1], {name: values[:1] for name, values in batch.items()}))
    kept = {name: torch.tensor(values) for name, values in kept_curves(whole).items()}
    # The detector knows two levels: at the step between them a curve kept at fewer places may be on either side.
    place = torch.logit(torch.tensor(threshold, dtype=torch.float64))
    step = torch.logit(kept["threshold"]).diff().median()
    around = [at_threshold(whole, float(torch.sigmoid(place + by))) for by in (-step, step)]
    for name in ("completeness", "purity", "false_positive_rate"):
        lower, upper = sorted(float(curves[name]) for curves in around)
        assert lower - 1e-4 <= float(at_threshold(kept, threshold)[name]) <= upper + 1e-4


@pytest.mark.parametrize("target", ["auto", "{completeness: 0.5}"])
def test_training_keeps_the_threshold_it_was_asked_for(
    survey: Path, run_script: Callable[..., Result], tmp_path: Path, target: str
) -> None:
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    result = run_script("train.py", *data, *PLAIN, f"threshold={target}", "hydra.run.dir=run")
    assert result.status == 0, result.err
    description = read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")["deepcr_lightning"]
    curves = description["curves"]
    wanted = "auto" if target == "auto" else {"completeness": 0.5}
    assert description["threshold"] == pytest.approx(resolve_threshold(wanted, curves))  # type: ignore[arg-type]


def test_training_says_when_no_threshold_does() -> None:
    module = CosmicRaySegmenter(hidden=4, threshold={"purity": 0.99})
    module.last_curves = {name: torch.tensor(values).repeat_interleave(100) for name, values in CURVES.items()}
    module.last_curves["purity"] = 0.5 * module.last_curves["purity"]
    assert module._choose_threshold() == 0.5
    assert "the closest is 0.495" in str(module.unreached)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.6, -1.0), (1.5, 0.7)])
def test_a_map_that_boasts_is_set_right_without_truth(scale: float, shift: float) -> None:
    """Labels are drawn with chance c q; the logit shown is another one; the fit finds q again."""
    generator = torch.Generator().manual_seed(0)
    honest = 3 * torch.randn(12, 1, 200, 200, generator=generator) - 3
    share = torch.linspace(0.35, 0.7, 12)
    labels = torch.rand(honest.shape, generator=generator) < share.view(-1, 1, 1, 1) * torch.sigmoid(honest)
    batch = {"cr_mask": labels.float(), "ignore": torch.zeros_like(labels), "dark_share": share}
    found = fit_scale(count_labels((honest - shift) / scale, batch))
    assert found == pytest.approx((scale, shift), abs=0.06)
    with torch.inference_mode():  # as Lightning validates without a fit
        assert fit_scale(count_labels((honest - shift) / scale, batch)) == pytest.approx(found)


def test_a_calibration_needs_labels_and_takes_all_of_them() -> None:
    logits = torch.randn(1, 1, 100, 100)
    batch = {"cr_mask": 0 * logits, "ignore": torch.zeros_like(logits, dtype=torch.bool), "dark_share": torch.ones(1)}
    assert fit_scale(count_labels(logits, batch)) == (1.0, 0.0)
    labels = (torch.rand(logits.shape, generator=torch.Generator().manual_seed(1)) < torch.sigmoid(logits)).float()
    assert fit_scale(count_labels(logits, batch | {"cr_mask": labels})) == pytest.approx((1.0, 0.0), abs=0.1)


def test_prediction_uses_the_calibration_of_the_checkpoint(trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    image = torch.randn(1, 1, 16, 16)
    logits = []
    for calibration in ([1.0, 0.0], [0.5, -2.0]):
        checkpoint["deepcr_lightning"]["calibration"] = calibration
        torch.save(checkpoint, tmp_path / "one.ckpt")
        with torch.no_grad():
            logits.append(load_model(tmp_path / "one.ckpt").net(image))
    torch.testing.assert_close(logits[1], 0.5 * logits[0] - 2.0)
