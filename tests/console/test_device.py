"""What a command chooses where the user leaves device and precision open."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from deepcr_lightning.console.device import choose_device


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
