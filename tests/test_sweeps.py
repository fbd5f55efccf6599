from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import REPOSITORY, TINY, Result
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState
from test_configs import composed

from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps import launchers
from deepcr_lightning.sweeps.__main__ import main as collect_again
from deepcr_lightning.sweeps.figure import plot_sweep
from deepcr_lightning.sweeps.grid import not_started
from deepcr_lightning.sweeps.job import run_job
from deepcr_lightning.sweeps.result import (
    DONE,
    FAILED,
    KILLED,
    NOT_STARTED,
    RUNNING,
    SCORE,
    best_of,
    read_result,
    read_results,
    swept_options,
    write_result,
)
from deepcr_lightning.sweeps.result import Result as Job
from deepcr_lightning.sweeps.study import ask, completed, distribution, failures_in_a_row, open_study, settle
from deepcr_lightning.sweeps.table import short, show_table, write_table

A_PROCESS_NO_MORE = 2**22 + 1
"""Above the largest process number of Linux."""


def overrides(survey: Path) -> list[str]:
    sources = [
        f"data.science={survey}/science",
        f"data.darks={survey}/darks",
        "data.tiles_per_epoch=8",
        "~callbacks.figures",
    ]
    return [*sources, *(text for text in TINY if "model.depth" not in text)]


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def built(folder: Path) -> int:
    return sum(path.read_text().count("Tile store") for path in folder.glob("*/train.log"))


@pytest.mark.slow
def test_a_sweep_leaves_table_figure_and_the_best_checkpoint(survey: Path, tmp_path: Path) -> None:
    """Jobs side by side in processes of their own, with loader processes; one of them cannot work."""
    swept = ["model.depth=1,2,7", "data.num_workers=1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    command = [sys.executable, str(REPOSITORY / "train.py"), "-m", *overrides(survey), *swept, "hydra.sweep.dir=sweep"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "error: 1 of 3 jobs failed; the table says why: sweep/sweep.csv"
    assert "Traceback" not in done.stderr
    table = rows(tmp_path / "sweep" / "sweep.csv")
    assert [(row["job"], row["model.depth"], row["status"]) for row in table] == [
        ("0", "1", DONE),
        ("1", "2", DONE),
        ("2", "7", FAILED),
    ]
    assert table[2]["reason"] == "model.depth=7: must be 1 to 5"
    assert "model.hidden" not in table[0]
    assert (tmp_path / "sweep" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    best = max(table[:2], key=lambda row: float(row[SCORE]))
    assert f"Best checkpoint: {os.path.relpath(best['checkpoint'], tmp_path)}" in done.stdout
    assert Path(best["checkpoint"]).is_file()
    assert "model.depth=7: must be 1 to 5" in done.stdout
    # One tile store, built by one job, for all.
    assert len([path for path in (tmp_path / "outputs" / "tiles").iterdir() if path.is_dir()]) == 1
    logs = (tmp_path / "sweep").glob("*/train.log")
    assert sum(path.read_text().count("Tile store") for path in logs) == 1
    # The scores are those of the checkpoint that is kept, not of the last epoch.
    for row in table[:2]:
        with next((tmp_path / "sweep" / row["job"] / "metrics").rglob("metrics.csv")).open() as file:
            epochs = [epoch for epoch in csv.DictReader(file) if epoch["val/loss"]]
        kept = min(epochs, key=lambda epoch: float(epoch["val/loss"]))
        assert float(row[SCORE]) == pytest.approx(float(kept[SCORE]), abs=1e-5)


def test_a_search_goes_on_where_it_stopped(survey: Path, run_script: Callable[..., Result], tmp_path: Path) -> None:
    def search(*more: str) -> tuple[Result, optuna.Study]:
        settings = [text for text in overrides(survey) if "hidden" not in text and "batch" not in text]
        settings += ["trainer.max_epochs=1", "model.hidden=4,8", "model.depth=1", "hydra.sweep.dir=search"]
        result = run_script("train.py", "-m", "hparams_search=optuna", *settings, *more)
        storage = f"sqlite:///{tmp_path}/search/study.db"
        return result, optuna.load_study(study_name="search", storage=storage)

    first, study = search("hydra.sweeper.trials=2", "hydra.sweeper.at_once=2")
    assert first.status == 0, first.out
    assert completed(study) == 2
    # As a kill leaves it: a trial that was begun, in whose folder nobody works any more.
    study.ask()
    job = Job("2", RUNNING, ["model.hidden=4"], process=A_PROCESS_NO_MORE)
    write_result(tmp_path / "search" / "2", job)
    second, study = search("hydra.sweeper.trials=3")
    assert second.status == 0, second.err
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    results = read_results(tmp_path / "search")
    assert [result.status for result in results] == [DONE, DONE, KILLED, DONE]
    assert [result.score for result in results] == [trial.value for trial in study.trials]
    assert len({trial.params["model.learning_rate"] for trial in study.trials if trial.params}) == 3
    third, _ = search("hydra.sweeper.trials=3")
    assert third.status == 0, third.err
    assert len(read_results(tmp_path / "search")) == 4
    other, _ = search("hydra.sweeper.trials=4", "seed=5")
    assert other.status == 1
    assert "its search was begun with" in other.err


def test_a_search_that_cannot_work_ends(survey: Path, run_script: Callable[..., Result], tmp_path: Path) -> None:
    settings = [*overrides(survey), "data.darks=nowhere", "hydra.sweep.dir=search"]
    result = run_script("train.py", "-m", "hparams_search=optuna", *settings)
    assert result.status == 1
    assert "error: 3 of 3 jobs failed" in result.err
    assert {row["reason"] for row in rows(tmp_path / "search" / "sweep.csv")} == {
        "data.darks=nowhere: no such file or directory; give a directory, a file, a quoted glob, or a list"
    }


def job_config(tmp_path: Path) -> DictConfig:
    cfg = composed("train", ["seed=3"], tmp_path / "7")
    del cfg.hydra
    return cfg


def test_a_defect_is_kept_with_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])

    def broken(cfg: DictConfig) -> tuple[dict[str, float], str]:
        os.environ["LOCAL_RANK_OF_A_JOB"] = "0"  # as a distributed run leaves its rank
        raise RuntimeError("CUDA out of memory\nTried to allocate")

    assert math.isnan(run_job(broken, job_config(tmp_path)))
    result = read_result(tmp_path / "7")
    assert result is not None
    assert (result.status, result.reason) == (FAILED, "RuntimeError: CUDA out of memory")
    assert result.options == {"seed": "3"}
    assert "Traceback" in caplog.text
    assert "LOCAL_RANK_OF_A_JOB" not in os.environ


