from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import PLAIN, REPOSITORY, TINY, Result, last_line, write_hst

Run = Callable[..., Result]


def data(survey: Path) -> tuple[str, str]:
    return f"data.science={survey}/science", f"data.darks={survey}/darks"


def metrics(run: Path, version: int = 0) -> list[dict[str, str]]:
    with (run / "metrics" / f"version_{version}" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_its_folder(trained: Path) -> None:
    for name in (
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "config.yaml",
        "run.json",
        "report.html",
        "metrics/version_0/metrics.csv",
        "train.log",
    ):
        assert (trained / name).is_file(), name
    for name in ("history", "curves", "reliability", "tiles"):
        assert (trained / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["model"]["hidden"] == 4
    assert config["trainer"]["precision"] == "32-true"
    assert "${" not in (trained / "config.yaml").read_text()
    rows = metrics(trained)
    for name in ("train/loss_epoch", "val/loss", "val/average_precision", "val/completeness", "val/purity"):
        assert any(row.get(name) for row in rows), name


def test_resume_needs_the_checkpoint_alone(trained: Path, run_script: Run, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    # The longest of warnings: the copy lies elsewhere than the run did.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The dirpath has changed")
        result = run_script("train.py", "ckpt_path=run/checkpoints/last.ckpt", "trainer.max_epochs=3")
    assert result.status == 0, result.err
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 2
    assert state["hyper_parameters"]["hidden"] == best["hyper_parameters"]["hidden"] == 4
    rows = metrics(tmp_path / "run", version=1)
    assert {row["epoch"] for row in rows if row["train/loss_epoch"]} == {"2"}
    assert metrics(tmp_path / "run"), "the numbers before the stop are kept"
    first, record = (json.loads((run / "run.json").read_text()) for run in (trained, tmp_path / "run"))
    assert record["earlier"] == [first]
    assert record["data"]["fingerprint"] == first["data"]["fingerprint"]
    assert "finished, 3 of 3 epochs" in (tmp_path / "run" / "report.html").read_text()


def test_debug_runs_in_a_moment(survey: Path, run_script: Run) -> None:
    result = run_script("train.py", *data(survey), *PLAIN, "debug=fdr", "hydra.run.dir=run")
    assert result.status == 0, result.err


def test_a_run_without_a_logger(survey: Path, run_script: Run, tmp_path: Path) -> None:
    result = run_script("train.py", *data(survey), *PLAIN, "trainer.max_epochs=1", "logger=none", "hydra.run.dir=run")
    assert result.status == 0, result.err
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").is_file()
    assert not (tmp_path / "run" / "metrics").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.science=nowhere"], "data.science=nowhere: no such file"),
        (["data.darks=null"], "data.darks= is not given"),
        (["data.science={survey}/darks"], "give it among the darks"),
        (["data.darks={survey}/science"], "give it among the science"),
        (["data.filters=[F999W]"], "data.filters: no science file has the filter F999W"),
        (["data.tile_size=128"], "smaller than a tile of 128; set data.tile_size=64"),
        (["data.units=furlongs"], "units=furlongs: not a known unit"),
        (["model.depth=7"], "model.depth=7: must be 1 to 5"),
        (["ckpt_path=none.ckpt"], "ckpt_path=none.ckpt: no such file"),
        (["ckpt_path={trained}/checkpoints/last.ckpt", "model.hidden=5"], "was trained with model.hidden=4"),
        (["data.tile_size=abc"], "error: "),
        (["data.val_tiles=0"], "data.val_tiles=0: must be positive"),
        (["data.augmentation.flux=[1,2,3]"], "error: augmentation"),
        (["trainer=gpu", "trainer.accelerator=gpu"], "error: "),
    ],
)
def test_bad_training_input_is_one_line(
    survey: Path, trained: Path, run_script: Run, overrides: list[str], message: str
) -> None:
    filled = [text.format(survey=survey, trained=trained) for text in overrides]
    result = run_script("train.py", *data(survey), *TINY, *filled, "hydra.run.dir=run")
    assert result.status == 1
    assert message in last_line(result.err)
    assert last_line(result.err).startswith("error: ")
    assert "Traceback" not in result.err


@pytest.mark.parametrize(("cards", "message"), [({"EXPTIME": 0.0}, "EXPTIME is missing or zero"), ({}, "truncated")])
def test_bad_training_files_are_named(survey: Path, run_script: Run, tmp_path: Path, cards: dict, message: str) -> None:
    path = write_hst(tmp_path / "science" / "ivis09a0q_flc.fits", [np.ones((64, 96))], **cards)
    if not cards:
        path.write_bytes(path.read_bytes()[:10_000])
    sources = (f"data.science={tmp_path}/science", f"data.darks={survey}/darks")
    result = run_script("train.py", *sources, *TINY, "hydra.run.dir=run")
    assert result.status == 1
    assert "ivis09a0q_flc.fits" in last_line(result.err)
    assert message in last_line(result.err)


def test_debug_keeps_the_traceback(survey: Path, run_script: Run) -> None:
    from deepcr_lightning.errors import InputError

    with pytest.raises(InputError, match="F999W"):
        run_script("train.py", *data(survey), *TINY, "debug=fdr", "data.filters=[F999W]", "hydra.run.dir=run")


@pytest.mark.parametrize("script", ["train.py", "predict.py", "evaluate.py", "threshold.py", "view.py"])
def test_unknown_option_and_help(script: str, tmp_path: Path) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(REPOSITORY / script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    unknown = call("thresold=0.4")
    assert unknown.returncode == 1
    assert "thresold=0.4: there is no option thresold" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    shown = call("--help")
    assert shown.returncode == 0
    assert "ckpt_path" in shown.stdout
