"""Train a cosmic-ray network without labels: python train.py experiment=f336w data.science=... data.darks=..."""

from __future__ import annotations

import logging
import sys
from functools import partial
from pathlib import Path

import hydra
import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.command import choose_device, command, resume_overrides
from deepcr_lightning.training.checkpoint import require_same_network
from deepcr_lightning.training.report import REPORT
from deepcr_lightning.training.wandb_run import finish_wandb, start_wandb

log = logging.getLogger("train")


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Compose the config, build the parts, fit, and test where a test side exists."""
    with command(cfg):
        return train(cfg)


def train(cfg: DictConfig) -> float | None:
    """Train as a config says and return the best validation loss."""
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    choose_device(cfg)
    OmegaConf.save(cfg, run_dir / "config.yaml", resolve=True)
    if cfg.ckpt_path is not None:
        require_same_network(Path(cfg.ckpt_path), cfg.model)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = instantiate(cfg.data, _convert_="all")
    model = instantiate(cfg.model, _convert_="all")
    callbacks = [instantiate(c, _convert_="all") for c in cfg.callbacks.values()]
    makers = {name: partial(instantiate, c, _convert_="all") for name, c in cfg.logger.items()}
    loggers = [start_wandb(make) if name == "wandb" else make() for name, make in makers.items()]
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
    if best and len(data.tiles["test"]):
        trainer.test(model, data, ckpt_path=best, weights_only=True, verbose=False)
    scores = {name: f"{float(value):.4f}" for name, value in trainer.callback_metrics.items() if "/" in name}
    log.info(
        "Scores, estimated without truth: %s",
        ", ".join(f"{k} {v}" for k, v in scores.items() if "train" not in k),
    )
    if model.unreached:
        log.warning("%s; the checkpoint keeps %g", model.unreached, model.threshold)
    log.info("Threshold: %.3g", model.threshold)
    finish_wandb(loggers, best)
    log.info("Run folder: %s", run_dir)
    if (run_dir / REPORT).is_file():
        log.info("Report: %s", run_dir / REPORT)
    log.info("Best checkpoint: %s", best or "none")
    return float(trainer.checkpoint_callback.best_model_score) if best else None


if __name__ == "__main__":
    sys.argv[1:] = resume_overrides(sys.argv[1:])
    main()
