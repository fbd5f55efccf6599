"""What the options of a command stand for: its model, where that works, and the folder for results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.console.device import uses_gpu
from deepcr_lightning.errors import InputError
from deepcr_lightning.models.model import Model, load_model
from deepcr_lightning.prediction.predictor import ExposurePredictor


def open_model(cfg: DictConfig) -> Model:
    """Load the model of a config, and log what it is if the user did not choose one.

    Parameters
    ----------
    cfg : DictConfig
        Config with ``ckpt_path`` and ``network``.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    if cfg.ckpt_path is None:
        raise InputError("ckpt_path= is not given; give the best.ckpt of a run, or universal")
    model = load_model(cfg.ckpt_path, cfg.network)
    model.introduce()
    return model


def folder_of_results(cfg: DictConfig) -> Path:
    """Find the folder for the results of a config, and see that it can be written, before any work.

    Parameters
    ----------
    cfg : DictConfig
        Config with ``output_dir``; the folder of the run by default.

    Returns
    -------
    Path
        It need not be there yet.

    Raises
    ------
    InputError
        If it cannot be made or written.
    """
    folder = Path(cfg.output_dir or HydraConfig.get().runtime.output_dir)
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "cannot be written" if there.is_dir() else "is no folder"
        raise InputError(f"output_dir={folder}: {there} {reason}; name another")
    return folder


def predictor_of(model: Model, cfg: DictConfig) -> ExposurePredictor:
    """Put a model where the trainer of a config would, in tiles as the config says."""
    return ExposurePredictor(model, cfg.tile).to("cuda" if uses_gpu(cfg) else "cpu")


def plain(value: Any) -> Any:
    """Turn a part of a config into plain values: dictionaries, lists, numbers and text."""
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
