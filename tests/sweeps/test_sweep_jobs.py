"""Jobs of sweeps: how they end, what they leave, and what is drawn for the next."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import optuna
import pytest
from conftest import REPOSITORY, composed
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState
from test_sweeps import rows

from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps.__main__ import main as collect_again
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
    swept_options,
    write_result,
)
from deepcr_lightning.sweeps.result import Result as Job
from deepcr_lightning.sweeps.study import ask, completed, distribution, failures_in_a_row, open_study, settle
from deepcr_lightning.sweeps.sweep_figure import plot_sweep
from deepcr_lightning.sweeps.table import short, show_table, write_table


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
        if cfg.ckpt_path is None:
            raise SystemExit(143)
        return {SCORE: 0.75}, cfg.ckpt_path

    with pytest.raises(SystemExit):
        run_job(taken_up, job_config(tmp_path))
    last = tmp_path / "7" / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.touch()
    assert run_job(taken_up, job_config(tmp_path)) == 0.75
    result = read_result(tmp_path / "7")
    assert result is not None
    assert (result.status, result.checkpoint) == (DONE, str(last))


def test_a_job_that_is_done_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert run_job(lambda cfg: ({SCORE: 0.5}, ""), job_config(tmp_path)) == 0.5
    assert run_job(lambda cfg: ({SCORE: 0.9}, ""), job_config(tmp_path)) == 0.5
    result = read_result(tmp_path / "7")
    assert result is not None
    # Of other options it is another job.
    write_result(tmp_path / "7", replace(result, overrides=["seed=4"]))
    assert run_job(lambda cfg: ({SCORE: 0.9}, ""), job_config(tmp_path)) == 0.9


def test_a_job_at_which_another_process_works_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep was killed, and a process of its launcher goes on with a job that the next command starts again."""
    monkeypatch.setattr(sys, "argv", ["train.py"])
    begun, trained = Event(), []

    def train(cfg: DictConfig) -> tuple[dict[str, float], str]:
        trained.append(1)
        begun.set()
        sleep(0.3)
        return {SCORE: 0.5}, ""

    cfg = job_config(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run_job, train, cfg.copy())
        assert begun.wait(10)
        assert run_job(train, cfg) == first.result() == 0.5
    assert len(trained) == 1


def test_a_job_on_a_file_system_without_locks_ends_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(SystemExit):
        run_job(lambda cfg: ({SCORE: 0.5}, ""), job_config(tmp_path))
    assert capsys.readouterr().err == f"error: {tmp_path}/7: cannot be written (No locks available)\n"


@pytest.mark.parametrize("left", [b"\0\0\0\0", b"- 'mod", b"", b"\xff\xfe", b"- model.dep"])
def test_a_job_that_left_half_a_file_of_options_counts_as_killed(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "3" / ".hydra").mkdir(parents=True)
    (tmp_path / "3" / ".hydra" / "overrides.yaml").write_bytes(left)
    result = read_result(tmp_path / "3")
    assert result is not None
    assert result.status == KILLED


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
    assert "Some jobs are still running; when they have ended: python -m deepcr_lightning.sweeps" in shown
    assert collect_again([str(tmp_path / "none")]) == 1
    assert "contains no job of a sweep" in capsys.readouterr().err
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
    with pytest.raises(InputError, match="started with seed=1; give the same"):
        open_study(tmp_path, ["seed=2"], seed=2)
    ask(study, {"loss": optuna.distributions.CategoricalDistribution(["bce"])}, [], 1)
    with pytest.raises(InputError, match="started with other choices"):
        ask(study, {"loss": optuna.distributions.CategoricalDistribution(["bce", "x"])}, [], 1)


def test_a_damaged_result_counts_as_none(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text(json.dumps({"status": DONE})[:-3])
    assert read_result(tmp_path) is None
