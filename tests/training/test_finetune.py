"""Fine-tuning without labels: train.py init=MODEL."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ON_CPU, Result, call_script, write_hst
from numpy.typing import NDArray
from skies import READ_NOISE, add_cosmic_rays, scene

from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.models.card import FillerCard
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.hand_over import export
from deepcr_lightning.models.lean import lean_checkpoint
from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import sha256_of
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.training.judgement import judge

Run = Callable[..., Result]
QUICK = (
    "+trainer.enable_progress_bar=false",
    *ON_CPU,
    "data.tile_size=64",
    "data.test_fraction=0",
    "seed=2",
)
SHORT = ("data.tiles_per_epoch=64", "trainer.max_epochs=2", "hydra.run.dir=run")
_BOTH = (("science", "science", "resampled"), ("darks", "darks", "resampled_darks"))
BEST = Path("run") / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six exposures with many cosmic rays and five darks, 128 x 192 pixels; and all of them resampled."""
    folder, shape = tmp_path_factory.mktemp("field"), (128, 192)
    rng = np.random.default_rng(11)
    for n in range(6):
        image = scene(shape, rng, stars=12)
        add_cosmic_rays(image, rng, 60)
        write_hst(folder / "science" / f"ivis0{n}a1q_flc.fits", [image])
        write_hst(folder / "resampled" / f"ivis1{n}a1q_flc.fits", [shifted(image)])
    cards = {"IMAGETYP": "DARK", "TARGNAME": "DARK", "EXPTIME": 900.0}
    for n in range(5):
        image = rng.normal(2, READ_NOISE, shape)
        add_cosmic_rays(image, rng, 110)
        write_hst(folder / "darks" / f"idrk0{n}d1q_flt.fits", [image], **cards)
        write_hst(folder / "resampled_darks" / f"idrk1{n}d1q_flt.fits", [shifted(image)], **cards)
    return folder


def shifted(image: NDArray) -> NDArray:
    """Shift an image by a third of a pixel, with linear interpolation."""
    return (2 * image + np.roll(image, 1, 0)) / 3


def data_of(field: Path, science: str = "science") -> tuple[str, ...]:
    return f"data.science={field}/{science}", f"data.darks={field}/darks", f"data.store_dir={field}/tiles"


