from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.scores import score_chip
from deepcr_lightning.evaluation.truth import ChipTruth, read_truth


def chip_truth() -> ChipTruth:
    cr, ignore = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    cr[5:7, 5:7] = True
    ignore[15] = True
    return ChipTruth(cr, ignore)


def test_the_rim_of_a_cr_counts_as_neither() -> None:
    truth = chip_truth()
    assert truth.counted().sum() == 400 - 20 - 12
    mask = np.zeros((20, 20), bool)
    mask[4:8, 4:8] = True
    mask[15] = True
    scores = score_chip(mask, truth)
    assert (scores.found, scores.missed, scores.false) == (4, 0, 0)
    mask[10, 10], mask[5, 5] = True, False
    scores = score_chip(mask, truth)
    assert (scores.found, scores.missed, scores.false) == (3, 1, 1)
    assert scores.completeness == 0.75
    assert scores.purity == 0.75
    assert scores.false_positive_rate == pytest.approx(1 / (400 - 20 - 12 - 4))


def test_scores_of_a_map_agree_with_sorting_every_pixel() -> None:
    rng = np.random.default_rng(0)
    cr = rng.random((60, 60)) < 0.1
    truth = ChipTruth(cr, np.zeros_like(cr))
    counted = truth.counted()
    probability = np.clip(rng.normal(0.3 + 0.3 * cr, 0.15), 0.001, 0.999).astype(np.float32)
    scores = score_chip(probability > 0.5, truth, probability)
    labels = cr[counted][np.argsort(-probability[counted])]
    purity = np.cumsum(labels) / np.arange(1, labels.size + 1)
    assert scores.average_precision() == pytest.approx(purity[labels].mean(), abs=0.005)
    false_rate = np.cumsum(~labels) / (~labels).sum()
    assert scores.completeness_at(0.05) == pytest.approx(
        np.cumsum(labels)[false_rate <= 0.05][-1] / labels.sum(), abs=0.01
    )
    both = scores + scores
    assert both.found == 2 * scores.found
    assert both.average_precision() == pytest.approx(scores.average_precision())


def write_case(folder: Path, root: str, mask: np.ndarray, truth: ChipTruth) -> None:
    (folder / "masks").mkdir(exist_ok=True)
    (folder / "truth").mkdir(exist_ok=True)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(mask.astype(np.uint8), name="CRMASK")]
    hdus.append(fits.ImageHDU(np.where(mask, 0.9, 0.1).astype(np.float32), name="CRPROB"))
    fits.HDUList(hdus).writeto(folder / "masks" / f"{root}_crmask.fits")
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(truth.cr.astype(np.uint8), name="CRTRUTH")]
    hdus.append(fits.ImageHDU(truth.ignore.astype(np.uint8), name="IGNORE"))
    fits.HDUList(hdus).writeto(folder / "truth" / f"{root}_truth.fits")


def test_command_prints_a_table_and_writes_json_and_figures(tmp_path: Path) -> None:
    truth = chip_truth()
    write_case(tmp_path, "one", truth.cr, truth)
    write_case(tmp_path, "two", np.zeros_like(truth.cr), truth)
    write_case(tmp_path, "other", truth.cr, truth)
    (tmp_path / "truth" / "other_truth.fits").unlink()
    command = [sys.executable, "-m", "deepcr_lightning.evaluation", "masks", "truth", "--output", "scores"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "No truth for other: not scored" in done.stdout
    rows = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert rows["one"]["completeness"] == 1
    assert rows["two"]["completeness"] == 0
    assert rows["all exposures"]["completeness"] == 0.5
    assert (tmp_path / "scores" / "roc.png").read_bytes().startswith(b"\x89PNG")
    done = subprocess.run([*command[:3], "nowhere", "truth"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: nowhere: no *_crmask.fits there; run predict.py first"


def test_truth_files_are_checked(tmp_path: Path) -> None:
    fits.PrimaryHDU().writeto(tmp_path / "a_truth.fits")
    with pytest.raises(InputError, match="no CRTRUTH"):
        read_truth(tmp_path / "a_truth.fits")
    (tmp_path / "b_truth.fits").write_text("x")
    with pytest.raises(InputError, match="cannot be read"):
        read_truth(tmp_path / "b_truth.fits")
