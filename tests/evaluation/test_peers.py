"""evaluate.py with peers: other methods on the same pixels."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import ON_CPU, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from skies import READ_NOISE

from deepcr_lightning.evaluation.difference import COMPARED, difference
from deepcr_lightning.evaluation.lacosmic import GRID, USUAL, best_at, envelope, grid_scores, read_noise
from deepcr_lightning.evaluation.lacosmic_peer import BEST, USUALLY
from deepcr_lightning.evaluation.score_summary import with_draws
from deepcr_lightning.exposures.truth import read_truth
from deepcr_lightning.scores.bins import BINS
from deepcr_lightning.scores.with_truth import FALSE_POSITIVE_RATES, KINDS, score

Run = Callable[..., Result]
ROOTS = ("ivis01a0q", "ivis02a1q")
"""One sparse in F336W, one cluster in F814W."""


def evaluate(run_script: Run, model: str, survey: Path, *overrides: str) -> Result:
    return run_script(
        "evaluate.py",
        f"ckpt_path={model}",
        f"input=[{','.join(f'{survey}/science/{root}_flc.fits' for root in ROOTS)}]",
        *ON_CPU,
        "output_dir=out",
        *overrides,
    )


def test_peers_are_scored_on_the_same_pixels(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    pytest.importorskip("deepCR")
    cosmics = pytest.importorskip("astroscrappy")
    best = f"{trained}/checkpoints/best.ckpt"
    truth = f"truth={survey}/truth"
    result = evaluate(run_script, best, survey, truth, f"peers=[lacosmic,deepcr,{best}]", "threshold=0.3")
    assert result.status == 0, result.err
    for text in ("Methods on the same pixels", BEST, USUALLY, "deepCR ACS-WFC", "Difference to run"):
        assert text in result.out
    assert (tmp_path / "out" / "peers.png").stat().st_size > 10_000
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    peers = report["peers"]
    assert peers["reference"] == "run"
    assert set(peers["methods"]) == {"deepCR WFC3-UVIS", "deepCR ACS-WFC", best}
    assert set(peers["groups"]) == {"all", "F336W", "F814W", "sparse", "cluster", "F336W sparse", "F814W cluster"}
    rows, nothing = peers["groups"]["all"], {"value": 0, "interval": [0, 0]}
    assert list(rows) == ["run", "deepCR WFC3-UVIS", "deepCR ACS-WFC", best, BEST, USUALLY]
    assert rows["run"].items() <= report["with_truth"]["all"].items()
    assert rows[best]["difference"] == dict.fromkeys(COMPARED, nothing)
    assert peers["groups"]["cluster"][best]["difference"]["average_precision"] == {"value": 0, "interval": None}
    for key in ("average_precision", "completeness_at_fpr_0.005"):
        gap = rows["deepCR ACS-WFC"][key]["value"] - rows["run"][key]["value"]
        assert rows["deepCR ACS-WFC"]["difference"][key]["value"] == pytest.approx(gap)

    found = false = crs = 0
    for root in ROOTS:
        known = read_truth(survey / "truth" / f"{root}_truth.fits")[1]
        image = fits.getdata(survey / "science" / f"{root}_flc.fits", "SCI").astype(np.float32)
        original = {"satlevel": np.inf, "sepmed": False, "cleantype": "medmask", "readnoise": READ_NOISE}
        mask, _ = cosmics.detect_cosmics(image, sigclip=4.5, objlim=5, **original)
        counted = mask & known.counted()
        found, false, crs = (
            found + (counted & known.cr).sum(),
            false + (counted & ~known.cr).sum(),
            crs + known.cr.sum(),
        )
    assert found > 0.2 * crs
    assert rows[USUALLY]["completeness"]["value"] == pytest.approx(found / crs)
    assert rows[USUALLY]["purity"]["value"] == pytest.approx(found / (found + false))
    points = peers["lacosmic_grid"]["all"]
    assert [(point["sigclip"], point["objlim"]) for point in points] == list(GRID)
    within = [point["completeness"] for point in points if point["false_positive_rate"] <= 0.005]
    assert rows[BEST]["completeness_at_fpr_0.005"]["value"] == max(within, default=0)

    result = evaluate(run_script, "WFC3-UVIS", survey, truth)
    assert result.status == 0, result.err
    alone = json.loads((tmp_path / "out" / "evaluation.json").read_text())["with_truth"]["all"]
    beside = rows["deepCR WFC3-UVIS"]
    assert {name: beside[name] for name in alone if name != "exposures"} == {
        name: value for name, value in alone.items() if name != "exposures"
    }


@pytest.mark.parametrize(
    ("peers", "package", "message"),
    [
        ("lacosmic", "astroscrappy", "peers=lacosmic: needs astroscrappy; pip install 'deepcr-lightning[peers]'"),
        ("deepcr", "learned_models", "peers=deepcr: needs deepCR; pip install 'deepcr-lightning[peers]'"),
    ],
)
def test_an_absent_package_is_named(
    trained: Path,
    survey: Path,
    run_script: Run,
    monkeypatch: pytest.MonkeyPatch,
    peers: str,
    package: str,
    message: str,
) -> None:
    there = importlib.util.find_spec

    def find(name: str, *more: str) -> ModuleSpec | None:
        return None if name == package else there(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    best = f"{trained}/checkpoints/best.ckpt"
    result = evaluate(run_script, best, survey, f"truth={survey}/truth", f"peers={peers}")
    assert result.status == 1
    assert result.err.strip().splitlines()[-1] == f"error: {message}"


def test_what_cannot_be_compared_is_refused(trained: Path, survey: Path, run_script: Run) -> None:
    best = f"{trained}/checkpoints/best.ckpt"
    result = evaluate(run_script, best, survey, f"truth={survey}/truth", "peers=[lacosmic,deepscr]")
    assert result.status == 1
    assert "error: peers=deepscr: no such method or file; give the path of a checkpoint, or of lacosmic, deepcr" in (
        result.err
    )
    result = evaluate(run_script, best, survey, f"darks={survey}/darks", "allow_seen=true", "peers=[deepcr]")
    assert result.status == 1
    assert "error: peers= needs truth=; name a directory of truth files" in result.err


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_envelope_is_the_best_of_the_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cr, other = (rng.integers(0, 1000, (len(GRID), 2)) for _ in range(2))
    scores = grid_scores(cr, other * [1000, 1])
    rates, completeness = envelope(scores)
    assert (np.diff(rates) >= 0).all()
    assert (np.diff(completeness) >= 0).all()
    for rate, value in zip(scores["false_positive_rate"], scores["completeness"], strict=True):
        assert best_at(scores, rate) == completeness[rates <= rate][-1] >= value
    assert best_at(scores, rates[0] - 1e-9) == 0
    assert best_at(scores, 1.0) == scores["completeness"].max()
    assert GRID[USUAL] == (4.5, 5)


def test_differences_are_those_of_pairs() -> None:
    """Exposures differ much, two methods by the same little in each: the difference is known far better than either."""
    rng = np.random.default_rng(0)

    def counts(lost: float, hard: float) -> dict[str, np.ndarray]:
        histogram = np.zeros((len(KINDS), BINS))
        histogram[:, BINS // 4] = 1e5
        for kind in ("cr", "grown_cr", "labelled"):
            found = 1000 * (1 - hard - lost)
            histogram[KINDS.index(kind), [10, -10]] = 1000 - found, found
            histogram[KINDS.index(kind), BINS // 4] = 0
        return dict(zip(KINDS, histogram, strict=True))

    hard = rng.uniform(0.1, 0.5, 12)
    ours, theirs = (with_draws([counts(lost, h) for h in hard], partial(score, threshold=0.5)) for lost in (0.0, 0.05))
    gap = difference(theirs, ours)["completeness_at_fpr_0.0005"]
    assert gap["value"] == pytest.approx(-0.05, abs=0.002)
    assert gap["interval"][1] - gap["interval"][0] < 0.002
    assert ours[1] is not None
    assert np.ptp(ours[1]["completeness_at_fpr_0.0005"]) > 0.1
    assert all(entry == {"value": 0, "interval": [0, 0]} for entry in difference(ours, ours).values())
    assert set(COMPARED[1:]) <= {f"completeness_at_fpr_{rate:g}" for rate in FALSE_POSITIVE_RATES}


def test_read_noise_is_that_of_the_amplifiers_that_were_read() -> None:
    header = fits.Header({"READNSEA": 0.0, "READNSEB": 0.0, "READNSEC": 3.08, "READNSED": 3.2})
    assert read_noise(header) == pytest.approx(3.14)
    assert read_noise(fits.Header()) == 3.1
    assert read_noise(fits.Header({"INSTRUME": "WFPC2"})) == 5.3