@pytest.fixture(scope="module")
def model(field: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small network on the exposures as they are; return its checkpoint."""
    folder = tmp_path_factory.mktemp("model")
    shape = ("model.depth=2", "model.hidden=4", "model.contrast=false", "model.fold=1", "model.norm=batch")
    budget = (*shape, "data.tiles_per_epoch=320", "trainer.max_epochs=8", "data.label_snr=3.0")
    both = [f"data.{of}=[{field}/{name},{field}/{other}]" for of, name, other in _BOTH]
    with pytest.MonkeyPatch.context() as monkeypatch:
        options = (*both, f"data.store_dir={field}/tiles", *QUICK, *budget, "~callbacks.figures")
        assert call_script(monkeypatch, folder, "train.py", *options, f"hydra.run.dir={folder}/run") == 0
    return folder / BEST


def tune(run_script: Run, model: Path | str, field: Path, science: str, *options: str) -> Result:
    return run_script("train.py", f"init={model}", *data_of(field, science), *QUICK, *SHORT, *options)


def maps(checkpoint: Path, exposure: Path) -> list[NDArray]:
    return ExposurePredictor(load_model(checkpoint)).probabilities(read_exposure(exposure))


def test_a_model_is_fine_tuned_with_its_own_network_labels_and_scale(
    model: Path, field: Path, run_script: Run, tmp_path: Path
) -> None:
    result = tune(run_script, model, field, "science")
    assert result.status == 0, result.err
    tuned, start = load_model(tmp_path / BEST), load_model(model)
    # Batch norm of the model is in its convolutions.
    assert tuned.card.network == {"depth": 2, "hidden": 4, "norm": "none", "contrast": False, "fold": 1}
    assert tuned.card.data.label_snr == start.card.data.label_snr == 3.0
    weights = [torch.cat([p.flatten() for p in m.net.parameters()]) for m in (tuned, start)]
    difference = (weights[0] - weights[1]).abs().max()
    assert 0 < difference < 0.05  # 16 steps at a low rate
    origin = {"name": "best.ckpt", "sha256": sha256_of(model)}
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["started_from"] == tuned.card.run["started_from"] == origin
    judgement = tuned.card.run["judgement"]
    assert judgement["kept"]
    assert judgement["words"].startswith("The fine-tuned network is better on the validation side: loss 0.0")
    assert judgement["words"] in result.out
    page = (tmp_path / "run" / "report.html").read_text()
    assert judgement["words"] in page
    assert origin["sha256"] in page
    assert "validation, the model it started from" in page
    assert "init=" in (tmp_path / "run" / "overrides.yaml").read_text()


def test_where_added_and_own_differ_the_model_it_started_from_is_kept(
    model: Path, field: Path, run_script: Run, tmp_path: Path
) -> None:
    result = tune(run_script, model, field, "resampled")
    assert result.status == 0, result.err
    best, exposure = tmp_path / BEST, field / "resampled" / "ivis10a1q_flc.fits"
    kept = load_model(best)
    words = kept.card.run["judgement"]["words"]
    assert "distinguished added cosmic rays from the exposures' own, and missed the latter" in words
    assert "Give darks that went through the processing of the science exposures" in words
    page = (tmp_path / "run" / "report.html").read_text().replace("&#x27;", "'")
    for place in (result.out, page):
        assert words in place
    assert "best checkpoint (epoch" not in page
    for ours, theirs in zip(maps(best, exposure), maps(model, exposure), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (tuned,) = maps(best.with_name("last.ckpt"), exposure)
    assert not np.allclose(tuned, maps(model, exposure)[0], atol=0.01)
    # What is said of the model is said of that one: its threshold, its curves, the exposures that it was trained on.
    start = load_model(model).card
    for name in ("threshold", "curves", "data", "normalisation"):
        assert getattr(kept.card, name) == getattr(start, name)
    # It predicts, is handed on without a path, and is no state to go on from.
    options = ("products=[mask]", *ON_CPU)
    assert run_script("predict.py", f"ckpt_path={best}", f"input={exposure}", "output_dir=out", *options).status == 0
    lean = lean_checkpoint(best)[DESCRIPTION_KEY]
    assert lean["run"]["judgement"]["words"] == words
    assert lean["run"]["started_from"]["sha256"] == sha256_of(model)
    assert str(tmp_path) not in json.dumps(lean)
    result = run_script("train.py", f"ckpt_path={best}", *data_of(field, "resampled"), *QUICK)
    assert result.status == 1
    assert "contains weights only and cannot be resumed" in result.err


def test_a_fine_tuning_that_was_stopped_goes_on(model: Path, field: Path, run_script: Run, tmp_path: Path) -> None:
    shutil.copyfile(model, tmp_path / "start.ckpt")
    assert tune(run_script, "start.ckpt", field, "science", "trainer.max_epochs=1").status == 0
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    result = run_script("train.py", f"ckpt_path={last}", "trainer.max_epochs=2")
    assert result.status == 0, result.err
    assert torch.load(last, weights_only=True)["epoch"] == 1
    assert "The fine-tuned network" in result.out
    (tmp_path / "start.ckpt").write_bytes((tmp_path / BEST).read_bytes())
    result = run_script("train.py", f"ckpt_path={last}", "trainer.max_epochs=3")
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert "was started from another model than init=start.ckpt; start a new run" in result.err


def test_weights_of_deepcr_are_fine_tuned(model: Path, field: Path, run_script: Run, tmp_path: Path) -> None:
    export(load_model(model), tmp_path / "published.pth")
    (tmp_path / "published.pth.json").unlink()  # as published: nothing says how they were trained
    result = tune(run_script, "published.pth", field, "science")
    assert result.status == 0, result.err
    best = load_model(tmp_path / BEST)
    assert best.card.normalisation == "standard"
    assert best.card.run["started_from"]["name"] == "published.pth"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("model.hidden=8", "was trained with model.hidden=4; leave model.hidden out"),
        (
            "model.depth=3 model.fold=2 model.hidden=4",
            "was trained with model.depth=2 and model.fold=1; leave model.depth and model.fold out",
        ),
        ("data.normalisation=standard", "was trained with data.normalisation=stabilised-10; leave"),
        ("data.label_snr=2", "was trained with data.label_snr=3.0; leave data.label_snr out"),
        (
            "ckpt_path=run/checkpoints/last.ckpt",
            "init= starts a run from a model, ckpt_path= resumes a run",
        ),
        ("experiment=inpaint", "is a detector; leave model=inpaint out"),
        (
            "init=nowhere.ckpt",
            "init=nowhere.ckpt: no such file; give the best.ckpt of outputs/.../checkpoints/, or",
        ),
        ("init=filler.ckpt", "init=filler.ckpt: is an inpainting network; give a detector"),
        ("init=other.ckpt", "other.ckpt: not a PyTorch checkpoint, or truncated; give the best.ckpt of a run"),
    ],
)
def test_what_cannot_be_fine_tuned_is_refused_in_a_line(
    option: str, said: str, model: Path, field: Path, run_script: Run, tmp_path: Path
) -> None:
    network = {"depth": 1, "hidden": 4, "norm": "none"}
    filler = {"state_dict": {}, DESCRIPTION_KEY: FillerCard(network=network).to_plain()}
    torch.save(filler, tmp_path / "filler.ckpt")
    (tmp_path / "other.ckpt").write_text("nothing")
    options = [f"init={model}"] * (not option.startswith("init=")) + option.split()
    result = run_script("train.py", *data_of(field), *QUICK, "hydra.run.dir=run", *options)
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert said in result.err
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_sweep_fine_tunes(model: Path, field: Path, run_script: Run, tmp_path: Path) -> None:
    data = (*data_of(field), *QUICK, "data.tiles_per_epoch=16", "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    result = run_script("train.py", "-m", f"init={model}", "model.learning_rate=1e-4,3e-4", *data)
    assert result.status == 0, result.err
    results = [json.loads((tmp_path / "sweep" / str(n) / "result.json").read_text()) for n in range(2)]
    assert [done["status"] for done in results] == ["done", "done"]


def test_a_single_exposure_says_so(model: Path, field: Path, run_script: Run) -> None:
    result = tune(run_script, model, field, "science/ivis00a1q_flc.fits", "trainer.max_epochs=1")
    assert result.status == 0, result.err
    assert (
        "A single exposure of science: it is used for training and validation, so scores are optimistic" in result.out
    )


def test_a_run_from_scratch_says_where_added_and_own_differ(field: Path, run_script: Run, tmp_path: Path) -> None:
    shape = ("model.depth=2", "model.hidden=4", "model.contrast=false", "model.fold=1", "model.norm=batch")
    budget = ("data.tiles_per_epoch=320", "trainer.max_epochs=5", "hydra.run.dir=run")
    result = run_script("train.py", *data_of(field, "resampled"), *QUICK, *shape, *budget)
    assert result.status == 0, result.err
    words = load_model(tmp_path / BEST).card.run["judgement"]["words"]
    assert "it may distinguish the added ones from the exposures' own, and miss the latter" in words
    assert "ckpt_path=universal" in words
    assert words in result.out
    assert words in (tmp_path / "run" / "report.html").read_text().replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("loss", "rate", "before", "kept"),
    [
        (0.9, 1.0001, 0.9999, True),
        (0.9, 1.1, 1.2, True),
        (0.9, 1.04, 1.2, False),
        (0.9, 0.6, 0.7, True),  # these exposures have fewer
        (0.9, 0.54, 0.7, False),
        (0.9, 0.86, 1.5, True),  # what it was surest of were stars
        (0.9, 0.84, 1.5, False),
        (0.9, 0.5, 0.55, False),  # the end of the range: it may be far lower
        (0.9, 0.5, 0.5, False),
        (0.9, 1.0, 0.9, False),  # too few to measure
        (1.0, 1.1, 1.1, False),
        (1.1, 1.1, 1.1, False),
    ],
)
def test_the_rule(loss: float, rate: float, before: float, kept: bool) -> None:
    start = {"val/loss": 1.0, "val/own_rate": before}
    assert judge({"val/loss": loss, "val/own_rate": rate}, start).kept == kept


def test_the_rule_with_labels_is_the_loss_alone() -> None:
    start = {"val/loss": 1.0, "val/own_rate": 1.0}
    assert judge({"val/loss": 0.9, "val/own_rate": 1.0}, start, labelled=True).kept
    assert "rate" not in judge({"val/loss": 0.9, "val/own_rate": 1.0}, start, labelled=True).words
    assert not judge({"val/loss": 1.1, "val/own_rate": 1.0}, start, labelled=True).kept
