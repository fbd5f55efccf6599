"""Training without data: on a small simulated set, so that the first command that anybody types shows a whole run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.atomic import make_folder_once
from deepcr_lightning.console.required import trains_bare
from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation.filters import FILTERS
from deepcr_lightning.simulation.simulated_set import simulate_set

log = logging.getLogger("train")

FOLDER = Path("outputs/simulated")
_USUAL = ("F336W",)
_SET: dict[str, Any] = {"exposures": 12, "darks": 6, "size": (384, 384), "chips": 1, "dithers": 1}
_SMALL = {"trainer.max_epochs": 5, "data.tiles_per_epoch": 240, "data.val_tiles": 64, "data.batch_size": 4}
"""A minute or two on two cores; what the user sets instead is kept."""


def with_data(cfg: DictConfig, asked: Sequence[str]) -> None:
    """Give a training that has no exposures a simulated set, and few steps, in place; leave others as they are.

    The set is made once, below the current folder. Processes that want it at once wait for the one that makes it.

    Parameters
    ----------
    cfg : DictConfig
        Config of ``train``.
    asked : sequence of str
        What the user typed, such as ``trainer.max_epochs=3``; this is kept.

    Raises
    ------
    InputError
        If the filter cannot be simulated, or the set cannot be written.
    """
    if not trains_bare(cfg):
        return
    filters = _filters(cfg)
    folder = (FOLDER / "_".join(filters)).absolute()
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        log.info(
            "Neither data.science= nor data.darks= is given: training for a minute or two on simulated %s exposures in "
            "%s; for your own, add data.science=DIR data.darks=DIR",
            " and ".join(filters),
            folder,
        )
    try:
        make_folder_once(folder, lambda place: _simulate(place, filters), last="science")
    except OSError as error:
        raise InputError(f"{folder}: simulated exposures cannot be written ({error.strerror})") from error
    cfg.data.science, cfg.data.darks = str(folder / "science"), str(folder / "darks")
    typed = {argument.lstrip("+").partition("=")[0] for argument in asked}
    for name, value in _SMALL.items():
        if name not in typed:
            OmegaConf.update(cfg, name, value)


def _filters(cfg: DictConfig) -> list[str]:
    given: Any = cfg.data.filters or _USUAL
    filters = [given.upper()] if isinstance(given, str) else [str(name).upper() for name in given]
    unknown = [name for name in filters if name not in FILTERS]
    if unknown:
        raise InputError(
            f"data.science= is not given, and {unknown[0]} cannot be simulated; name exposures of your own, or filters "
            f"of {', '.join(FILTERS)}"
        )
    return filters


def _simulate(place: Path, filters: Sequence[str]) -> None:
    simulate_set(place, filters=filters, **_SET)
