"""The real WFC3/UVIS exposures that may lie beside the checkout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import REAL_DATA, Result

from deepcr_lightning.exposures.exposure import read_exposure

UVIS = REAL_DATA / "uvis_2013fy27"
pytestmark = pytest.mark.skipif(not UVIS.is_dir(), reason=f"no real exposures at {UVIS}")


def test_real_subarray() -> None:
    exposure = read_exposure(UVIS / "science" / "idsj02axq_flc.fits")
    assert (exposure.filter, exposure.visit, exposure.exposure_time) == ("F350LP", "idsj02", 200.0)
    (chip,) = exposure.chips
    assert chip.electrons.shape == (512, 513)
    assert 0.03 < chip.unusable.mean() < 0.05


def test_real_raw_of_another_camera() -> None:
    exposure = read_exposure(REAL_DATA / "formats" / "j8bt05njq_raw.fits")
    assert (exposure.detector, exposure.filter) == ("HRC", "F555W")
    with fits.open(REAL_DATA / "formats" / "j8bt05njq_raw.fits") as hdus:
        np.testing.assert_allclose(exposure.chips[0].electrons, 2.0 * hdus["SCI"].data)


@pytest.mark.slow
def test_real_exposures_from_training_to_scores(run_script: Callable[..., Result], tmp_path: Path) -> None:
    """A minute of training on real exposures finds most CRs of those whose CRs are in no dark."""
    budget = ("model.hidden=8", "data.batch_size=4", "data.tiles_per_epoch=80", "data.tile_size=128")
    budget += ("~callbacks.figures",)
    result = run_script(
        "train.py",
        "experiment=f350lp",
        f"data.science={UVIS}/science",
        f"data.darks={UVIS}/darks",
        *budget,
        "trainer.accelerator=cpu",
        "trainer.max_epochs=12",
        "keep_freed_memory=false",
        "hydra.run.dir=run",
    )
    assert result.status == 0, result.err
    source = f"input={UVIS}/science/idsj02a*"
    model = ("ckpt_path=run/checkpoints/best.ckpt", "trainer.accelerator=cpu")
    result = run_script("predict.py", *model, source, "output_dir=out", "products=[mask,dq_copy]")
    assert result.status == 0, result.err
    result = run_script("evaluate.py", *model, source, f"truth={UVIS}/truth", "output_dir=scores")
    assert result.status == 0, result.err
    scores = json.loads((tmp_path / "scores" / "evaluation.json").read_text())["with_truth"]["all"]
    assert scores["completeness"]["value"] > 0.6
    assert scores["purity"]["value"] > 0.9
    assert scores["average_precision"]["value"] > 0.95
