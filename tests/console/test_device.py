"""What a command chooses where the user leaves device and precision open."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from deepcr_lightning.console.device import PRECISIONS, choose_device
from deepcr_lightning.errors import InputError


@pytest.mark.parametrize(
    ("gpu", "has_bf16", "half", "precision"),
    [
        (True, True, True, "bf16-mixed"),
        (True, False, True, "16-mixed"),
        (True, True, False, "32-true"),
        (False, False, True, "32-true"),
        (False, False, False, "32-true"),
    ],
)
def test_half_precision_is_for_gpus_and_for_those_who_want_it(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, has_bf16: bool, half: bool, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(gpu))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bf16)
    cfg = OmegaConf.create({"trainer": {"accelerator": "auto", "devices": 1, "precision": None}})
    choose_device(cfg, half)
    assert (cfg.trainer.accelerator, cfg.trainer.precision) == ("gpu" if gpu else "cpu", precision)
    cfg.trainer.precision = "64-true"
    choose_device(cfg, half)
    assert cfg.trainer.precision == "64-true", "what the user says wins"


@pytest.mark.parametrize("wrong", ["fp16", "bfloat16", "tf32", 8, "transformer-engine"])
def test_a_precision_that_is_none_is_refused_by_the_name_of_its_option(wrong: str | int) -> None:
    cfg = OmegaConf.create({"trainer": {"accelerator": "cpu", "devices": 1, "precision": wrong}})
    with pytest.raises(InputError, match=f"trainer.precision={wrong}: choose from 32-true, 16-mixed, bf16-mixed"):
        choose_device(cfg)


@pytest.mark.filterwarnings("ignore:.*precision")
@pytest.mark.parametrize("right", PRECISIONS)
def test_each_precision_makes_a_trainer(right: str) -> None:
    cfg = OmegaConf.create({"trainer": {"accelerator": "cpu", "devices": 1, "precision": right}})
    choose_device(cfg)
    pl.Trainer(accelerator="cpu", precision=cfg.trainer.precision, logger=False)
