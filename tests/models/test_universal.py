"""The model that comes with the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.nddata import CCDData
from conftest import ON_CPU, REAL_DATA, Result
from scipy import ndimage

import deepcr_lightning
from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.without_truth import refuse_seen
from deepcr_lightning.export import main as export
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import SHIPPED, UNIVERSAL
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.simulation import simulate_set
from deepcr_lightning.simulation.filters import FILTERS
from deepcr_lightning.training.resume import require_same_network
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

Run = Callable[..., Result]
UVIS = REAL_DATA / "uvis_2013fy27"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_files_are_small_and_plain(name: str) -> None:
    assert SHIPPED[name].stat().st_size < 1_000_000
    checkpoint = torch.load(SHIPPED[name], weights_only=True)
    assert set(checkpoint) == {"state_dict", DESCRIPTION_KEY}
    description = checkpoint[DESCRIPTION_KEY]
    assert description["calibrated"]
    assert description["data"]["filters"] == sorted(FILTERS)
    assert "/" not in json.dumps(description)


def test_it_is_the_default_and_has_a_name() -> None:
    assert load_model().sha256 == load_model(UNIVERSAL).sha256 == load_model(SHIPPED[UNIVERSAL]).sha256
    rng = np.random.default_rng(1)
    image = rng.normal(30, 6, (64, 64)).astype(np.float32)
    image[20, 20:26] += 600
    mask = deepcr_lightning.load_model().find_cosmic_rays(image)
    assert mask[20, 20:26].all()
    assert mask.sum() < 30


def test_prediction_and_scores_without_a_checkpoint(run_script: Run, tmp_path: Path) -> None:
    """What a new user types; the scores are those of the model card, less a margin."""
    simulate_set(
        tmp_path / "sim", filters=["F336W"], exposures=2, darks=0, size=(256, 256), chips=1, seed=6, progress=False
    )
    result = run_script("predict.py", "input=sim/science", "output_dir=out", *ON_CPU)
    assert result.status == 0, result.err
    assert "universal-hst.ckpt for exposures of HST, universal.ckpt for others" in result.out + result.err
    assert "was not trained on it" not in result.out + result.err
    assert fits.getheader(next(tmp_path.glob("out/*_crmask.fits")))["DCRMODEL"] == "universal-hst.ckpt"
    result = run_script("evaluate.py", "input=sim/science", "truth=sim/truth", "output_dir=scores", *ON_CPU)
    assert result.status == 0, result.err
    scores = json.loads((tmp_path / "scores" / "evaluation.json").read_text())["with_truth"]["all"]
    assert scores["average_precision"]["value"] > 0.97
    assert scores["completeness"]["value"] > 0.9
    assert scores["purity"]["value"] > 0.9


def test_each_exposure_is_mapped_by_the_part_for_its_telescope(run_script: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(30, 6, (96, 96)).astype(np.float32)
    image[20, 20:26] += 600
    image[60:64, 60] += 90
    cards = {
        "hst": {"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "UVIS"},
        "acs": {"INSTRUME": "ACS", "DETECTOR": "WFC"},
        "ground": {"TELESCOP": "Shane", "INSTRUME": "KAST"},
        "named": {"TELESCOP": "Lick 1m", "INSTRUME": "ACS"},
    }
    (tmp_path / "in").mkdir()
    for name, header in cards.items():
        header = fits.Header({**header, "BUNIT": "ELECTRONS", "EXPTIME": 300.0, "FILTER": "F606W"})
        fits.writeto(tmp_path / "in" / f"{name}_flt.fits", image, header)
    result = run_script("predict.py", "input=in", "output_dir=out", "save_probability=true", *ON_CPU)
    assert result.status == 0, result.err
    parts = {name: load_model(name) for name in SHIPPED}
    again = run_script("predict.py", "input=in", "output_dir=out", *ON_CPU)
    assert again.status == 0, again.err
    assert "made with another network" not in again.out + again.err
    table = (tmp_path / "out" / "summary.csv").read_text()
    assert all(part.sha256[:12] in table for part in parts.values())
    finder = deepcr_lightning.load_model()
    for name, header in cards.items():
        part = "universal-hst" if name in ("hst", "acs") else "universal"
        with fits.open(tmp_path / "out" / f"{name}_crmask.fits") as hdus:
            assert hdus[0].header["DCRMODEL"] == f"{part}.ckpt"
            assert hdus[0].header["DCRSHA"] == parts[part].sha256
            probability = hdus["CRPROB"].data
        alone = deepcr_lightning.load_model(part).probability(image)
        np.testing.assert_allclose(probability, alone, atol=1e-5)
        ccd = CCDData(image, unit="electron", meta={key.lower(): value for key, value in header.items()})
        np.testing.assert_allclose(finder.probability(ccd), alone, atol=1e-5)
    np.testing.assert_allclose(finder.probability(image), deepcr_lightning.load_model("universal").probability(image))


@pytest.mark.skipif(not UVIS.is_dir(), reason=f"no real exposures at {UVIS}")
def test_real_exposures_that_no_simulation_made() -> None:
    predictor = ExposurePredictor(load_model())
    found = true = flagged = right = 0
    for path in sorted((UVIS / "science").glob("idsj02a*")):
        exposure = read_exposure(path)
        (chip,), (map_,) = exposure.chips, predictor.probabilities(exposure)
        with fits.open(UVIS / "truth" / f"{exposure.root}_truth.fits") as truth:
            known = (truth["IGNORE"].data == 0) & ~chip.unusable
            cr, mask = (truth["CRTRUTH"].data == 1) & known, (map_ > 0.5) & known
        touches = ndimage.binary_dilation(cr, np.ones((3, 3)))  # rims of CRs are neither right nor wrong
        found, true = found + (cr & mask).sum(), true + cr.sum()
        right, flagged = right + (mask & touches).sum(), flagged + mask.sum()
    assert found / true > 0.92
    assert right / flagged > 0.99


def test_what_is_handed_on_names_no_place(trained: Path, survey: Path, tmp_path: Path) -> None:
    checkpoint = trained / "checkpoints" / "best.ckpt"
    out = tmp_path / "ours.ckpt"
    assert export([str(checkpoint), str(out)]) == 0
    given, run = load_model(out), load_model(checkpoint)
    for name, weight in run.net.state_dict().items():
        torch.testing.assert_close(given.net.state_dict()[name], weight)
    assert given.threshold == run.threshold
    assert str(survey) not in out.read_bytes().decode("latin1")
    # Darks are known by what they hold, wherever they lie now.
    (seen,) = (survey / "darks").glob(f"{given.card.data.darks[0]}*")
    moved = tmp_path / "moved_flt.fits"
    moved.write_bytes(seen.read_bytes())
    with pytest.raises(InputError, match="moved"):
        refuse_seen(given, [moved])
    with fits.open(moved, mode="update") as hdus:
        hdus["SCI"].data += 1
    refuse_seen(given, [moved])
    with pytest.raises(InputError, match="contains weights only"):
        require_same_network(out, CosmicRaySegmenter(depth=2, hidden=4))


def test_darks_of_the_shipped_model_are_known_by_their_digests() -> None:
    data = load_model().card.data
    assert len(data.dark_sha256) == len(data.darks) > 40
