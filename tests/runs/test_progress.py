"""What a run shows of where it is."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
from conftest import PLAIN, Result, predict

from deepcr_lightning.runs.progress import RunProgress

Run = Callable[..., Result]
EPOCHS = 3


class Warns(pl.Callback):
    """Warns in the middle of a run, as libraries do."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step == 4:
            warnings.warn("something is odd", UserWarning, stacklevel=1)


def train(run_script: Run, survey: Path, *more: str) -> Result:
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    result = run_script("train", *data, *PLAIN, f"trainer.max_epochs={EPOCHS}", "hydra.run.dir=run", *more)
    assert result.status == 0, result.err
    return result


def test_a_log_gets_one_line_an_epoch(survey: Path, run_script: Run, tmp_path: Path) -> None:
    result = train(run_script, survey)
    log = (tmp_path / "run" / "train.log").read_text()
    for text in (result.out, log):
        lines = [line for line in text.splitlines() if "Epoch " in line]
        assert len(lines) == EPOCHS
        score = r"loss \d\.\d{4}, average precision \d\.\d{4}"
        assert re.search(rf"Epoch 1/3: {score}, \d\d:\d\d left$", lines[0])
        assert re.search(rf"Epoch 3/3: {score}$", lines[2])
    assert "\r" not in result.out + result.err
    assert "it/s" not in result.out + result.err
    assert len((result.out + result.err).splitlines()) < 45


def test_a_terminal_of_80_columns_gets_a_bar_of_the_whole_run(
    survey: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(RunProgress, "is_disabled", False)
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (80, 24))
    result = train(run_script, survey)
    drawn = [text for text in re.split(r"[\r\n]", result.err) if "Epoch " in text]
    assert max(map(len, drawn)) <= 80
    assert not [text for text in drawn if "v_num" in text]
    last = drawn[-1]
    assert re.match(r"Epoch 3/3: +100%\|█+\| 00:00 left, loss=\d\.\d{4}, average precision=\d\.\d{4}$", last.strip())
    shares = [int(re.search(r"(\d+)%", text)[1]) for text in drawn]  # type: ignore[index]
    assert shares == sorted(shares), "one bar for all epochs"
    assert shares[0] < 10


def test_warnings_and_lines_of_the_log_stand_above_the_bar(
    survey: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(RunProgress, "is_disabled", False)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = train(run_script, survey, "+callbacks.odd._target_=test_progress.Warns")
    assert "UserWarning: something is odd" in (tmp_path / "run" / "train.log").read_text()
    (line,) = [text for text in re.split(r"[\r\n]", result.out + result.err) if "something is odd" in text]
    assert "Epoch" not in line


def test_a_resumed_run_goes_on_with_the_bar(
    survey: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train(run_script, survey)
    monkeypatch.setattr(RunProgress, "is_disabled", False)
    result = run_script("train", "ckpt_path=run/checkpoints/last.ckpt", "trainer.max_epochs=6")
    assert result.status == 0, result.err
    drawn = [text for text in re.split(r"[\r\n]", result.err) if "Epoch " in text]
    assert drawn[0].startswith("Epoch 4/6")
    assert int(re.search(r"(\d+)%", drawn[0])[1]) >= 50  # type: ignore[index]


def test_the_bar_can_be_left_out(survey: Path, run_script: Run) -> None:
    assert "Epoch " not in train(run_script, survey, "+trainer.enable_progress_bar=false").out


def test_a_long_survey_without_a_bar_says_how_far_it_is(
    trained: Path, survey: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepcr_lightning.runs.progress._PATIENCE", 0)
    result = predict(run_script, trained, survey / "science")
    assert result.status == 0, result.err
    assert [text for text in result.out.splitlines() if "of 6 exposures" in text][2].endswith("3 of 6 exposures")
    assert "it/s" not in result.out + result.err
