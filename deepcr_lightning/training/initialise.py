"""Start a run from the weights of a model instead of from random ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.card import FILLER
from deepcr_lightning.models.checkpoint import read_card_of
from deepcr_lightning.models.model import Model, load_model
from deepcr_lightning.models.model_file import known_models
from deepcr_lightning.networks.choice import UNET
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

STARTED_FROM = "started_from"
"""Where the record of a run says which model it started from."""


def read_start(name: str, network: str = UNET) -> Model:
    """Read the model that a run is to start from.

    Parameters
    ----------
    name : str
        A path, or a name that `models.model_file.find_model_file` knows.
    network : str
        Network of the run, which must be that of the model where it is one of the user's own.

    Returns
    -------
    Model
        Batch norm and calibration are in its weights.

    Raises
    ------
    InputError
        If there is no such model, it fills cosmic rays instead of finding them, it has another network, or it cannot be
        read.
    """
    known, path = known_models(), Path(name).expanduser()
    path = path if path.is_file() else known.get(name, path)
    if not path.is_file():
        raise InputError(
            f"init={name}: no such file; give the best.ckpt of outputs/.../checkpoints/, or one of "
            f"{', '.join(sorted(known))}"
        )
    if path.suffix != ".pth" and read_card_of(path).kind == FILLER:
        raise InputError(f"init={name}: is an inpainting network; give a detector")
    return load_model(path, None if network == UNET else network)


def start_from(model: Model, cfg: DictConfig, typed: Sequence[str]) -> None:
    """Give a run the network, the labels and the scale of the model that it starts from, in place.

    Parameters
    ----------
    model : Model
        From `read_start`.
    cfg : DictConfig
        Config of train.py, with ``init``. Its record will name the model.
    typed : sequence of str
        Overrides of the command line.

    Raises
    ------
    InputError
        If the run is to train a network that fills, one of these was typed and differs, or it is resumed and started
        from another model.
    """
    if get_class(cfg.model["_target_"]) is not CosmicRaySegmenter:
        raise InputError(f"init={cfg.init}: is a detector; leave model=inpaint out")
    names = {override.partition("=")[0].lstrip("+") for override in typed}
    settings = _settings(model)
    other = [name for name, value in settings.items() if name in names and OmegaConf.select(cfg, name) != value]
    if other:
        has = " and ".join(f"{name}={settings[name]}" for name in other)
        raise InputError(f"init={cfg.init}: was trained with {has}; leave {' and '.join(other)} out")
    for name, value in settings.items():
        OmegaConf.update(cfg, name, value)
    origin = {"name": cfg.init if model.path.stem == cfg.init else model.path.name, "sha256": model.sha256}
    if cfg.ckpt_path is not None:
        run = read_card_of(Path(cfg.ckpt_path)).run or {}
        if run.get(STARTED_FROM, origin)["sha256"] != origin["sha256"]:
            raise InputError(
                f"ckpt_path={cfg.ckpt_path}: was started from another model than init={cfg.init}; start a new run"
            )
    if "record" in cfg.callbacks:
        OmegaConf.update(cfg, f"callbacks.record.{STARTED_FROM}", origin, force_add=True)


def _settings(model: Model) -> dict[str, Any]:
    if isinstance(model.net, UNet):
        network = {f"model.{name}": getattr(model.net, name) for name in CosmicRaySegmenter.shape}
    else:
        network = {"model.network": model.net.name, "model.settings": dict(model.card.network)}
    return {
        **network,
        "data.label_snr": model.card.data.label_snr,
        "data.normalisation": model.card.normalisation,
    }
