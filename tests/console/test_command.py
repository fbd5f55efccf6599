"""How a command ends where something outside of it has failed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest
from conftest import Result
from omegaconf import DictConfig

GIVEN = ("data.science=s", "data.darks=d", "trainer.accelerator=cpu", "keep_freed_memory=false", "hydra.run.dir=run")


def failing(number: int) -> Callable[[DictConfig], None]:
    def train(cfg: DictConfig) -> None:
        raise OSError(number, os.strerror(number), "/run/metrics")

    return train


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "ENOLCK", "EACCES"])
def test_a_disk_that_fails_under_lightning_is_a_line(
    name: str, run_script: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = getattr(errno, name)
    monkeypatch.setattr("deepcr_lightning.commands.train.train", failing(number))
    result = run_script("train.py", *GIVEN)
    assert result.status == 1
    assert result.err.strip().splitlines()[-1] == f"error: /run/metrics: {os.strerror(number)}"
    assert "Traceback" not in result.err


def test_other_errors_of_the_system_are_defects(
    run_script: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepcr_lightning.commands.train.train", failing(errno.ENOENT))
    result = run_script("train.py", *GIVEN)
    assert result.status == 1
    assert "FileNotFoundError" in result.err