def test_a_job_that_is_started_again_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])

    def taken_up(cfg: DictConfig) -> tuple[dict[str, float], str]:
        return {SCORE: 0.25 if cfg.ckpt_path is None else 0.75}, cfg.ckpt_path or ""

    assert run_job(taken_up, job_config(tmp_path)) == 0.25
    last = tmp_path / "7" / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.touch()
    assert run_job(taken_up, job_config(tmp_path)) == 0.75
    result = read_result(tmp_path / "7")
    assert result is not None
    assert (result.status, result.checkpoint) == (DONE, str(last))


def test_a_job_without_a_finite_score_failed_and_one_that_is_stopped_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert math.isnan(run_job(lambda cfg: ({SCORE: math.nan}, "best.ckpt"), job_config(tmp_path)))
    result = read_result(tmp_path / "7")
    assert result is not None
    assert (result.status, result.reason) == (FAILED, f"{SCORE} is nan: training diverged")

    def stopped(cfg: DictConfig) -> tuple[dict[str, float], str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(stopped, job_config(tmp_path))
    result = read_result(tmp_path / "7")
    assert result is not None
    assert (result.status, result.reason) == (FAILED, "interrupted")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no option has several values"),
        (["model.depth="], "no option has several values"),
        (["model.depth=range(2,2)"], "model.depth=range(2,2): a range without a value"),
        (["hydra/launcher=slurm", "model.depth=2,3"], "hydra/launcher=slurm: "),
        (["hparams_search=optuna", "hydra.sweep.dir=s", "hydra.sweeper.trials=0"], "trials and at_once of at least 1"),
    ],
)
def test_empty_sweeps_are_refused_in_a_line(
    run_script: Callable[..., Result], given: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launchers.shutil, "which", lambda name: None)
    result = run_script("train.py", "-m", *given)
    assert result.status == 1
    assert message in result.err.strip().splitlines()[-1]
    assert "Traceback" not in result.err


def test_the_cluster_gets_what_is_asked_for(tmp_path: Path) -> None:
    given = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.mem_gb=32"]
    launcher = composed("train", given, tmp_path).hydra.launcher
    assert (launcher.partition, launcher.mem_gb, launcher.gpus_per_node) == ("gpu", 32, 1)
    made = instantiate(launcher)
    assert made.params["timeout_min"] == 240


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "find_spec", lambda name: None)
    for argument in ("hydra/launcher=joblib", "hydra/launcher=slurm", "hparams_search=optuna"):
        with pytest.raises(InputError, match=rf"{argument}: is not installed; pip install 'deepcr-lightning\[sweep\]'"):
            launchers.require_launcher(["model.depth=2,3", argument])
    launchers.require_launcher(["model.depth=2,3"])


def test_a_folder_that_holds_a_sweep_is_not_mixed_with_another(
    run_script: Callable[..., Result], tmp_path: Path
) -> None:
    write_result(tmp_path / "sweep" / "0", Job("0", DONE, ["model.depth=2"]))
    result = run_script("train.py", "-m", "model.depth=2,3", "hydra.sweep.dir=sweep")
    assert result.status == 1
    assert "hydra.sweep.dir=sweep: holds a sweep already" in result.err


