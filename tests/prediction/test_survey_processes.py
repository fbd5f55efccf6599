"""Survey runs in several processes, killed ones and two at once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from astropy.io import fits
from test_survey import command, table

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
    done = subprocess.run(command(trained, many, *settings), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "39 exposures cleaned" in done.stdout, done.stderr
    assert done.stdout.count("exposures cleaned") == 1, "one process speaks"
    assert "1 of 40 exposures were not cleaned" in done.stderr
    assert len(list((tmp_path / "out").glob("*_crmask.fits"))) == 39
    assert len(table(tmp_path / "out")) == 40


@pytest.mark.slow
def test_more_tasks_of_a_slurm_job_than_exposures(survey: Path, trained: Path, tmp_path: Path) -> None:
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
    tasks = [
        subprocess.Popen(
            command(trained, survey / "science" / "ivis01a0q_flc.fits", *settings, f"hydra.run.dir=run{n}"),
            cwd=tmp_path,
            env={**os.environ, **job, "SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    try:
        said = [task.communicate(timeout=120) for task in tasks]
    finally:  # the second waits half an hour for a first one that is gone
        for task in tasks:
            task.kill()
    assert [task.returncode for task in tasks] == [0, 0], said[0][1]
    assert "1 exposure cleaned" in said[0][0]
    assert " cleaned, threshold" not in said[1][0]
    assert len(table(tmp_path / "out")) == 1


@pytest.mark.slow
def test_a_killed_run_is_finished_by_the_same_command(many: Path, trained: Path, tmp_path: Path) -> None:
    settings = ("output_dir=out", "products=[mask,dq_copy,clean]", "save_probability=true")
    first = subprocess.Popen(
        command(trained, many, *settings), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    out = tmp_path / "out"
    for _ in range(2400):
        if len(list(out.glob("*_crmask.fits"))) >= 5 or first.poll() is not None:
            break
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {path: path.stat().st_mtime_ns for path in out.glob("[!.]*.fits")}
    assert 5 <= len(before) < 3 * 39, "killed in the middle"
    for path in before:
        with fits.open(path) as hdus:
            hdus.verify("exception")
    second = subprocess.run(
        command(trained, many, *settings), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "1 of" in second.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was made is kept"
    assert len(list(out.glob("[!.]*.fits"))) == 3 * 39
    assert len(table(out)) == 40
    assert not list(out.glob(".partial*"))


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(many: Path, trained: Path, tmp_path: Path) -> None:
    runs = [
        subprocess.Popen(
            command(trained, many, "output_dir=out", f"hydra.run.dir=run{n}"),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    for run in runs:
        _, error = run.communicate()
        assert "Traceback" not in error
    rows = table(tmp_path / "out")
    assert len(rows) == 40
    assert sum(row["status"] == CLEANED for row in rows.values()) == 39
    for path in (tmp_path / "out").glob("*_crmask.fits"):
        with fits.open(path) as hdus:
            hdus.verify("exception")
