from __future__ import annotations

import csv
import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import optuna
import pytest
from conftest import TINY, Result, composed
from hydra.utils import instantiate
from optuna.trial import TrialState

from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps import launchers
from deepcr_lightning.sweeps.result import (
    DONE,
    FAILED,
    KILLED,
    RUNNING,
    SCORE,
    read_results,
    write_result,
)
from deepcr_lightning.sweeps.result import Result as Job
from deepcr_lightning.sweeps.study import close, completed

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
def test_a_sweep_leaves_table_figure_and_the_best_checkpoint(survey: Path, forks: ModuleType, tmp_path: Path) -> None:
    """Jobs side by side in processes of their own, with loader processes; one of them cannot work."""
    swept = ["model.depth=1,2,7", "data.num_workers=1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    work = forks.script("train.py", "-m", *overrides(survey), *swept, "hydra.sweep.dir=sweep")
    status = forks.end(forks.start(work, tmp_path, tmp_path / "log"))
    said = (tmp_path / "log").read_text()
    assert status == 1, said
    assert said.strip().splitlines()[-1] == "error: 1 of 3 jobs failed; the table says why: sweep/sweep.csv"
    assert "Traceback" not in said
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
    assert f"Best checkpoint: {os.path.relpath(best['checkpoint'], tmp_path)}" in said
    assert Path(best["checkpoint"]).is_file()
    assert "model.depth=7: must be 1 to 5" in said
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


def test_what_a_job_held_is_free_before_the_next(
    survey: Path, run_script: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[weakref.ref[LabelFreeDataModule]] = []
    others: list[int] = []
    true = LabelFreeDataModule.setup

    def setup(self: LabelFreeDataModule, stage: str | None = None) -> None:
        others.append(sum(data() not in (None, self) for data in known))
        known.append(weakref.ref(self))
        true(self, stage)

    monkeypatch.setattr(LabelFreeDataModule, "setup", setup)
    gc.disable()  # it may come by chance
    try:
        sweep = ("-m", *overrides(survey), "trainer.max_epochs=1", "model.depth=1,2", "hydra.sweep.dir=sweep")
        assert run_script("train.py", *sweep).status == 0
    finally:
        gc.enable()
    assert len({id(data) for data in known}) > 1
    assert set(others) == {0}


def test_a_search_goes_on_where_it_stopped(survey: Path, run_script: Callable[..., Result], tmp_path: Path) -> None:
    def search(*more: str) -> tuple[Result, optuna.Study]:
        settings = [text for text in overrides(survey) if "hidden" not in text and "batch" not in text]
        settings += ["trainer.max_epochs=1", "model.hidden=4,8", "model.depth=1", "hydra.sweep.dir=search"]
        result = run_script("train.py", "-m", "hparams_search=optuna", *settings, *more)
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/search/study.db")
        study = optuna.load_study(study_name="search", storage=storage)
        weakref.finalize(study, close, storage)
        return result, study

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
    assert "its search was started with" in other.err


def test_a_search_that_cannot_work_ends(survey: Path, run_script: Callable[..., Result], tmp_path: Path) -> None:
    settings = [*overrides(survey), "data.darks=nowhere", "hydra.sweep.dir=search"]
    result = run_script("train.py", "-m", "hparams_search=optuna", *settings)
    assert result.status == 1
    assert "error: 3 of 3 jobs failed" in result.err
    assert {row["reason"] for row in rows(tmp_path / "search" / "sweep.csv")} == {
        "data.darks=nowhere: no such file or directory; give a directory, a file, a quoted glob, or a list"
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "needs an option with several values"),
        (["model.depth="], "needs an option with several values"),
        (["model.depth=range(2,2)"], "model.depth=range(2,2): an empty range"),
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
    assert "hydra.sweep.dir=sweep: already contains another sweep" in result.err
