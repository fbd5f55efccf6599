"""Training runs as a whole: stopped, killed, out of memory, on several processes, the same twice."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import PLAIN, REPOSITORY, Result, wait_until, write_hst

from deepcr_lightning.commands import train
from deepcr_lightning.console.arguments import override, resume_overrides
from deepcr_lightning.models.checkpoint import read_checkpoint

Run = Callable[..., Result]


def given(survey: Path, folder: Path, run: str = "run") -> list[str]:
    data = [f"data.science={survey}/science", f"data.darks={survey}/darks", f"data.store_dir={folder}/tiles"]
    return [*data, *PLAIN, f"hydra.run.dir={folder}/{run}"]


def losses(run: Path) -> list[str]:
    """Return the losses of all steps that a run logged, as they stand in its tables."""
    found = []
    for file in sorted(run.glob("metrics/version_*/metrics.csv"), key=lambda path: path.parent.name):
        header, *lines = file.read_text().splitlines()
        place = header.split(",").index("train/loss_step")
        found += [line.split(",")[place] for line in lines if line.split(",")[place]]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_run_goes_on(
    survey: Path, run_script: Run, forks: ModuleType, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    wanted = ["trainer.max_epochs=40", "trainer.log_every_n_steps=1"]
    train = forks.script("train.py", *given(survey, tmp_path), *wanted)

    def work() -> None:
        # A suite in the background of a shell ignores Ctrl-C, and its forks would do so, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        train()

    log = tmp_path / "log"
    run = forks.start(work, tmp_path, log)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    first_epoch = -1 if number == signal.SIGINT else 1
    wait_until(lambda: last.exists() and read_checkpoint(last)["epoch"] >= first_epoch, run)
    os.kill(run, number)
    assert forks.end(run) == status, log.read_text()
    if number != signal.SIGKILL:
        assert f"resume with: deepcr-lightning train ckpt_path={last}" in log.read_text()
        assert "Traceback" not in log.read_text()
    reached = read_checkpoint(last)["epoch"]
    assert not list(last.parent.glob(".partial*")) or number == signal.SIGKILL
    result = run_script("train.py", f"ckpt_path={last}", f"trainer.max_epochs={reached + 2}")
    assert result.status == 0, result.err
    assert read_checkpoint(last)["epoch"] == reached + 1
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()


@pytest.mark.slow
def test_the_same_run_twice_is_the_same_to_the_last_bit(survey: Path, run_script: Run, tmp_path: Path) -> None:
    settings = ["trainer.log_every_n_steps=1", "augmentation=strong"]
    for run in ("a", "b"):
        assert run_script("train.py", *given(survey, tmp_path, run), *settings).status == 0
    first, second = losses(tmp_path / "a"), losses(tmp_path / "b")
    assert len(first) > 4
    assert first == second
    weights = [read_checkpoint(tmp_path / run / "checkpoints" / "last.ckpt")["state_dict"] for run in ("a", "b")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
def test_two_processes_validate_as_one(survey: Path, run_script: Run, tmp_path: Path) -> None:
    """The same weights on one process and on two: the same scores; and each process draws its own tiles."""
    frozen = ["model.learning_rate=1e-30", "trainer.max_epochs=1", "~callbacks.average"]
    one = run_script("train.py", *given(survey, tmp_path, "one"), *frozen)
    assert one.status == 0, one.err
    # PLAIN names the accelerator, too: what comes last counts.
    shared = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    command = [sys.executable, str(REPOSITORY / "train.py"), *given(survey, tmp_path, "two"), *frozen, *shared]
    two = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("Best checkpoint") == 1, "one process speaks"
    scores = {}
    for name, said in (("one", one.out), ("two", two.stdout)):
        line = re.search(r"Scores, estimated without truth: (.*)", said)
        assert line is not None
        scores[name] = dict(pair.split(" ") for pair in line[1].split(", ") if pair.startswith(("val", "test")))
    assert scores["one"].keys() == scores["two"].keys()
    for score, value in scores["one"].items():
        assert float(scores["two"][score]) == pytest.approx(float(value), abs=2e-4), score


@pytest.mark.slow
def test_a_slurm_job_that_is_requeued_goes_on(survey: Path, forks: ModuleType, tmp_path: Path) -> None:
    """SIGUSR1, as SLURM sends it before the end of a job: saved, requeued, found again by the next start."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\n')
    (bin_dir / "scontrol").chmod(0o755)
    job = {
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "1",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODELIST": "localhost",
        "MASTER_ADDR": "127.0.0.1",
        "PATH": f"{bin_dir}:{os.environ['PATH']}",
    }
    settings = [text for text in given(survey, tmp_path) if not text.startswith("hydra.run.dir")]
    settings += ["trainer=slurm", "trainer.devices=1", "trainer.accelerator=cpu", "trainer.max_epochs=60"]

    def start(log: Path, *more: str, **restarted: str) -> int:
        def work() -> None:
            os.environ.update({**job, **restarted})
            forks.script("train.py", *settings, *more)()

        return forks.start(work, tmp_path, log)

    run = tmp_path / "outputs" / "train" / "slurm_77"
    last = run / "checkpoints" / "last.ckpt"
    first = start(tmp_path / "log")
    wait_until(lambda: last.exists() and read_checkpoint(last)["epoch"] >= 1, first)
    os.kill(first, signal.SIGUSR1)
    wait_until((tmp_path / "requeued").exists, first)
    os.kill(first, signal.SIGKILL)
    forks.end(first)
    assert (tmp_path / "requeued").read_text() == "requeue 77\n", (tmp_path / "log").read_text()
    saved = torch.load(run / "hpc_ckpt_1.ckpt", weights_only=True)["epoch"]
    again = start(tmp_path / "again", f"trainer.max_epochs={saved + 2}", SLURM_RESTART_COUNT="1")
    assert forks.end(again) == 0, (tmp_path / "again").read_text()
    assert read_checkpoint(last)["epoch"] == saved + 1
    assert "resumes from" in (tmp_path / "again").read_text()


