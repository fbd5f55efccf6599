"""The optimisers by name, and the learning rate over the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer

from deepcr_lightning.errors import InputError
from deepcr_lightning.named import find_named, first_line

SCHEDULES = ("cosine", "constant")
FINAL_RATE = 0.01
"""The learning rate ends at this share of its highest value."""
MakeOptimiser = Callable[..., Optimizer]
"""Takes weights, ``lr`` and ``weight_decay``, as the classes of `torch.optim` do."""
ADAMW = "adamw"
OPTIMISERS: dict[str, MakeOptimiser] = {ADAMW: torch.optim.AdamW}
"""Ours by the name that ``model.optimiser=`` takes."""


def find_optimiser(name: str, weights: Iterable[nn.Parameter]) -> MakeOptimiser:
    """Find what makes an optimiser.

    Parameters
    ----------
    name : str
        A name of `OPTIMISERS`, or that of a class or function as Python imports it, such as ``torch.optim.NAdam`` or
        ``mypackage.my_optimiser``.
    weights : iterable of nn.Parameter
        What it is to optimise; one of the user's own is tried on them.

    Returns
    -------
    callable
        Takes weights, ``lr`` and ``weight_decay``.

    Raises
    ------
    InputError
        If there is no such optimiser, or it makes anything but a `torch.optim.Optimizer` of these weights.
    """
    make: MakeOptimiser = find_named("model.optimiser", name, OPTIMISERS)
    if name in OPTIMISERS:
        return make
    try:
        made = make(list(weights), lr=1e-3, weight_decay=0.0)
    except Exception as error:  # whatever the user's own code raises
        raise InputError(
            f"model.optimiser={name}: fails on weights, lr=0.001 and weight_decay=0: {first_line(error)}"
        ) from error
    if not isinstance(made, Optimizer):
        raise InputError(f"model.optimiser={name}: makes a {type(made).__name__}; it must make a torch.optim.Optimizer")
    return make


def check_rates(learning_rate: float, warmup: float, schedule: str) -> None:
    """Raise if a parameter of `with_schedule` is out of its range.

    Parameters
    ----------
    learning_rate, warmup, schedule
        As in `with_schedule`.

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


def with_schedule(
    net: nn.Module,
    trainer: pl.Trainer,
    optimiser: str,
    learning_rate: float,
    weight_decay: float,
    warmup: float,
    schedule: str,
) -> OptimizerLRScheduler:
    """Make an optimiser, with warm-up and schedule by the step.

    Parameters
    ----------
    net : nn.Module
        The network.
    trainer : Trainer
        Knows how many steps the run has.
    optimiser : str
        Its name, as in `find_optimiser`.
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
    make = find_optimiser(optimiser, net.parameters())
    if optimiser == ADAMW:
        # One pass over all weights; with the scaled loss of fp16 Lightning could then not clip gradients.
        make = partial(make, fused=str(trainer.precision) != "16-mixed")
    optimizer = make(net.parameters(), lr=learning_rate, weight_decay=weight_decay)
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
