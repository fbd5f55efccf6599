"""The command of train.py."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import LambdaCallback

from deepcr_lightning.archive.training_data import fetch_training_data
from deepcr_lightning.atomic import remove_partials, write_atomically
from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.commands.simulated_data import with_data
from deepcr_lightning.console.arguments import OVERRIDES
from deepcr_lightning.console.device import choose_device
from deepcr_lightning.models.model import Model
from deepcr_lightning.networks.choice import NETWORKS, UNET
from deepcr_lightning.runs.callbacks import RunFigures
from deepcr_lightning.runs.progress import RunProgress, above_the_bar
from deepcr_lightning.runs.report import REPORT, basis_of_scores
from deepcr_lightning.runs.trackers import open_loggers
from deepcr_lightning.runs.wandb_run import finish_wandb
from deepcr_lightning.training.checkpoint_io import WholeCheckpoints
from deepcr_lightning.training.fit import checkpoint_of_requeued_job, fit
from deepcr_lightning.training.initialise import read_start, start_from
from deepcr_lightning.training.judgement import Judgement, judge
from deepcr_lightning.training.kept_model import settle
from deepcr_lightning.training.module import CosmicRayModule
from deepcr_lightning.training.resume import require_same_network
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

log = logging.getLogger("train")


def train(cfg: DictConfig) -> tuple[dict[str, float], str]:
    """Train as a config says; return the scores of the best checkpoint, and its path."""
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    choose_device(cfg)
    if cfg.ckpt_path is None:
        cfg.ckpt_path = checkpoint_of_requeued_job(run_dir)
    start = None
    if cfg.init is not None:
        start = read_start(cfg.init, cfg.model.get("network", UNET))
        start_from(start, cfg, HydraConfig.get().overrides.task)
    say_unused(cfg, HydraConfig.get().overrides.task)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    with_data(cfg, HydraConfig.get().overrides.task)
    fetched = fetch_training_data(
        cfg.data.science, cfg.data.darks, cfg.data.filters, Path(cfg.download_dir).expanduser()
    )
    cfg.data.science, cfg.data.darks = fetched
    data = instantiate(cfg.data, _convert_="all")
    model = instantiate(cfg.model, _convert_="all")
    if cfg.ckpt_path is not None:
        require_same_network(Path(cfg.ckpt_path), model)
    if start is not None:
        model.net.load_state_dict(start.net.state_dict())
    callbacks = [instantiate(c, _convert_="all") for c in cfg.callbacks.values()]
    if cfg.trainer.get("enable_progress_bar", True):
        callbacks.append(RunProgress())
    # Once the run goes: a resume that is refused leaves the folder as it is.
    callbacks.append(LambdaCallback(on_train_start=lambda *_: save_config(cfg, run_dir)))
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        # A mistyped path is found before a logger opens a run for it.
        data.prepare_data()
        remove_partials(run_dir)
    loggers = open_loggers((name, partial(instantiate, c, _convert_="all")) for name, c in cfg.logger.items())
    trainer = instantiate(
        cfg.trainer,
        callbacks=callbacks,
        logger=loggers,
        plugins=[WholeCheckpoints()],
        default_root_dir=str(run_dir),
        _convert_="all",
    )
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    for logger in loggers:
        logger.log_hyperparams(config)

    best, judgement = "", None
    scores: dict[str, float] = {}
    try:
        before = None if start is None else dict(trainer.validate(model, data, verbose=False)[0])
        with above_the_bar():
            fit(trainer, model, data, cfg.ckpt_path)
        best = trainer.checkpoint_callback.best_model_path if trainer.checkpoint_callback else ""
        if best:
            scores, judgement = score_best(trainer, model, data, best, start, before)
    finally:
        finish_wandb(loggers, best)
    told = ", ".join(f"{k} {v:.4f}" for k, v in scores.items()) or "none"
    log.info("Scores, %s: %s", basis_of_scores(data.truth), told)
    model.log_outcome()
    log.info("Run folder: %s", run_dir)
    if (run_dir / REPORT).is_file():
        log.info("Report: %s", run_dir / REPORT)
    log.info("Best checkpoint: %s", best or "none")
    if judgement is not None and judgement.words and trainer.is_global_zero:
        better = judgement.kept and start is not None
        log.log(logging.INFO if better else logging.WARNING, "%s", judgement.words)
    return scores, best


def score_best(
    trainer: pl.Trainer,
    model: CosmicRayModule,
    data: LabelFreeDataModule,
    best: str,
    start: Model | None,
    before: dict[str, float] | None,
) -> tuple[dict[str, float], Judgement]:
    """Score the best checkpoint and judge it against what the run started from; return the scores of what is kept."""
    # The last epoch may not be the best: the scores are those of the weights that are kept.
    scores = dict(trainer.validate(model, data, ckpt_path=best, weights_only=True, verbose=False)[0])
    judgement = judge(scores, before, labelled=data.truth is not None)
    if judgement.words and trainer.is_global_zero:
        settle(Path(best), judgement, start)
    trainer.strategy.barrier()
    if not judgement.kept:
        assert start is not None
        assert before is not None
        assert isinstance(model, CosmicRaySegmenter)
        scores, model.threshold = before, start.threshold
    if len(data.tiles["test"]):
        scores |= trainer.test(model, data, ckpt_path=best, weights_only=True, verbose=False)[0]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, RunFigures) and callback.history:
            callback.report(trainer, "finished")
    return scores, judgement


def say_unused(cfg: DictConfig, typed: Sequence[str]) -> None:
    """Log the options of the U-Net that were typed and that a network of the user's own does not see."""
    name = cfg.model.get("network", UNET)
    given = {override.partition("=")[0] for override in typed}
    unused = [f"model.{option}" for option in CosmicRaySegmenter.shape if f"model.{option}" in given]
    if name not in NETWORKS and unused:
        log.warning("%s: not used by %s, which takes model.settings=", ", ".join(unused), name)


@rank_zero_only
def save_config(cfg: DictConfig, run_dir: Path) -> None:
    """Keep the resolved config, and what was asked for, in the folder of the run."""
    asked = list(HydraConfig.get().overrides.task)
    write_atomically(run_dir / OVERRIDES, lambda partial: OmegaConf.save(OmegaConf.create(asked), partial))
    write_atomically(run_dir / "config.yaml", lambda partial: OmegaConf.save(cfg, partial, resolve=True))
