"""After a kill the same command goes on, and leaves nothing of the process that was killed."""

from __future__ import annotations

import csv
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from archive_server import StandIn
from conftest import Result
from omegaconf import DictConfig

from deepcr_lightning.archive.passing import PassingExposures
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.sweeps.result import SCORE
from deepcr_lightning.viewer.opened import open_exposure
from deepcr_lightning.viewer.saving import save

DEAD = 2**22 + 1
"""Above the largest process number of Linux."""


def half_written(folder: Path, name: str) -> None:
    """Leave what a process that was killed while it wrote a file has left."""
    (folder / f".partial-{platform.node()}@{DEAD}-x1y2-{name}").write_text("half")


def hidden(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob(".*") if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_that_was_killed_goes_on(
    run_script: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, killed = [], ["1"]

    def train(cfg: DictConfig) -> tuple[dict[str, float], str]:
        depth = str(cfg.model.depth)
        trained.append(depth)
        if depth in killed:
            raise SystemExit(143)  # as after SIGTERM
        return {SCORE: 0.5 + 0.1 * int(depth)}, ""

    def sweep(*given: str) -> Result:
        data = ["data.science=s", "data.darks=d", "trainer.accelerator=cpu", "keep_freed_memory=false"]
        return run_script("train.py", "-m", "model.depth=2,1,3", *data, "hydra.sweep.dir=sweep", *given)

    monkeypatch.setattr("deepcr_lightning.commands.train.train", train)
    monkeypatch.setattr("deepcr_lightning.sweeps.collect.plot_sweep", lambda path, results: None)
    assert sweep().status == 143
    half_written(tmp_path / "sweep", "sweep.csv")
    half_written(tmp_path / "sweep" / "1", "run.json")
    killed.clear()
    second = sweep()
    assert second.status == 0, second.err
    assert trained == ["2", "1", "1", "3"], "what was done was done again"
    assert [row["status"] for row in rows(tmp_path / "sweep" / "sweep.csv")] == ["done"] * 3
    assert not [name for name in hidden(tmp_path / "sweep") if name.startswith(".partial")]
    before = (tmp_path / "sweep" / "sweep.csv").read_text()
    assert sweep().status == 0
    assert ((tmp_path / "sweep" / "sweep.csv").read_text(), len(trained)) == (before, 4)
    other = sweep("seed=5")
    assert (other.status, len(trained)) == (1, 4)
    assert "hydra.sweep.dir=sweep: already contains another sweep; give another directory" in other.err


def test_a_download_leaves_nothing_beside_what_came(
    archive: StandIn, run_script: Callable[..., Result], tmp_path: Path
) -> None:
    command = ("download.py", "proposal=16801", "max=1", "output_dir=out", "yes=true")
    assert run_script(*command).status == 0
    [path] = (tmp_path / "out" / "science").iterdir()
    for ending in ("version", "lock", "part"):  # killed between the last byte and its end
        path.with_name(f".{path.name}.{ending}").write_text("x")
    half_written(tmp_path / "out", "download.csv")
    half_written(tmp_path / "out" / "science", ".version")
    content = path.read_bytes()
    assert run_script(*command).status == 0
    assert path.read_bytes() == content
    assert hidden(tmp_path / "out") == {".download.csv.lock"}


def test_exposures_that_come_and_go_leave_nothing_of_a_run_that_was_killed(archive: StandIn, tmp_path: Path) -> None:
    half_written(tmp_path, "download.csv")
    with PassingExposures(["mast:16801"], tmp_path, keep=False) as passing:
        assert passing.places
    assert not [name for name in hidden(tmp_path) if name.startswith(".partial")]


def test_saving_leaves_nothing_of_a_page_that_was_killed(survey: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(survey / "science" / "ivis01a0q_flc.fits", tmp_path))
    half_written(tmp_path, "ivis01a0q_crmask.fits")
    maps = [np.full((64, 96), 0.2, np.float32)]
    opened = open_exposure(path, tmp_path / "ivis01a0q_crmask.fits", lambda _: (maps, Provenance("x", "0", 0.5, 0)))
    save(opened)
    assert hidden(tmp_path) <= {".ivis01a0q_crmask.fits.lock"}  # some versions of filelock leave theirs