def scored(job: int, score: float | None, *given: str, status: str = DONE) -> Job:
    return Job(str(job), status, given, {} if score is None else {SCORE: score}, f"{job}/best.ckpt", 1.0)


def test_jobs_that_left_nothing_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A launcher that gave up: one job is done, one was killed, one runs elsewhere, one never came to start."""
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        cfg = compose("train", return_hydra_config=True)
    cfg.hydra.overrides.task = ["model.depth=2,3", "model.hidden=4,8"]
    OmegaConf.save(cfg, tmp_path / "multirun.yaml")
    write_result(tmp_path / "0", scored(0, 0.9, "model.depth=2", "model.hidden=4"))
    (tmp_path / "1" / ".hydra").mkdir(parents=True)
    (tmp_path / "1" / ".hydra" / "overrides.yaml").write_text("[model.depth=2, model.hidden=8]")
    write_result(tmp_path / "2", Job("2", RUNNING, ["model.depth=3", "model.hidden=4"], host="elsewhere"))
    assert collect_again([str(tmp_path)]) == 0
    table = rows(tmp_path / "sweep.csv")
    assert [row["status"] for row in table] == [DONE, KILLED, RUNNING, NOT_STARTED]
    assert [row["model.hidden"] for row in table] == ["4", "8", "4", "8"]
    assert [row["model.depth"] for row in table] == ["2", "2", "3", "3"]
    shown = capsys.readouterr().out
    assert "Best: job 0, average precision 0.9000" in shown
    assert "Some jobs had not ended; later: python -m deepcr_lightning.sweeps" in shown
    assert collect_again([str(tmp_path / "none")]) == 1
    assert "holds no job of a sweep" in capsys.readouterr().err
    cfg.hydra.overrides.task = ["experiment=glob(f*)"]
    assert not_started(cfg, []) == []


def test_table_and_figure_of_numbers_and_names(tmp_path: Path) -> None:
    filters = ("[F336W]", "[F275W,F336W]")
    jobs = [
        scored(n, 0.9 + 0.01 * n, f"data.filters={filters[n % 2]}", f"model.learning_rate={10.0 ** -(n + 1)}")
        for n in range(3)
    ]
    jobs.append(scored(3, None, "data.filters=[F336W]", "+model.learning_rate=1", status=FAILED))
    assert swept_options(jobs) == ["data.filters", "model.learning_rate"]
    best = best_of(jobs)
    assert best is not None
    assert best.job == "2"
    write_table(tmp_path / "sweep.csv", jobs)
    table = rows(tmp_path / "sweep.csv")
    assert [row["data.filters"] for row in table] == [filters[0], filters[1], filters[0], filters[0]]
    assert table[3][SCORE] == ""
    plot_sweep(tmp_path / "sweep.png", jobs)
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert best_of(jobs[3:]) is None
    assert "no job has a score" in show_table(jobs[3:])
    assert [short(text) for text in ("0.0023841234567", "8", "mild", "0.01")] == ["0.002384", "8", "mild", "0.01"]


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("a=x,y", {"choices": ("x", "y")}),
        ("a=choice(4,8)", {"choices": ("4", "8")}),
        ("a=range(2,9,3)", {"low": 2, "high": 8, "step": 3}),
        ("a=interval(0.5,2)", {"low": 0.5, "high": 2.0, "log": False}),
        ("a=tag(log,interval(1e-4,1e-2))", {"low": 1e-4, "high": 1e-2, "log": True}),
        ("a=int(interval(8,64))", {"low": 8, "high": 64, "log": False}),
    ],
)
def test_what_hydra_sweeps_is_what_optuna_draws(given: str, values: dict[str, Any]) -> None:
    drawn = distribution(OverridesParser.create().parse_override(given))
    assert {name: getattr(drawn, name) for name in values} == values


def test_trials_of_jobs_that_still_run_stay_open(tmp_path: Path) -> None:
    study = open_study(tmp_path, ["seed=1"], seed=1)
    space = {"model.depth": optuna.distributions.IntDistribution(1, 3)}
    first, drawn = ask(study, space, ["seed=1"], 3)
    assert first == 0
    assert all(given[0] == "seed=1" and given[1].startswith("model.depth=") for given in drawn)
    write_result(tmp_path / "0", scored(0, 0.7))
    write_result(tmp_path / "1", Job("1", RUNNING, host="elsewhere"))
    settle(study, tmp_path)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL]
    assert (completed(study), failures_in_a_row(study, 0), failures_in_a_row(study, 3)) == (1, 1, 0)
    with pytest.raises(InputError, match="begun with seed=1; give the same"):
        open_study(tmp_path, ["seed=2"], seed=2)
    ask(study, {"loss": optuna.distributions.CategoricalDistribution(["bce"])}, [], 1)
    with pytest.raises(InputError, match="begun with other choices"):
        ask(study, {"loss": optuna.distributions.CategoricalDistribution(["bce", "x"])}, [], 1)


def test_a_damaged_result_counts_as_none(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text(json.dumps({"status": DONE})[:-3])
    assert read_result(tmp_path) is None
