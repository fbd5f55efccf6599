"""The optimiser of every network, and its learning rate over the steps."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import nn

from deepcr_lightning.errors import InputError

SCHEDULES = ("cosine", "constant")
FINAL_RATE = 0.01
"""The learning rate ends at this share of its highest value."""


def check_rates(learning_rate: float, warmup: float, schedule: str) -> None:
    """Raise if a parameter of `adamw` is out of its range.

    Parameters
    ----------
    learning_rate, warmup, schedule
        As in `adamw`.

    Raises
    ------
    InputError
        If one is not.
    """
    if not learning_rate > 0:
        raise InputError(f"model.learning_rate={learning_rate}: must be positive")
    if not 0 <= warmup < 1:
        raise InputError(f"model.warmup={warmup}: must be a fraction of the steps, at least 0 and below 1")
    if schedule not in SCHEDULES:
        raise InputError(f"model.schedule={schedule}: must be one of {', '.join(SCHEDULES)}")


def adamw(
    net: nn.Module, trainer: pl.Trainer, learning_rate: float, weight_decay: float, warmup: float, schedule: str
) -> OptimizerLRScheduler:
    """Make AdamW, with warm-up and schedule by the step.

    Parameters
    ----------
    net : nn.Module
    trainer : Trainer
        Knows how many steps the run has.
    learning_rate : float
        Highest rate.
    weight_decay : float
    warmup : float
        Share of the steps in which the rate rises from 0.
    schedule : {"cosine", "constant"}
        What the rate does then.

    Returns
    -------
    dict
        As ``configure_optimizers`` returns it.
    """
    optimizer = torch.optim.AdamW(
        net.parameters(),
        lr=learning_rate,
        weight_decay=weight_decay,
        # One pass over all weights; with the scaled loss of fp16 Lightning could then not clip gradients.
        fused=str(trainer.precision) != "16-mixed",
    )
    total = max(1, int(trainer.estimated_stepping_batches))
    rising = int(warmup * total)

    def rate(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        if schedule == "constant":
            return 1.0
        progress = min(1.0, (step - rising) / max(1, total - rising))
        return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def ask_for_rate(checkpoint: dict[str, Any], learning_rate: float) -> None:
    """Let a run that is resumed go on with the rate that is asked for now, in place.

    Parameters
    ----------
    checkpoint : dict
        As Lightning loads it: its schedule would bring the old rate back.
    learning_rate : float
        Highest rate; the schedule and the phase that the run is in stay what they are.
    """
    factor = learning_rate / checkpoint["hyper_parameters"]["learning_rate"]
    if factor == 1:
        return
    for schedule in checkpoint.get("lr_schedulers", []):
        schedule["base_lrs"] = [factor * rate for rate in schedule["base_lrs"]]
    for state in checkpoint.get("optimizer_states", []):
        for group in state["param_groups"]:
            group["lr"] *= factor
