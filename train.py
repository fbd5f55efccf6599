"""Train a cosmic-ray network without labels: python train.py experiment=f336w data.science=... data.darks=..."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import hydra
import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.command import choose_device, choose_wandb_mode, command, fail, resume_overrides
from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps.job import run_job
from deepcr_lightning.sweeps.launchers import require_launcher
from deepcr_lightning.training.checkpoint import require_same_network

log = logging.getLogger("train")


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Compose the config, build the parts, fit, and test where a test side exists."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return run_job(train, cfg)
    with command(cfg):
        train(cfg)
    return None


def train(cfg: DictConfig) -> tuple[dict[str, float], str]:
    """Train as a config says; return the scores of the best checkpoint, and its path."""
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    choose_device(cfg)
    OmegaConf.save(cfg, run_dir / "config.yaml", resolve=True)
    if cfg.ckpt_path is not None:
        require_same_network(Path(cfg.ckpt_path), cfg.model)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = instantiate(cfg.data, _convert_="all")
    model = instantiate(cfg.model, _convert_="all")
    callbacks = [instantiate(c, _convert_="all") for c in cfg.callbacks.values()]
    if "wandb" in cfg.logger:
        choose_wandb_mode()
    loggers = [instantiate(c, _convert_="all") for c in cfg.logger.values()]
    trainer = instantiate(
        cfg.trainer,
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=str(run_dir),
        _convert_="all",
    )
    for logger in loggers:
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))

    trainer.fit(model, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    best = trainer.checkpoint_callback.best_model_path if trainer.checkpoint_callback else ""
    # The last epoch may not be the best: the scores are those of the weights that are kept.
    sides = [trainer.validate, trainer.test] if len(data.tiles["test"]) else [trainer.validate]
    scores: dict[str, float] = {}
    for side in sides if best else []:
        scores |= side(model, data, ckpt_path=best, weights_only=True, verbose=False)[0]
    log.info("Scores, estimated without truth: %s", ", ".join(f"{k} {v:.4f}" for k, v in scores.items()) or "none")
    if model.unreached:
        log.warning("%s; the checkpoint keeps %g", model.unreached, model.threshold)
    log.info("Threshold: %.3g", model.threshold)
    log.info("Run folder: %s", run_dir)
    log.info("Best checkpoint: %s", best or "none")
    return scores, best


if __name__ == "__main__":
    sys.argv[1:] = resume_overrides(sys.argv[1:])
    try:
        require_launcher(sys.argv[1:])
    except InputError as error:
        fail(str(error))
    main()
