"""What a command has left is on the disk when it ends: contents, and the names that lead there."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import StandIn
from conftest import PLAIN, REPOSITORY, Result, predict


def run_train(run_script: Callable[..., Result], survey: Path, trained: Path) -> Result:
    data = [f"data.science={survey}/science", f"data.darks={survey}/darks", "data.store_dir=case/deep/tiles"]
    return run_script("train.py", *data, *PLAIN, "trainer.max_epochs=1", "hydra.run.dir=case/deep/run")


def run_predict(run_script: Callable[..., Result], survey: Path, trained: Path) -> Result:
    source = survey / "science" / "ivis01a0q_flc.fits"
    return predict(run_script, trained, source, "products=[mask,dq_copy,clean,regions]", output="case/deep/out")


def run_download(run_script: Callable[..., Result], survey: Path, trained: Path) -> Result:
    return run_script("download.py", "proposal=16801", "max=2", "output_dir=case/deep/out", "yes=true")


@pytest.mark.parametrize("work", [run_train, run_predict, run_download])
def test_a_power_cut_takes_nothing(
    work: Callable[[Callable[..., Result], Path, Path], Result],
    run_script: Callable[..., Result],
    archive: StandIn,
    survey: Path,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks" / "reliability"))
    durable, synced = importlib.import_module("durable"), importlib.import_module("synced")
    with durable.noted_syncs(tmp_path / "notes"):
        result = work(run_script, survey, trained)
    assert result.status == 0, result.err
    lost = durable.lost(tmp_path / "case", tmp_path / "notes")
    assert not {path: what for path, what in lost.items() if not synced.of_others(path)}
    (tmp_path / "case" / "deep" / "late.fits").write_text("x")
    assert tmp_path / "case" / "deep" / "late.fits" in durable.lost(tmp_path / "case", tmp_path / "notes")
