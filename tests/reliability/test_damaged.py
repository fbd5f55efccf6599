"""Damaged files are named in the line that refuses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Result

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.model import load_model
from deepcr_lightning.sweeps.result import SCORE


@pytest.mark.parametrize("network", [{"norm": []}, {"norm": "x"}, {"depth": 1e300}, {"depth": -1}, {"hidden": 0}])
def test_a_model_with_an_impossible_network_is_named(network: dict[str, Any], trained: Path, tmp_path: Path) -> None:
    """Nobody typed model.depth=: the message has to name the file that says so."""
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["deepcr_lightning"]["network"] |= network
    torch.save(checkpoint, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt: "):
        load_model(tmp_path / "a.ckpt")


@pytest.mark.parametrize("damage", ["no database", "half", "its options are no list"])
def test_a_damaged_study_is_named_in_a_line(
    damage: str, run_script: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setattr("deepcr_lightning.commands.train.train", lambda cfg: ({SCORE: 0.5}, ""))
    monkeypatch.setattr("deepcr_lightning.sweeps.collect.plot_sweep", lambda path, results: None)

    def search() -> Result:
        given = ["hparams_search=optuna", "model.hidden=4,8", "hydra.sweeper.trials=1", "hydra.sweep.dir=search"]
        return run_script("train.py", "-m", "data.science=s", "data.darks=d", "trainer.accelerator=cpu", *given)

    study = tmp_path / "search" / "study.db"
    if damage == "no database":
        study.parent.mkdir()
        study.write_bytes(b"no database" * 1000)
    else:
        assert search().status == 0
        data = study.read_bytes()
        study.write_bytes(
            data[: len(data) // 2] if damage == "half" else data.replace(b'["data.science', b'{"data.science')
        )
    result = search()
    assert result.status == 1
    assert "error: search/study.db: is damaged, or cannot be written (" in result.err
    assert "Traceback" not in result.err
