"""Exposures that are mapped two at a time."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread, current_thread

import numpy as np
import pytest
import torch
from astropy.io import fits
from conftest import ON_CPU, Result, write_hst
from numpy.typing import NDArray

from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.prediction import mapping
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.prediction.summary import Summary
from deepcr_lightning.runs.progress import RunProgress

Run = Callable[..., Result]


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def exposures(survey: Path, tmp_path: Path) -> Path:
    """Seven, one of them broken."""
    shutil.copytree(survey / "science", tmp_path / "in")
    (tmp_path / "in" / "ivis02broken_flc.fits").write_text("nothing")
    return tmp_path / "in"


def predict(run_script: Run, trained: Path, exposures: Path, output_dir: str, *overrides: str) -> Result:
    checkpoint = f"ckpt_path={trained}/checkpoints/best.ckpt"
    return run_script("predict.py", checkpoint, f"input={exposures}", f"output_dir={output_dir}", *ON_CPU, *overrides)


def threads_of_a_new_thread() -> int:
    seen: list[int] = []
    thread = Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]


@pytest.mark.usefixtures("four_threads")
def test_two_exposures_are_mapped_at_a_time(
    exposures: Path, trained: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, threads = Barrier(2, timeout=60), set[int]()
    original = ExposurePredictor.probabilities

    def probabilities(self: ExposurePredictor, exposure: Exposure) -> list[NDArray[np.float32]]:
        together.wait()  # raises if no other comes while this one is under way
        threads.add(torch.get_num_threads())
        return original(self, exposure)

    with monkeypatch.context() as patch:
        patch.setattr(ExposurePredictor, "probabilities", probabilities)
        result = predict(run_script, trained, exposures, "lanes")
    assert result.status == 1
    assert "6 exposures cleaned" in result.out, result.err
    assert threads == {2}, "each has its half"
    assert (torch.get_num_threads(), threads_of_a_new_thread()) == (4, 4)
    files = [line.split(",")[0] for line in (tmp_path / "lanes" / "summary.csv").read_text().splitlines()[1:]]
    assert files == [str(path) for path in sorted(exposures.iterdir())]
    monkeypatch.setattr(mapping, "_MOST", 0)
    assert predict(run_script, trained, exposures, "alone").status == 1
    for mask in (tmp_path / "alone").glob("*_crmask.fits"):
        np.testing.assert_array_equal(fits.getdata(mask), fits.getdata(tmp_path / "lanes" / mask.name))


@pytest.mark.usefixtures("four_threads")
def test_a_large_exposure_is_mapped_alone(
    exposures: Path, trained: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tiles need the memory, and all threads."""
    write_hst(exposures / "ivis02b0q_flc.fits", [np.random.default_rng(0).normal(30, 6, (80, 80))])
    monkeypatch.setattr(mapping, "_MOST", 6000)
    original, at_work, beside = ExposurePredictor.probabilities, set[Path](), list[set[Path]]()

    def probabilities(self: ExposurePredictor, exposure: Exposure) -> list[NDArray[np.float32]]:
        at_work.add(exposure.path)
        time.sleep(0.1)
        if exposure.path.name == "ivis02b0q_flc.fits":
            beside.append(set(at_work))
        made = original(self, exposure)
        at_work.remove(exposure.path)
        return made

    monkeypatch.setattr(ExposurePredictor, "probabilities", probabilities)
    assert "7 exposures cleaned" in predict(run_script, trained, exposures, "out").out
    assert beside == [{exposures / "ivis02b0q_flc.fits"}]


@pytest.mark.usefixtures("four_threads")
def test_an_interrupt_begins_nothing_more(
    exposures: Path, trained: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, mapped, sent = ExposurePredictor.probabilities, list[str](), threading.Event()

    def probabilities(self: ExposurePredictor, exposure: Exposure) -> list[NDArray[np.float32]]:
        mapped.append(exposure.path.name)
        if len(mapped) == 2:
            time.sleep(0.5)  # until a third one waits for a lane
            os.kill(os.getpid(), signal.SIGINT)  # to the process, as the terminal does
            sent.set()
        sent.wait(timeout=60)  # on a busy machine, too, no lane is free before
        time.sleep(2)
        return original(self, exposure)

    # A shell lets what a script puts into the background ignore it, tests as well.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(ExposurePredictor, "probabilities", probabilities)
        result = predict(run_script, trained, exposures, "out")
        for thread in threading.enumerate():
            if thread.name.startswith(("map", "write")):
                thread.join(timeout=10)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL, "a second one ends it at once"
    signal.signal(signal.SIGINT, handler)
    assert result.status == 130
    assert len(mapped) == 2, mapped
    rows = (tmp_path / "out" / "summary.csv").read_text().splitlines()[1:]
    assert all(",cleaned," in row for row in rows), "what was not begun is no failure"
    result = predict(run_script, trained, exposures, "out")
    assert "1 of" in result.err
    assert len(list((tmp_path / "out").glob("*_crmask.fits"))) == 6


@pytest.mark.usefixtures("four_threads")
def test_the_bar_moves_when_an_exposure_is_mapped(
    exposures: Path, trained: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, done, moved = ExposurePredictor.probabilities, list[int](), list[int]()

    def probabilities(self: ExposurePredictor, exposure: Exposure) -> list[NDArray[np.float32]]:
        made = original(self, exposure)
        done.append(1)
        return made

    original_move = RunProgress._move_on
    monkeypatch.setattr(RunProgress, "_move_on", lambda bar: (moved.append(len(done)), original_move(bar)))
    monkeypatch.setattr(ExposurePredictor, "probabilities", probabilities)
    predict(run_script, trained, exposures, "out")
    assert len(moved) == 7
    assert all(before >= number for number, before in enumerate(sorted(moved)))


@pytest.mark.usefixtures("four_threads")
def test_rows_and_products_keep_the_order_of_the_exposures(
    exposures: Path, trained: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[str] = []
    original = Summary.add
    monkeypatch.setattr(Summary, "add", lambda self, row: (added.append(row.file), original(self, row)))
    assert predict(run_script, trained, exposures, "out").status == 1
    assert added == [str(path) for path in sorted(exposures.iterdir())]


@pytest.mark.usefixtures("four_threads")
def test_what_one_lane_meets_leaves_the_other_alone(
    exposures: Path, trained: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ExposurePredictor.probabilities

    def probabilities(self: ExposurePredictor, exposure: Exposure) -> list[NDArray[np.float32]]:
        if exposure.path.name.startswith("ivis02"):
            raise MemoryError("no room")
        return original(self, exposure)

    monkeypatch.setattr(ExposurePredictor, "probabilities", probabilities)
    result = predict(run_script, trained, exposures, "out")
    assert result.status == 1
    assert "ivis02a0q_flc.fits: MemoryError: no room" in result.err
    assert "4 exposures cleaned" in result.out


@pytest.mark.usefixtures("four_threads")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own parts
@pytest.mark.parametrize("override", ["trainer.precision=bf16-mixed", "compile=true"])
def test_half_precision_and_compiled_networks_go_one_by_one(
    exposures: Path, trained: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch, override: str
) -> None:
    """Threads do not know of the precision of others, and the compiler is not made for several."""
    seen = set[str]()

    def probabilities(self: ExposurePredictor, exposure: Exposure) -> list[NDArray[np.float32]]:
        seen.add(current_thread().name)
        return [np.zeros_like(chip.electrons) for chip in exposure.chips]

    monkeypatch.setattr(ExposurePredictor, "probabilities", probabilities)
    assert "6 exposures cleaned" in predict(run_script, trained, exposures, "out", override).out
    assert seen == {current_thread().name}