def test_a_run_of_other_data_is_not_resumed(survey: Path, trained: Path, run_script: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = (run / "config.yaml").read_text()
    last = run / "checkpoints" / "last.ckpt"
    fewer = f"data.science='{survey}/science/ivis0[12]*'"
    result = run_script("train.py", f"ckpt_path={last}", "data.label_snr=3", fewer)
    assert result.status == 1
    assert "cannot resume with other data" in result.err
    assert "data.science has 0 exposures that it had not, and lacks 2" in result.err
    assert "it had data.label_snr=2.0, not 3" in result.err
    result = run_script("train.py", f"ckpt_path={last}", "model.hidden=8")
    assert result.status == 1
    assert "was trained with model.hidden=4; resume with the same" in result.err
    assert (run / "config.yaml").read_text() == before, "a run that is not resumed is left as it was"


def test_a_refused_resume_leaves_the_run_as_it_was(trained: Path, run_script: Run, tmp_path: Path) -> None:
    """And what a resume may change it changes: the number of epochs, and the learning rate."""
    run = tmp_path / "a=b (1)"
    shutil.copytree(trained, run)
    last = override("ckpt_path", run / "checkpoints" / "last.ckpt")
    for change, lacking in (("model.hidden=8", "model.hidden=4"), ("loss=bce", "loss=calibrated_bce")):
        result = run_script("train.py", last, change)
        assert result.status == 1
        assert f"was trained with {lacking}; resume with the same" in result.err
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The dirpath has changed")
        result = run_script("train.py", last, "trainer.max_epochs=3", "model.learning_rate=1e-4")
    assert result.status == 0, result.err
    with sorted(run.glob("metrics/version_*/metrics.csv"))[-1].open() as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file) if row["learning_rate"]]
    assert rates == pytest.approx([1e-6]), "a hundredth of the rate, where the cosine ends"
    again = resume_overrides([last])
    assert "trainer.max_epochs=3" in again
    assert not any(text.startswith("loss=") for text in again)


def test_a_loss_that_is_no_number_stops_the_run(
    survey: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[str] = []
    monkeypatch.setattr(train, "finish_wandb", lambda loggers, checkpoint: finished.append(checkpoint))
    result = run_script("train.py", *given(survey, tmp_path), "model.learning_rate=1e30", "trainer.max_epochs=20")
    assert result.status == 1
    assert re.search(r"the loss is (nan|inf) at step \d+; its batch is saved in .*bad_batch.pt", result.err), result.err
    batch = torch.load(tmp_path / "run" / "bad_batch.pt", weights_only=True)
    assert batch["image"].shape[1:] == (1, 32, 32)
    weights = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in weights.values()), "what is kept is of before"
    assert finished == [""], "the next run of a sweep must not go on in the tracker's run of this one"


def test_memory_that_runs_out_names_a_smaller_batch(
    survey: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepcr_lightning.training.segmenter import CosmicRaySegmenter

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(CosmicRaySegmenter, "training_step", full)
    result = run_script("train.py", *given(survey, tmp_path))
    assert result.status == 1
    assert "out of memory with data.batch_size=4: try data.batch_size=2" in result.err


def test_gpus_that_are_not_there_are_said(survey: Path, run_script: Run, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    for trainer in ("gpu", "ddp"):
        settings = [text for text in given(survey, tmp_path) if "accelerator" not in text]
        result = run_script("train.py", *settings, f"trainer={trainer}")
        assert result.status == 1
        assert "trainer.accelerator=gpu: there is no GPU here; leave it out, or set trainer=cpu" in result.err


def test_a_single_exposure_says_what_to_do(run_script: Run, tmp_path: Path, survey: Path) -> None:
    rng = np.random.default_rng(0)
    alone = write_hst(tmp_path / "ivis01a0q_flc.fits", [rng.normal(30, 6, (64, 96))])
    result = run_script("train.py", *given(survey, tmp_path), f"data.science={alone}", "trainer.max_epochs=1")
    assert result.status == 0, result.err
    assert "A single exposure of science: it is used for training and validation" in result.out
    assert "give more of them for a validation side" in result.out


def test_the_last_checkpoint_is_the_last_even_if_another_is_the_best(
    survey: Path, run_script: Run, tmp_path: Path
) -> None:
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    still = ("model.learning_rate=1e-12", "trainer.max_epochs=3", "augmentation=none", "hydra.run.dir=run")
    assert run_script("train.py", *PLAIN, *data, *still).status == 0
    best, last = (
        torch.load(tmp_path / "run" / "checkpoints" / f"{n}.ckpt", weights_only=True) for n in ("best", "last")
    )
    assert last["epoch"] == 2
    assert best["epoch"] < 2
