"""Survey runs in several processes, killed ones and two at once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from astropy.io import fits
from conftest import REPOSITORY, wait_until
from test_survey import arguments, table

from deepcr_lightning.prediction.summary import CLEANED


@pytest.fixture(scope="module")
def many(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty exposures, one of them broken."""
    folder = tmp_path_factory.mktemp("many")
    sources = sorted((survey / "science").iterdir())
    for n in range(39):
        shutil.copy(sources[n % 6], folder / f"ivis{n:02d}a0q_flc.fits")
    (folder / "ivis99a0q_flc.fits").write_text("broken")
    return folder


@pytest.mark.slow
def test_processes_share_the_exposures(many: Path, trained: Path, tmp_path: Path) -> None:
    settings = ("trainer=ddp", "trainer.devices=2", "output_dir=out", "hydra.run.dir=run")
    command = [sys.executable, str(REPOSITORY / "predict.py"), *arguments(trained, many, *settings)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "39 exposures cleaned" in done.stdout, done.stderr
    assert done.stdout.count("exposures cleaned") == 1, "one process speaks"
    assert "1 of 40 exposures were not cleaned" in done.stderr
    assert len(list((tmp_path / "out").glob("*_crmask.fits"))) == 39
    assert len(table(tmp_path / "out")) == 40


@pytest.mark.slow
def test_more_tasks_of_a_slurm_job_than_exposures(
    survey: Path, trained: Path, forks: ModuleType, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What srun --ntasks-per-node=2 tells each of its tasks; the port of a job number may be that of another test.
    job = {
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_NAME": "survey",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    settings = ("trainer=ddp", "trainer.devices=2", "output_dir=out")

    def start(number: int) -> int:
        def work() -> None:
            os.environ.update({**job, "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)})
            options = arguments(trained, survey / "science" / "ivis01a0q_flc.fits", *settings)
            forks.script("predict.py", *options, f"hydra.run.dir=run{number}")()

        return forks.start(work, tmp_path, tmp_path / f"log{number}")

    tasks = [start(n) for n in range(2)]
    statuses = [forks.end(task) for task in tasks]
    said = [(tmp_path / f"log{n}").read_text() for n in range(2)]
    assert statuses == [0, 0], said
    assert "1 exposure cleaned" in said[0]
    assert " cleaned, threshold" not in said[1]
    assert len(table(tmp_path / "out")) == 1


@pytest.mark.slow
def test_a_killed_run_is_finished_by_the_same_command(
    many: Path, trained: Path, forks: ModuleType, tmp_path: Path
) -> None:
    settings = ("output_dir=out", "products=[mask,dq_copy,clean]", "save_probability=true")
    work = forks.script("predict.py", *arguments(trained, many, *settings))
    first = forks.start(work, tmp_path, tmp_path / "log")
    out = tmp_path / "out"
    wait_until(lambda: len(list(out.glob("*_crmask.fits"))) >= 5, first)
    os.kill(first, signal.SIGKILL)
    forks.end(first)
    before = {path: path.stat().st_mtime_ns for path in out.glob("[!.]*.fits")}
    assert 5 <= len(before) < 3 * 39, "killed in the middle"
    for path in before:
        with fits.open(path) as hdus:
            hdus.verify("exception")
    assert forks.end(forks.start(work, tmp_path, tmp_path / "again")) == 1
    assert "1 of" in (tmp_path / "again").read_text()
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was made is kept"
    assert len(list(out.glob("[!.]*.fits"))) == 3 * 39
    assert len(table(out)) == 40
    assert not list(out.glob(".partial*"))


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(
    many: Path, trained: Path, forks: ModuleType, tmp_path: Path
) -> None:
    options = [arguments(trained, many, "output_dir=out", f"hydra.run.dir=run{n}") for n in range(2)]
    runs = [forks.start(forks.script("predict.py", *options[n]), tmp_path, tmp_path / f"log{n}") for n in range(2)]
    for number, run in enumerate(runs):
        assert forks.end(run) == 1
        assert "Traceback" not in (tmp_path / f"log{number}").read_text()
    rows = table(tmp_path / "out")
    assert len(rows) == 40
    assert sum(row["status"] == CLEANED for row in rows.values()) == 39
    for path in (tmp_path / "out").glob("*_crmask.fits"):
        with fits.open(path) as hdus:
            hdus.verify("exception")
