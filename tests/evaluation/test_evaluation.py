"""evaluate.py."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from conftest import ON_CPU, PLAIN, Result, write_hst, write_truth
from skies import add_cosmic_rays, scene

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.truth import read_truth

Run = Callable[..., Result]


def evaluate(run_script: Run, trained: Path, survey: Path, *overrides: str) -> Result:
    return run_script(
        "evaluate.py",
        f"ckpt_path={trained}/checkpoints/best.ckpt",
        f"input={survey}/science",
        *ON_CPU,
        "output_dir=out",
        *overrides,
    )


def unseen_darks(folder: Path) -> Path:
    rng = np.random.default_rng(8)
    for n in range(3):
        image = rng.normal(2, 3.1, (64, 96))
        add_cosmic_rays(image, rng, 25)
        cards = {"IMAGETYP": "DARK", "TARGNAME": "DARK", "EXPTIME": 900.0}
        write_hst(folder / f"iunk0{n + 1}d1q_flt.fits", [image], **cards)
    return folder


def test_a_report_with_and_without_truth(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    darks = unseen_darks(tmp_path / "darks")
    result = evaluate(run_script, trained, survey, f"truth={survey}/truth", f"darks={darks}", "threshold=0.3")
    assert result.status == 0, result.err
    for text in ("Against the truth", "Without truth", "F336W", "F814W cluster", "CR rate", "\u00b1"):
        assert text in result.out
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["threshold"] == 0.3
    assert len(report["exposures"]) == 6
    for part in ("with_truth", "without_truth"):
        assert {"all", "F336W", "F814W", "sparse", "cluster"} <= set(report[part])
        scores = report[part]["all"]
        for name in ("average_precision", "completeness_at_fpr_0.0005", "completeness", "false_positive_rate"):
            low, high = scores[name]["interval"]
            assert low - 1e-9 <= scores[name]["value"] <= high + 1e-9
    assert report["with_truth"]["ivis01a0q"]["completeness"]["interval"] is None, "one exposure has no interval"
    assert report["events"]["all"]["charge"]["edges"][-1] is None
    assert 0 < report["rate_scatter_of_darks"] < 1
    pictures = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert {"curves.png", "reliability.png", "events.png", "without_truth.png", "ivis01a0q.png"} <= pictures


def test_two_darks_have_no_scatter(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    darks = sorted(unseen_darks(tmp_path / "darks").iterdir())
    for path in darks[2:]:
        path.unlink()
    result = evaluate(run_script, trained, survey, f"darks={tmp_path}/darks")
    assert result.status == 0, result.err
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["rate_scatter_of_darks"] is None


def test_the_report_agrees_with_the_masks(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    result = evaluate(run_script, trained, survey, f"truth={survey}/truth", "threshold=0.1")
    assert result.status == 0, result.err
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    settings = [f"ckpt_path={trained}/checkpoints/best.ckpt", f"input={survey}/science", "output_dir=masks"]
    result = run_script("predict.py", *settings, "threshold=0.1", "trainer.accelerator=cpu")
    assert result.status == 0, result.err
    found = total = 0
    for path in (tmp_path / "masks").glob("*_crmask.fits"):
        truth = read_truth(survey / "truth" / path.name.replace("crmask", "truth"))[1]
        found += int((fits.getdata(path, "CRMASK") > 0)[truth.cr].sum())
        total += int(truth.cr.sum())
    assert report["with_truth"]["all"]["completeness"]["value"] == pytest.approx(found / total, abs=0.01)


def test_a_single_exposure_has_no_interval(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    one = f"input={survey}/science/ivis01a0q_flc.fits"
    result = evaluate(run_script, trained, survey, f"truth={survey}/truth", one)
    assert result.status == 0, result.err
    assert "A single exposure: no intervals" in result.out
    assert "\u00b1" not in result.out
    assert "5 of 6 truth files are of other exposures than the input: not used" in result.out


def test_seen_darks_are_named_and_refused(trained: Path, survey: Path, run_script: Run) -> None:
    result = evaluate(run_script, trained, survey, f"darks={survey}/darks")
    assert result.status == 1
    assert (
        "were used to train best.ckpt, so scores would be optimistic; give others, or set allow_seen=true" in result.err
    )
    assert "idrk0" in result.err
    assert evaluate(run_script, trained, survey, f"darks={survey}/darks", "allow_seen=true").status == 0


def test_a_broken_exposure_does_not_stop_the_rest(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    shutil.copytree(survey / "science", tmp_path / "in")
    broken = tmp_path / "in" / "ivis01a0q_flc.fits"
    broken.write_bytes(broken.read_bytes()[:9000])
    given = (f"ckpt_path={trained}/checkpoints/best.ckpt", f"truth={survey}/truth", "output_dir=out")
    result = run_script("evaluate.py", *given, f"input={tmp_path}/in", "trainer.accelerator=cpu")
    assert result.status == 1
    assert "1 of 6 exposures were not scored" in result.err
    assert "ivis01a0q_flc.fits" in result.err
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["with_truth"]
    for path in (tmp_path / "in").iterdir():
        path.write_text("nothing")
    result = run_script("evaluate.py", *given, f"input={tmp_path}/in", "trainer.accelerator=cpu")
    assert result.status == 1
    assert "no exposure could be scored" in result.err


def test_a_plain_map_is_divided_by_its_plateau(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    description = checkpoint["deepcr_lightning"]
    description |= {"plateau": 0.4, "threshold": 0.2, "calibrated": False}
    torch.save(checkpoint, tmp_path / "plain.ckpt")
    settings = [f"input={survey}/science", "save_probability=true", "trainer.accelerator=cpu"]
    maps = {}
    for name, calibrate in (("raw", "false"), ("divided", "true")):
        result = run_script(
            "predict.py", "ckpt_path=plain.ckpt", *settings, f"output_dir={name}", f"calibrate={calibrate}"
        )
        assert result.status == 0, result.err
        with fits.open(tmp_path / name / "ivis01a0q_crmask.fits") as hdus:
            maps[name] = hdus["CRPROB", 1].data.astype(float), hdus["CRMASK", 1].data, hdus[0].header["DCRTHR"]
            assert hdus[0].header.get("DCRPLAT") == (0.4 if calibrate == "true" else None)
    np.testing.assert_allclose(maps["divided"][0], np.minimum(maps["raw"][0] / 0.4, 1), atol=1e-3)
    assert (maps["raw"][2], maps["divided"][2]) == (0.2, pytest.approx(0.5))
    np.testing.assert_array_equal(maps["raw"][1], maps["divided"][1])

    description["plateau"] = None
    torch.save(checkpoint, tmp_path / "plain.ckpt")
    asked = ["ckpt_path=plain.ckpt", *settings, "output_dir=measured", "calibrate=true"]
    result = run_script("predict.py", *asked)
    assert result.status == 1
    assert "plain.ckpt does not say at which value its maps saturate; give darks=DIR" in result.err
    asked.append(f"darks={unseen_darks(tmp_path / 'darks')}")
    result = run_script("predict.py", *asked)
    assert result.status == 0, result.err

    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "broken_flc.fits").write_text("nothing")
    asked[1] = f"input=[{tmp_path}/more,{survey}/science]"
    result = run_script("predict.py", *asked, "overwrite=true")
    assert result.status == 1
    assert "1 of 7 exposures were not cleaned" in result.err, "one that cannot be read does not stop the measuring"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["truth=null"], "neither truth= nor darks= is given"),
        (["ckpt_path=null"], "ckpt_path= is not given"),
        (["truth=nowhere"], "truth=nowhere: no <root>_truth.fits there"),
        (["truth={other}"], "contains no <root>_truth.fits for any exposure in input="),
        (["truth={shapes}"], "CRTRUTH,1 has 10 x 10 pixels and ivis01a0q_flc.fits 64 x 96"),
        (["truth={broken}"], "cannot be read as a truth file"),
        (["trainer.precision=bf16-mixed"], "only train and predict take it"),
        (["threshold=0"], "threshold=0: give a number between 0 and 1, auto,"),
        (["darks={survey}/science"], "give it among the science"),
    ],
)
def test_bad_input_is_one_line(
    trained: Path, survey: Path, run_script: Run, tmp_path: Path, overrides: list[str], message: str
) -> None:
    write_truth(tmp_path / "other" / "else_truth.fits", np.zeros((64, 96)))
    write_truth(tmp_path / "shapes" / "ivis01a0q_truth.fits", np.zeros((10, 10)))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ivis01a0q_truth.fits").write_text("x")
    places = {name: tmp_path / name for name in ("other", "shapes", "broken")}
    filled = [text.format(survey=survey, **places) for text in overrides]
    result = evaluate(run_script, trained, survey, f"truth={survey}/truth", *filled)
    assert result.status == 1
    assert message in result.err
    assert "Traceback" not in result.err


def test_exposures_without_truth_are_named(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    shutil.copytree(survey / "truth", tmp_path / "some")
    (tmp_path / "some" / "ivis02a1q_truth.fits").unlink()
    result = evaluate(run_script, trained, survey, "truth=some")
    assert result.status == 0, result.err
    assert "No truth for ivis02a1q: not scored against truth" in result.out


def test_images_in_electrons_need_no_time(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    shutil.copytree(survey / "science", tmp_path / "science")
    for path in (tmp_path / "science").iterdir():
        fits.delval(path, "EXPTIME")
    result = evaluate(run_script, trained, tmp_path, f"truth=[{survey}/truth]")
    assert result.status == 0, result.err
    assert len(json.loads((tmp_path / "out" / "evaluation.json").read_text())["exposures"]) == 6


def test_where_results_go_is_seen_first(
    trained: Path, survey: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    models = []
    monkeypatch.setattr("deepcr_lightning.commands.evaluate.open_model", models.append)
    for place in ("file", "file/deeper"):
        result = evaluate(run_script, trained, survey, f"truth={survey}/truth", f"output_dir={place}")
        assert result.status == 1
        assert f"error: output_dir={place}: " in result.err
        assert "is no folder; name another" in result.err
    assert not models, "before any work"


def test_truth_files_are_checked(tmp_path: Path) -> None:
    fits.PrimaryHDU().writeto(tmp_path / "a_truth.fits")
    with pytest.raises(InputError, match="no CRTRUTH"):
        read_truth(tmp_path / "a_truth.fits")


def test_the_oracle_learns_from_truth(survey: Path, run_script: Run, tmp_path: Path) -> None:
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks", f"data.truth={survey}/truth")
    result = run_script("train.py", "experiment=oracle", *data, *PLAIN, "hydra.run.dir=run")
    assert result.status == 0, result.err
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["deepcr_lightning"]["data"]["mean_dark_share"] == 1


def test_truth_for_training_is_checked(survey: Path, run_script: Run, tmp_path: Path) -> None:
    data = (f"data.science={survey}/science",)
    rng = np.random.default_rng(0)
    for truth, message in (("plain", "has no CRCHARGE,1"), ("few", "contains no truth for")):
        shutil.copytree(survey / "truth", tmp_path / truth)
        (tmp_path / truth / "ivis01a0q_truth.fits").unlink()
        if truth == "plain":
            write_truth(tmp_path / truth / "ivis01a0q_truth.fits", scene((64, 96), rng, 1) > 1e9)
        result = run_script("train.py", "experiment=oracle", *data, *PLAIN, f"data.truth={truth}", "hydra.run.dir=run")
        assert result.status == 1
        assert message in result.err


@pytest.mark.slow
def test_without_truth_agrees_with_truth(survey: Path, run_script: Run, tmp_path: Path) -> None:
    """The CRs of the fixture are bright and sharp: training finds them, and both ways of scoring say the same."""
    darks = unseen_darks(tmp_path / "darks")
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks", "augmentation=none", "model.hidden=8")
    # Scores without truth scatter widely over so few tiles; with the visits of this seed they tell.
    more = ("trainer.max_epochs=12", "model.learning_rate=0.01", "hydra.run.dir=run", "seed=2")
    trained = run_script("train.py", *PLAIN, *data, *more)
    assert trained.status == 0, trained.err
    with (tmp_path / "run" / "metrics" / "version_0" / "metrics.csv").open() as file:
        rows = [row["val/average_precision"] for row in csv.DictReader(file)]
    scores = [float(value) for value in rows if value]
    assert scores[-1] > 0.9 > scores[0]
    result = evaluate(run_script, tmp_path / "run", survey, f"truth={survey}/truth", f"darks={darks}")
    assert result.status == 0, result.err
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    truth, without = report["with_truth"]["all"], report["without_truth"]["all"]
    assert without["completeness"]["value"] == pytest.approx(truth["taught_completeness"]["value"], abs=0.1)
    low, high = without["false_positive_rate"]["interval"]
    assert low - 0.002 <= truth["taught_false_positive_rate"]["value"] <= high + 0.002
    assert without["average_precision"]["value"] == pytest.approx(truth["taught_average_precision"]["value"], abs=0.15)
